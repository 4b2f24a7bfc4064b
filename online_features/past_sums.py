"""What the past events of a request come to at a place, or at places of its category."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_features.compiled import compiled

Column = NDArray[Any]
Codes = NDArray[np.int64]


@compiled
def sums_at(past: Codes, weights: Column, of: Codes, wanted: Codes) -> Column:
    """Sums of k weights over the past events that bear a pair's code, float64[k, n].

    Args:
        past: int64[r, h], what each past event of r requests bears; -1 nothing.
        weights: float64[k, r, h].
        of: int64[n], the request of each pair.
        wanted: int64[n], the code of each pair; -1 none, whose sums are 0.
    """
    sums = np.zeros((len(weights), len(of)))
    for pair in range(len(of)):
        request, code = of[pair], wanted[pair]
        if code < 0:
            continue
        for j in range(past.shape[1]):
            if past[request, j] == code:
                for k in range(len(weights)):
                    sums[k, pair] += weights[k, request, j]
    return sums


@compiled
def times_at(past: Codes, been: Column, time_s: Column, of: Codes, wanted: Codes) -> Column:
    """Of the visits among the past events: newest, oldest (Unix seconds; -inf and inf for none).

    Args:
        past, of, wanted: as for `sums_at`.
        been: [r, h], above 0 for a visit.
        time_s: float64[r, h].

    Returns:
        float64[2, n].
    """
    times = np.empty((2, len(of)))
    times[0], times[1] = -math.inf, math.inf
    for pair in range(len(of)):
        request, code = of[pair], wanted[pair]
        if code < 0:
            continue
        for j in range(past.shape[1]):
            if past[request, j] == code and been[request, j] > 0:
                times[0, pair] = max(times[0, pair], time_s[request, j])
                times[1, pair] = min(times[1, pair], time_s[request, j])
    return times
