"""A user's recent places, newest first, as the models and the request features read them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_features.compiled import compiled
from online_features.definitions import LOOKS_KEPT, VISITS_KEPT
from online_features.rings import moments_of

HISTORY = VISITS_KEPT + LOOKS_KEPT


@dataclass(frozen=True)
class History:
    """Recent events of n users, newest first, looks and visits together (128 + 16 of them, or
    fewer: see `trimmed`).

    Attributes:
        ids: uint64[n, 144] place hashes, 0 where there is no event.
        time_s: float64[n, 144] event times, 0 where there is none.
        kind: int8[n, 144] index in `contracts.events.EVENT_TYPES`.
    """

    ids: NDArray[np.uint64]
    time_s: NDArray[np.float64]
    kind: NDArray[np.int8]

    def of_each(self, requests: int) -> "History":
        """One history for each of some requests, from one of all or from as many."""
        if len(self.ids) == requests:
            return self
        all_of_one = np.zeros(requests, np.int64)
        return History(self.ids[all_of_one], self.time_s[all_of_one], self.kind[all_of_one])

    def trimmed(self) -> "History":
        """Without the columns behind the longest history, but for one if all are empty: [n, k]."""
        longest = int(np.count_nonzero(self.ids, axis=1).max(initial=1))
        return History(
            np.ascontiguousarray(self.ids[:, :longest]),
            np.ascontiguousarray(self.time_s[:, :longest]),
            np.ascontiguousarray(self.kind[:, :longest]),
        )

    def age_s(self, now_s: NDArray[np.float64] | float) -> NDArray[np.float32]:
        """Seconds since each event, float32[n, 144]; 0 where there is none."""
        moments = moments_of(now_s, len(self.ids))[:, None]
        age = np.where(self.ids != 0, np.maximum(moments - self.time_s, 0), 0)
        return age.astype(np.float32)


def history(user_states: NDArray[np.void]) -> History:
    """Merge the last visits and the last looks of each state by time."""
    visits, looks = user_states["last_visits"], user_states["last_looks"]

    def both(name: str) -> NDArray[Any]:
        return np.concatenate([visits[name], looks[name]], axis=1)

    ids, time_s, kind = both("place"), both("time_s").astype(np.float64), both("kind")
    merged = History(np.empty_like(ids), np.empty_like(time_s), np.empty_like(kind))
    _newest_first(ids, time_s, kind, merged.ids, merged.time_s, merged.kind)
    return merged


@compiled
def _newest_first(
    ids: NDArray[np.uint64],
    time_s: NDArray[np.float64],
    kind: NDArray[np.int8],
    ids_to: NDArray[np.uint64],
    time_to: NDArray[np.float64],
    kind_to: NDArray[np.int8],
) -> None:
    """Fill in the last three with the events of each row, [n, k]; of one time, as they stand.

    By insertion: visits and looks are each nearly in order already.
    """
    for i in range(ids.shape[0]):
        for j in range(ids.shape[1]):
            at, moment_s = j, time_s[i, j]
            while at > 0 and time_to[i, at - 1] < moment_s:
                ids_to[i, at], time_to[i, at] = ids_to[i, at - 1], time_to[i, at - 1]
                kind_to[i, at] = kind_to[i, at - 1]
                at -= 1
            ids_to[i, at], time_to[i, at], kind_to[i, at] = ids[i, j], moment_s, kind[i, j]
