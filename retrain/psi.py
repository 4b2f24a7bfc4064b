"""The population stability index of every column, against the training at the same hours."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from retrain.window import Compared

Floats = NDArray[np.float64]
#: A bin that was empty in training counts as holding this share, else its first row is infinite.
FLOOR = 1e-4
#: Chance that sampling alone lifts the PSI of any column above its `chance`, a look.
ALPHA = 1e-3


def population_stability(shares: Floats, reference: Floats, size: Floats) -> Floats:
    """PSI per column.

    With q the reference's shares (floored, so that an empty bin is rare rather than impossible)
    and p the window's, smoothed by one row drawn from the reference:

        PSI = sum_i (p_i - q_i) ln(p_i / q_i)

    Smoothing towards q rather than towards uniform keeps PSI at 0 where the window says nothing.
    Bins that are empty on both sides, padding among them, are left out.

    Args:
        shares: float[F, B], the window's; rows sum to 1.
        reference: float[F, B], the training's; rows sum to 1.
        size: float[F], rows behind `shares`.

    Returns:
        float64[F], >= 0.

    Examples:
        >>> import numpy as np
        >>> trained, served = np.array([[0.5, 0.5]]), np.array([[0.9, 0.1]])
        >>> population_stability(served, trained, np.array([1e9])).round(4).tolist()
        [0.8789]
        >>> population_stability(trained, trained, np.array([10.0])).tolist()
        [0.0]
    """
    empty = (reference == 0) & (shares == 0)
    q = np.where(empty, 0, np.maximum(reference, FLOOR))
    q = q / q.sum(axis=1, keepdims=True)
    p = (shares * size[:, None] + q) / (size[:, None] + 1)
    ratio = np.divide(p, q, out=np.ones_like(q), where=~empty)
    index: Floats = ((p - q) * np.log(ratio)).sum(axis=1)
    return index


def chance_stability(compared: Compared, alpha: float = ALPHA) -> Floats:
    """PSI that sampling alone passes in any of the columns with probability `alpha`: float64[F].

    With no drift, PSI of B bins is distributed about as chi-square with B - 1 degrees of freedom
    times (1/n + 1/m), n and m being the sizes of the two samples (B. Yurdakul, "Statistical
    Properties of Population Stability Index", Western Michigan University, 2018). The columns
    share `alpha` evenly (Bonferroni).
    """
    used = (compared.expected > FLOOR).sum(axis=1)
    quantile = stats.chi2.isf(alpha / len(used), np.maximum(used - 1, 1))
    return np.asarray(quantile * (1 / compared.size + 1 / compared.reference_size))


def psi_of(compared: Compared) -> Floats:
    """PSI float64[F] of a window."""
    return population_stability(compared.served, compared.expected, compared.size)


def drifted(compared: Compared, threshold: float) -> NDArray[np.bool_]:
    """Which columns are distributed otherwise than in training, bool[F].

        PSI > max(threshold, chance)

    0.2 is the customary mark of a changed population (N. Siddiqi, "Credit Risk Scorecards", Wiley,
    2006). Chance matters where the training knows these hours little, or where few users are
    behind many answers: then a PSI of 0.2 says nothing yet.
    """
    psi = psi_of(compared)
    return np.asarray(psi > np.maximum(threshold, chance_stability(compared)))
