"""Metrics of ranks, with intervals: with one relevant place a request, a rank is all there is.

Recall@k: the rank is at most k. NDCG@10: 1 / log2(1 + rank) if the rank is at most 10, the ideal
being 1. MRR: the mean of 1 / rank over the full ranking, 0 where the place is not in it.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.bootstrap import Interval, intervals

Floats = NDArray[np.float64]
RECALLS = (1, 5, 10, 20, 100)
NDCG, MRR = "ndcg_at_10", "mrr"
METRICS: tuple[str, ...] = (*(f"recall_at_{k}" for k in RECALLS), NDCG, MRR)


def per_request(ranks: Floats) -> Floats:
    """All metrics of each request: float64[r, len(METRICS)]."""
    recalls = [ranks <= k for k in RECALLS]
    gain = np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0.0)
    return np.stack([*recalls, gain, 1 / ranks], axis=1).astype(np.float64)


def summary(ranks: Floats, user: NDArray[np.int64], seed: int) -> dict[str, Interval]:
    """Every metric with its interval, requests of one user drawn together."""
    return dict(zip(METRICS, intervals(per_request(ranks), user, seed=seed), strict=True))


def difference(
    ranks: Floats, other: Floats, user: NDArray[np.int64], seed: int
) -> dict[str, Interval]:
    """By how much `ranks` beats `other` on the same requests, paired, with intervals."""
    apart = per_request(ranks) - per_request(other)
    return dict(zip(METRICS, intervals(apart, user, seed=seed), strict=True))


def as_json(found: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    """Values and bounds by name."""
    return {name: {"value": i.value, "low": i.low, "high": i.high} for name, i in found.items()}
