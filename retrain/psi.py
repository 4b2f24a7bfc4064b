"""The population stability index of every column, over a sliding window."""

import numpy as np

from retrain.reference import Floats
from retrain.window import BinnedWindow

#: A bin that was empty in training counts as holding this share, else its first row is infinite.
FLOOR = 1e-4


def population_stability(shares: Floats, reference: Floats, size: float) -> Floats:
    """PSI per column.

    With q the reference's shares (floored, so that an empty bin is rare rather than impossible)
    and p the window's, smoothed by one row drawn from the reference:

        PSI = sum_i (p_i - q_i) ln(p_i / q_i)

    Smoothing towards q rather than towards uniform keeps PSI at 0 where the window says nothing.
    Bins that are empty on both sides, padding among them, are left out.

    Args:
        shares: float[F, B], the window's; rows sum to 1.
        reference: float[F, B], the training's; rows sum to 1.
        size: rows behind `shares`.

    Returns:
        float64[F], >= 0.

    Examples:
        >>> import numpy as np
        >>> trained, served = np.array([[0.5, 0.5]]), np.array([[0.9, 0.1]])
        >>> population_stability(served, trained, size=1e9).round(4).tolist()
        [0.8789]
        >>> population_stability(trained, trained, size=10).tolist()
        [0.0]
    """
    empty = (reference == 0) & (shares == 0)
    q = np.where(empty, 0, np.maximum(reference, FLOOR))
    q = q / q.sum(axis=1, keepdims=True)
    p = (shares * size + q) / (size + 1)
    ratio = np.divide(p, q, out=np.ones_like(q), where=~empty)
    index: Floats = ((p - q) * np.log(ratio)).sum(axis=1)
    return index


class PopulationStability:
    """Says which columns are distributed otherwise than in training.

    Drift is found in a column if its window holds `min_size` answers and

        PSI > threshold

    With no drift and B bins, PSI is distributed about as chi-square with B - 1 degrees of freedom
    times (1/n + 1/m), n and m being the two sample sizes [1]: for 10 bins and 1,000 answers its
    mean is 0.009 and its 99.9th percentile 0.028. So 0.2, the customary mark of a changed
    population [2], lies far outside of chance.

    Args:
        window: what was served lately, on the reference's bins.
        threshold: PSI above which a column has drifted.
        min_size: answers below which nothing is said.

    Examples:
        >>> import numpy as np
        >>> from retrain.reference import reference_of
        >>> rng = np.random.default_rng(7)
        >>> reference = reference_of(("distance_m",), rng.normal(0, 1, (20_000, 1)))
        >>> window = BinnedWindow(reference, window_s=86_400)
        >>> detector = PopulationStability(window, threshold=0.2, min_size=1_000)
        >>> one, noon = np.ones(1_000), np.full(1_000, 43_200.0)
        >>> window.update(rng.normal(0, 1, (1_000, 1)), one, noon)
        >>> detector.drifted().tolist()
        [False]
        >>> window.update(rng.normal(2, 1, (1_000, 1)), one, noon)
        >>> detector.drifted().tolist()
        [True]

    References:
        [1] B. Yurdakul, "Statistical Properties of Population Stability Index", Western Michigan
            University, 2018.
        [2] N. Siddiqi, "Credit Risk Scorecards", Wiley, 2006.
    """

    def __init__(self, window: BinnedWindow, threshold: float, min_size: float) -> None:
        self.window = window
        self.threshold = threshold
        self.min_size = min_size

    def values(self) -> Floats:
        """PSI float64[F]; NaN while the window is too small."""
        size = self.window.size
        if size < self.min_size:
            return np.full(len(self.window.reference.columns), np.nan)
        return population_stability(
            self.window.proportions(), self.window.reference.proportions, size
        )

    def drifted(self) -> np.ndarray:
        """bool[F]: PSI above the threshold."""
        return np.asarray(self.values() > self.threshold)
