"""The Kolmogorov-Smirnov test of every column on binned samples, corrected for their number."""

import numpy as np
from scipy import stats

from retrain.reference import Floats
from retrain.window import BinnedWindow


def ks_distance(shares: Floats, reference: Floats) -> Floats:
    """Largest gap between the two distribution functions, looked at on the bins' edges.

        D = max_i |P(x <= e_i) - Q(x <= e_i)|

    Args:
        shares: float[F, B], the window's; rows sum to 1.
        reference: float[F, B], the training's; rows sum to 1.

    Returns:
        float64[F] in [0, 1]; at most the D of the raw samples, as edges are a part of all points.
    """
    gap: Floats = np.abs(np.cumsum(shares, axis=1) - np.cumsum(reference, axis=1)).max(axis=1)
    return gap.clip(0, 1)


def ks_p_value(distance: Floats, size: float, reference_size: float) -> Floats:
    """Probability of such a distance, or a larger one, between two samples of one distribution.

    As `scipy.stats.ks_2samp(method="asymp")`: the distance is referred to the distribution of the
    one-sample statistic (`scipy.stats.kstwo`, the algorithm of Simard & L'Ecuyer, 2011) at the
    effective size n m / (n + m), rounded. On binned samples and on ties it is conservative.

    Args:
        distance: float[F].
        size: rows in the window.
        reference_size: rows in the training.

    Returns:
        float64[F] in [0, 1].
    """
    effective = max(1.0, np.round(size * reference_size / (size + reference_size)))
    p: Floats = np.asarray(stats.kstwo.sf(distance, effective), dtype=np.float64)
    return p.clip(0, 1)


def holm(p_values: Floats) -> Floats:
    """Adjust p-values for their number: `adjusted < alpha` errs anywhere with at most alpha.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 1979:
    the i-th smallest of k is multiplied by k - i + 1, kept monotone and at most 1. It needs no
    independence of the columns, and there is none. NaN stays NaN and is not counted.

    Examples:
        >>> import numpy as np
        >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
        [0.03, 0.06, 0.06]
    """
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.maximum.accumulate(p_values[order] * factors).clip(max=1)
    return adjusted


class KolmogorovSmirnov:
    """Says in which columns chance does not explain the difference from training.

    Drift is found in a column if its window holds `min_size` answers and

        p_adjusted < alpha

    where p_adjusted is the column's p-value after Holm's correction over all columns. With much
    traffic a tiny shift is already certain: KS says that a difference is real, PSI that it is
    large. This is why KS warns and PSI retrains.

    Args:
        window: what was served lately, on the reference's bins.
        alpha: chance of any false alarm over all columns, per independent look.
        min_size: answers below which nothing is said.

    Examples:
        >>> import numpy as np
        >>> from retrain.reference import reference_of
        >>> rng = np.random.default_rng(7)
        >>> reference = reference_of(("a", "b"), rng.normal(0, 1, (20_000, 2)))
        >>> window = BinnedWindow(reference, window_s=86_400)
        >>> detector = KolmogorovSmirnov(window, alpha=0.05, min_size=1_000)
        >>> rows = rng.normal((0.0, 0.3), 1, (1_000, 2))
        >>> window.update(rows, np.ones(1_000), np.full(1_000, 43_200.0))
        >>> detector.drifted().tolist()
        [False, True]

    References:
        [1] J. L. Hodges, "The Significance Probability of the Smirnov Two-Sample Test", Arkiv foer
            Matematik 3, 1958.
    """

    def __init__(self, window: BinnedWindow, alpha: float, min_size: float) -> None:
        self.window = window
        self.alpha = alpha
        self.min_size = min_size

    def values(self) -> Floats:
        """Adjusted p-values float64[F]; NaN while the window is too small."""
        size, reference = self.window.size, self.window.reference
        if size < self.min_size:
            return np.full(len(reference.columns), np.nan)
        distance = ks_distance(self.window.proportions(), reference.proportions)
        return holm(ks_p_value(distance, size, reference.size))

    def drifted(self) -> np.ndarray:
        """bool[F]: adjusted p-value below alpha."""
        return np.asarray(self.values() < self.alpha)
