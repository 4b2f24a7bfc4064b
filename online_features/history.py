"""A user's recent places, newest first, as the models and the request features read them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_features.definitions import LOOKS_KEPT, VISITS_KEPT
from online_features.rings import moments_of

HISTORY = VISITS_KEPT + LOOKS_KEPT


@dataclass(frozen=True)
class History:
    """Recent events of n users, newest first, looks and visits together (128 + 16 of them).

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

    def age_s(self, now_s: NDArray[np.float64] | float) -> NDArray[np.float32]:
        """Seconds since each event, float32[n, 144]; 0 where there is none."""
        moments = moments_of(now_s, len(self.ids))[:, None]
        age = np.where(self.ids != 0, np.maximum(moments - self.time_s, 0), 0)
        return age.astype(np.float32)


def history(user_states: NDArray[np.void]) -> History:
    """Merge the last visits and the last looks of each state by time."""
    visits, looks = user_states["last_visits"], user_states["last_looks"]
    time_s = np.concatenate([visits["time_s"], looks["time_s"]], axis=1).astype(np.float64)
    order = np.argsort(-time_s, axis=1, kind="stable")
    user = np.arange(len(order))[:, None]

    def ordered(name: str) -> NDArray[np.generic]:
        both = np.concatenate([visits[name], looks[name]], axis=1)
        return np.asarray(both[user, order])

    return History(
        ids=ordered("place").astype(np.uint64),
        time_s=time_s[user, order],
        kind=ordered("kind").astype(np.int8),
    )
