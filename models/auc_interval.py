"""How surely one AUC differs from another on the same rows, where rows of a user are alike.

N. A. Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53, 1997: the
structural components of DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988), summed by cluster.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from models.bootstrap import Interval

Floats = NDArray[np.float64]


def auc_difference(
    label: NDArray[np.bool_],
    new: NDArray[np.floating],
    old: NDArray[np.floating],
    cluster: NDArray[np.integer],
    alpha: float = 0.05,
) -> Interval:
    """AUC of `new` less that of `old`, with its interval.

    A positive's component v is the share of negatives that it outscores, a negative's that of
    positives that outscore it (a tie counts half); both average to the AUC A. With m positives, n
    negatives and I clusters, each with the sums a of v - A over its positives and b over its
    negatives,

        Var = I / (I - 1) sum_i (a_i / m + b_i / n)^2

    and for a difference of two scores v is the difference of theirs.

    Args:
        label: bool[k].
        new, old: float[k], scores of the same rows.
        cluster: int[k], what belongs together (the user).
        alpha: chance that the truth lies outside.

    Raises:
        ValueError: only one class is present.
    """
    positives, negatives = int(label.sum()), int((~label).sum())
    if not positives or not negatives:
        raise ValueError("AUC needs at least one positive and one negative")
    component = _components(label, new) - _components(label, old)
    difference = float(component[label].mean())
    share = (component - difference) / np.where(label, positives, negatives)
    _, code = np.unique(cluster, return_inverse=True)
    sums = np.bincount(code, share)
    clusters = len(sums)
    variance = clusters / max(clusters - 1, 1) * float((sums**2).sum())
    half = float(stats.norm.isf(alpha / 2)) * math.sqrt(variance)
    return Interval(difference, difference - half, difference + half)


def _components(label: NDArray[np.bool_], score: NDArray[np.floating]) -> Floats:
    """Structural component of each row: float64[k] in [0, 1]."""
    found = np.empty(len(label))
    for mine in (True, False):
        of = label == mine
        rank = stats.rankdata(score)[of] - stats.rankdata(score[of])
        share = rank / np.count_nonzero(~of)
        found[of] = share if mine else 1 - share
    return found
