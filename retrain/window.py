"""What was served lately: the last so many answers, counted on the reference's bins.

The window is counted in answers, not in hours, so that drift is found after so many answers
however busy the service is. A part of a day in it is no harm: the reference swings with the hour
of the week, and the window knows the hours of its own answers. It is a ring of panes, of which the
oldest is forgotten at once.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.likeness import crowding
from models.reference import Reference
from models.served_answers import Answers

Floats = NDArray[np.floating[Any]]
#: Panes of a window: what is forgotten at once is a sixteenth.
PANES = 16


@dataclass
class _Pane:
    """Answers that came one after another.

    Attributes:
        counts: float64[F, B], by weight: an answer weighs 1 in all.
        phi: float64[K], sum over its answers.
        residual: float64[2 D], sum over its answers.
        users, residuals: of its answers, portion by portion.
    """

    counts: NDArray[np.float64]
    phi: NDArray[np.float64]
    residual: NDArray[np.float64]
    size: int = 0
    oldest_s: float = np.inf
    newest_s: float = -np.inf
    users: list[NDArray[np.uint64]] = field(default_factory=list)
    residuals: list[Floats] = field(default_factory=list)


class AnswerWindow:
    """Counts per column and bin over the last answers; what all detectors read.

    Args:
        reference: of the version in service.
        answers: how many it holds.
        longest_s: an answer older than the newest by more is forgotten however few there are.
        rng: draws the place of each answer that the embedding sees.

    Examples:
        >>> import numpy as np
        >>> from models.reference import reference_of
        >>> from models.served_answers import Answers
        >>> rng = np.random.default_rng(7)
        >>> noon = np.full(4, 43_200.0)
        >>> four = Answers(np.array([[0.0], [1.0], [1.0], [1.0]]), np.arange(5), noon, np.arange(4))
        >>> window = AnswerWindow(reference_of(("open",), four, rng), 1_000, 86_400, rng)
        >>> window.update(four)
        >>> window.size, float(window.counts().sum())
        (4, 4.0)
    """

    def __init__(
        self, reference: Reference, answers: int, longest_s: float, rng: np.random.Generator
    ) -> None:
        if answers < PANES or longest_s <= 0:
            raise ValueError(f"a window needs at least {PANES} answers and a positive length")
        self.reference = reference
        self._each = -(-answers // PANES)
        self._longest_s = longest_s
        self._rng = rng
        self._panes: deque[_Pane] = deque(maxlen=PANES)
        #: Answers taken in since the start.
        self.taken = 0
        self._crowding, self._crowded_at = 1.0, 0

    def update(self, answers: Answers) -> None:
        """Take in answers, in the order of their coming."""
        begin = 0
        while begin < len(answers):
            if not self._panes or self._panes[-1].size >= self._each:
                self._panes.append(self._empty())
            end = min(len(answers), begin + self._each - self._panes[-1].size)
            self._add(self._panes[-1], answers.part(begin, end))
            begin = end
        self.taken += len(answers)
        self._forget()

    def _empty(self) -> _Pane:
        shape = (len(self.reference.columns), self.reference.bins)
        harmonics, features = self.reference.embedding.swing.beta.shape
        return _Pane(np.zeros(shape), np.zeros(harmonics), np.zeros(features))

    def _add(self, pane: _Pane, answers: Answers) -> None:
        reference = self.reference
        bins = reference.bins_of(answers.values)
        count = np.diff(answers.first)
        weights = np.repeat(1 / count, count)
        for column, own in zip(pane.counts, bins, strict=True):
            column += np.bincount(own, weights, minlength=reference.bins)
        phi = reference.phi(answers.time_s)
        pane.phi += phi.sum(axis=0)
        pane.size += len(answers)
        pane.oldest_s = min(pane.oldest_s, float(answers.time_s.min()))
        pane.newest_s = max(pane.newest_s, float(answers.time_s.max()))
        pane.users.append(answers.user)
        drawn = answers.drawn(self._rng)
        residuals = reference.embedding.residuals_of(drawn, phi)
        pane.residual += residuals.sum(axis=0)
        pane.residuals.append(residuals)

    def _forget(self) -> None:
        newest_s = max((pane.newest_s for pane in self._panes), default=0.0)
        while self._panes and self._panes[0].newest_s < newest_s - self._longest_s:
            self._panes.popleft()

    @property
    def size(self) -> int:
        """Answers in the window."""
        return sum(pane.size for pane in self._panes)

    @property
    def span_s(self) -> tuple[float, float] | None:
        """Times of its oldest and its newest answer, Unix seconds; `None` while it is empty."""
        if not self._panes:
            return None
        panes = self._panes
        return min(pane.oldest_s for pane in panes), max(pane.newest_s for pane in panes)

    @property
    def phi(self) -> NDArray[np.float64]:
        """Mean phi of its answers, float64[K]; see `models.rhythm`."""
        return np.asarray(sum(pane.phi for pane in self._panes), np.float64) / self.size

    @property
    def crowding(self) -> float:
        """Answers in it by the user of an answer, on average; see `models.likeness`."""
        if self._crowded_at != self.taken:
            users = [users for pane in self._panes for users in pane.users]
            self._crowding, self._crowded_at = crowding(np.concatenate(users)), self.taken
        return self._crowding

    def counts(self) -> NDArray[np.float64]:
        """Weighted counts float64[F, B]."""
        return np.asarray(sum(pane.counts for pane in self._panes), np.float64)

    def residual(self) -> NDArray[np.float64]:
        """Mean of `residuals`, float64[2 D]."""
        return np.asarray(sum(pane.residual for pane in self._panes), np.float64) / self.size

    def residuals(self) -> Floats:
        """Embeddings of a place of each answer, less what was expected: float32[size, 2 D]."""
        return np.concatenate([part for pane in self._panes for part in pane.residuals])


@dataclass(frozen=True)
class Compared:
    """A window beside what the training says of its hours.

    Attributes:
        served, expected: float64[F, B], shares; rows sum to 1.
        size, reference_size: float64[F], what either is worth in independent rows.
        answers: of the window.
        known: what the reference is worth at its hours, in answers; of each column, or of all.
    """

    served: NDArray[np.float64]
    expected: NDArray[np.float64]
    size: NDArray[np.float64]
    reference_size: NDArray[np.float64]
    answers: float
    known: float | NDArray[np.float64]

    @classmethod
    def of(cls, window: AnswerWindow) -> "Compared":
        """The window as it is; it must not be empty."""
        reference, phi = window.reference, window.phi
        return cls(
            served=window.counts() / window.size,
            expected=reference.expected(phi),
            size=np.asarray(window.size / reference.likeness.effect(window.crowding)),
            reference_size=reference.sizes(phi),
            answers=float(window.size),
            known=reference.known(phi),
        )
