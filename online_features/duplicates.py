"""Telling an event that was already counted from a new one.

A user's state remembers the identities of the last 16 events that counted. Producers' retries
and replayed dead letters come back soon, so that is deep enough; the decision depends only on
the state and the log, never on how the log was cut into batches.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from online_features.columns import occurrence

DEPTH = 16
SEEN_DTYPE = np.dtype([("next", np.uint32), ("hashes", np.uint64, (DEPTH,))])


def mark_new(
    seen: NDArray[np.void], rows: NDArray[np.int64], hashes: NDArray[np.uint64]
) -> NDArray[np.bool_]:
    """Tell which events are new, and remember those, in place.

    Args:
        seen: [entities] of `SEEN_DTYPE`.
        rows: [n] entity of each event, in order of arrival.
        hashes: [n] identity of each event, never 0.

    Returns:
        bool[n], False for a duplicate of one of the entity's last 16 counted events.
    """
    is_new = np.zeros(len(rows), bool)
    turn = occurrence(rows)
    # One entity's events must be judged one after the other; different entities need not.
    by_turn = np.argsort(turn, kind="stable")
    bounds = np.searchsorted(turn[by_turn], np.arange(int(turn.max(initial=-1)) + 2))
    for start, end in itertools.pairwise(bounds):
        now = by_turn[start:end]
        mine, identity = rows[now], hashes[now]
        fresh = ~(seen["hashes"][mine] == identity[:, None]).any(axis=1)
        mine = mine[fresh]
        seen["hashes"][mine, seen["next"][mine] % DEPTH] = identity[fresh]
        seen["next"][mine] += np.uint32(1)
        is_new[now] = fresh
    return is_new
