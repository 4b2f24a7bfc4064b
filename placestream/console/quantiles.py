"""Quantiles of Prometheus histograms, as Prometheus itself estimates them."""

import math
from collections.abc import Mapping


def increase(now: Mapping[float, float], before: Mapping[float, float]) -> dict[float, float]:
    """What came into each cumulative bucket since; all of it where the process began anew."""
    if any(now.get(edge, 0.0) < count for edge, count in before.items()):
        return dict(now)
    return {edge: count - before.get(edge, 0.0) for edge, count in now.items()}


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """The value below which a share of the observations lies, linear within a bucket.

    As PromQL's `histogram_quantile`; in the last bucket, its lower edge. None of no observations.

    Args:
        buckets: cumulative count by upper edge, ascending, the last edge +inf.
        share: 0 to 1.

    >>> quantile({1.0: 5, 2.0: 10, math.inf: 10}, 0.75)
    1.5
    """
    total = buckets.get(math.inf, 0.0)
    if total <= 0:
        return None
    wanted, below, lower = share * total, 0.0, 0.0
    for edge, count in buckets.items():
        if count >= wanted:
            if math.isinf(edge):
                return lower
            return lower + (edge - lower) * (wanted - below) / max(count - below, 1e-12)
        below, lower = count, edge
    return lower
