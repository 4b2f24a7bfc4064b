"""The Kolmogorov-Smirnov test of every column on binned samples, corrected for their number.

The reference's bins are the sketch: quantiles of the training, on whose edges both distribution
functions are known exactly.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from retrain.window import Compared

Floats = NDArray[np.float64]


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


def ks_p_value(distance: Floats, size: Floats | float, reference_size: Floats | float) -> Floats:
    """Probability of such a distance, or a larger one, between two samples of one distribution.

    Kolmogorov's limit law at (sqrt(N) + 0.12 + 0.11 / sqrt(N)) D, N = n m / (n + m), which is good
    from N = 4 on (M. A. Stephens, "Use of the Kolmogorov-Smirnov, Cramer-Von Mises and Related
    Statistics Without Extensive Tables", J. R. Statist. Soc. B 32, 1970). On binned samples and on
    ties it is conservative.

    Args:
        distance: float[F].
        size: rows in the window; float[F], or one number.
        reference_size: rows in the training, likewise.

    Returns:
        float64[F] in [0, 1].
    """
    root = np.sqrt(size * reference_size / (size + reference_size))
    p: Floats = np.asarray(stats.kstwobign.sf((root + 0.12 + 0.11 / root) * distance), np.float64)
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


def ks_p_values(compared: Compared) -> Floats:
    """Adjusted p-values float64[F] of a window: drift is likely where they lie below 0.05.

    With much traffic a tiny shift is already certain: KS says that a difference is real, PSI that
    it is large. This is why KS warns and PSI retrains.
    """
    distance = ks_distance(compared.served, compared.expected)
    # An answer counts as one row at most: of ten times as many, the test would find how roughly
    # the week's rhythm is known.
    most = np.minimum(compared.size, compared.answers)
    return holm(ks_p_value(distance, most, np.minimum(compared.reference_size, compared.known)))
