"""The accuracy of the newest choices, and how high the truth may lie.

A mean of a few hundred choices errs by percents, and more where few users make most of them, for
choices of one user are alike. What is asked for by an accuracy is asked for by its upper bound.
"""

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from contracts.ids import id64

#: Chance that the truth lies above the bound, a look; as PSI's (`retrain.psi`).
ALPHA = 1e-3


class ServedAccuracy:
    """The accuracy of the newest choices of one variant and version.

    Args:
        most: choices kept.
    """

    def __init__(self, most: int) -> None:
        self._accuracy: deque[float] = deque(maxlen=most)
        self._user: deque[int] = deque(maxlen=most)

    def __len__(self) -> int:
        return len(self._accuracy)

    def add(self, accuracy: float, user_id: str) -> None:
        """Take in how right the model was about one choice, in [0, 1]."""
        self._accuracy.append(accuracy)
        self._user.append(int(id64(user_id)))

    def told(self) -> tuple[float, float]:
        """Mean and upper bound; NaN while there is none of a choice, or of a second user."""
        if not self._accuracy:
            return math.nan, math.nan
        accuracy = np.array(self._accuracy)
        return float(accuracy.mean()), upper_bound(accuracy, np.array(self._user, np.uint64))


def upper_bound(
    values: NDArray[np.float64], cluster: NDArray[np.integer], alpha: float = ALPHA
) -> float:
    """Bound that the true mean lies above with probability `alpha`; NaN for a single cluster.

    With the mean m of n values a in G clusters, and t of G - 1 degrees of freedom,

        m + t_{1 - alpha} sqrt(G / (G - 1) sum_g (sum_{i in g} (a_i - m) / n)^2)

    (the cluster-robust variance of a mean: K.-Y. Liang and S. L. Zeger, Biometrika 73, 1986; t and
    the correction for few clusters: A. C. Cameron and D. L. Miller, "A Practitioner's Guide to
    Cluster-Robust Inference", Journal of Human Resources 50, 2015).

    Args:
        values: float64[n].
        cluster: int[n], what belongs together (the user).
        alpha: see above.

    Examples:
        Four users of one value each: the textbook's m + t s / sqrt(n). Twice the choices of the
        same users tell nothing new.

        >>> import numpy as np
        >>> once, users = np.array([0.6, 0.8, 0.8, 1.0]), np.arange(4)
        >>> round(upper_bound(once, users, 0.05), 3)
        0.992
        >>> round(upper_bound(np.repeat(once, 2), np.repeat(users, 2), 0.05), 3)
        0.992
    """
    _, code = np.unique(cluster, return_inverse=True)
    sums = np.bincount(code, (values - values.mean()) / len(values))
    clusters = len(sums)
    if clusters < 2:
        return math.nan
    error = math.sqrt(clusters / (clusters - 1) * float((sums**2).sum()))
    return float(values.mean() + stats.t.isf(alpha, clusters - 1) * error)
