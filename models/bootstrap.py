"""Confidence intervals by resampling users: requests of one user are not independent."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REPLICATES = 1_000
#: Replicates drawn at once, so that weights take some ten megabytes for 10^4 users.
_AT_ONCE = 100


@dataclass(frozen=True)
class Interval:
    """A mean over requests, with the bounds that most of the resamples lie in (by default 95 %)."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


def intervals(
    values: NDArray[np.floating],
    cluster: NDArray[np.integer],
    *,
    seed: int,
    replicates: int = REPLICATES,
    alpha: float = 0.05,
) -> list[Interval]:
    """Means of columns with percentile bootstrap intervals, whole clusters drawn with replacement.

    Args:
        values: float[n, m], one row a request, one column a quantity.
        cluster: int[n], what belongs together (the user).
        seed: of the draws; the same for all columns.
        replicates: how many resamples.
        alpha: share of them that lies outside of the bounds, half on each side.

    Returns:
        m intervals (Efron and Tibshirani 1993, chapter 13; clusters: Field and Welsh 2007).

    Raises:
        ValueError: there are no rows.
    """
    if not len(values):
        raise ValueError("an interval needs at least one request")
    _, code = np.unique(cluster, return_inverse=True)
    clusters = int(code.max()) + 1
    total = np.stack([np.bincount(code, column, clusters) for column in values.T], axis=1)
    size = np.bincount(code, minlength=clusters).astype(np.float64)
    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, replicates, _AT_ONCE):
        count = min(_AT_ONCE, replicates - start)
        weight = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=count)
        means.append((weight @ total) / (weight @ size)[:, None])
    low, high = np.quantile(np.concatenate(means), (alpha / 2, 1 - alpha / 2), axis=0)
    return [
        Interval(float(m), float(lo), float(hi))
        for m, lo, hi in zip(values.mean(axis=0), low, high, strict=True)
    ]
