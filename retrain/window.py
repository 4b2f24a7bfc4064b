"""A sliding window of histograms over event time, for all columns at once.

The window is a ring of panes. A row is binned once, on the training reference's own edges, and
the detectors (`retrain.psi`, `retrain.ks`) read the summed counts whenever they are asked.
"""

import math

import numpy as np

from retrain.reference import Floats, Reference

#: Panes of a window: what is forgotten at once is a 24th, an hour of the default day.
PANES = 24


class BinnedWindow:
    """Counts per column and bin over the last `window_s` seconds of event time.

    An answer holds many places of one user, and their rows are anything but independent. So rows
    carry weights, and an answer of k places weighs 1 in all: `size` counts answers, which is the
    honest sample size for a column of the user, and a cautious one for a column of the place.

    Args:
        reference: bins of the training.
        window_s: length in event time, seconds. A day, so that the rhythm of a day is no drift.
        panes: how many steps the window slides in.

    Examples:
        >>> import numpy as np
        >>> from retrain.reference import reference_of
        >>> reference = reference_of(("is_open",), np.array([[0.0], [1.0], [1.0], [1.0]]))
        >>> window = BinnedWindow(reference, window_s=60, panes=6)
        >>> window.update(np.array([[0.0], [1.0]]), np.array([0.5, 0.5]), np.array([5.0, 5.0]))
        >>> window.size
        1.0
        >>> window.counts().tolist()
        [[0.5, 0.5, 0.0]]
    """

    def __init__(self, reference: Reference, window_s: float, panes: int = PANES) -> None:
        if window_s <= 0 or panes < 1:
            raise ValueError("a window needs a positive length and at least one pane")
        self.reference = reference
        self._pane_s = window_s / panes
        self._counts = np.zeros((panes, *reference.proportions.shape))
        self._sizes = np.zeros(panes)
        self._ids = np.full(panes, -1, dtype=np.int64)
        self._first = -1

    def update(self, rows: Floats, weights: Floats, time_s: Floats) -> None:
        """Add rows.

        Args:
            rows: float[k, F], columns as in the reference.
            weights: float[k]; those of one answer sum to 1.
            time_s: float64[k], Unix seconds of each row's answer. Rows older than the window
                are left out.
        """
        bins = self.reference.bins_of(rows)
        panes = np.floor_divide(time_s, self._pane_s).astype(np.int64)
        for pane in np.unique(panes):
            chosen = panes == pane
            self._add(int(pane), bins[chosen], weights[chosen])

    def _add(self, pane: int, bins: np.ndarray, weights: Floats) -> None:
        slot = pane % len(self._ids)
        if pane < self._ids[slot]:
            return
        if pane > self._ids[slot]:
            self._ids[slot] = pane
            self._counts[slot] = 0
            self._sizes[slot] = 0
        self._first = pane if self._first < 0 else min(self._first, pane)
        columns, width = self._counts.shape[1:]
        cells = bins + np.arange(columns) * width
        self._counts[slot] += np.bincount(
            cells.ravel(), np.repeat(weights, columns), minlength=columns * width
        ).reshape(columns, width)
        self._sizes[slot] += weights.sum()

    def _live(self) -> np.ndarray:
        return np.asarray((self._ids >= 0) & (self._ids > self._ids.max() - len(self._ids)))

    @property
    def size(self) -> float:
        """Answers in the window."""
        return float(self._sizes[self._live()].sum())

    @property
    def spanned(self) -> bool:
        """Whether the stream has lasted a whole window (a part of a day is not a day)."""
        newest = int(self._ids.max())
        return self._first >= 0 and newest - self._first >= len(self._ids) - 1

    def counts(self) -> Floats:
        """Weighted counts float64[F, B] over the window."""
        total: Floats = self._counts[self._live()].sum(axis=0)
        return total

    def proportions(self) -> Floats:
        """Shares float64[F, B] over the window; NaN while it is empty."""
        size = self.size
        return self.counts() / (size if size > 0 else math.nan)
