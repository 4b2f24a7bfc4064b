"""Events as columns: what every fold works on, whichever engine runs it."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from contracts.events import AGE_GROUPS, EVENT_TYPES

KIND_CODE = {kind: code for code, kind in enumerate(EVENT_TYPES)}
VIEW, CLICK, VISIT, RATE = (KIND_CODE[kind] for kind in ("view", "click", "visit", "rate"))
AGE_CODE = {group: code for code, group in enumerate(AGE_GROUPS)}


@dataclass(frozen=True)
class EventColumns:
    """Interactions as parallel arrays of one length, in order of arrival.

    Attributes:
        user, place: uint64 hashes of the ids (`contracts.ids.id64`).
        kind: int8, index in `contracts.events.EVENT_TYPES`.
        time_s: float64 event time, Unix seconds.
        rating: float32, 1 to 5; NaN where there is none.
        age_group: int8, index in `contracts.events.AGE_GROUPS`; -1 unknown.
        event_hash: uint64 identity of the event: of its `event_id`, else of its bytes.
        lat, lng: float64, where the user was, degrees; NaN unknown.
        dwell_s: float32, how long the user stayed, seconds; NaN unknown.
    """

    user: NDArray[np.uint64]
    place: NDArray[np.uint64]
    kind: NDArray[np.int8]
    time_s: NDArray[np.float64]
    rating: NDArray[np.float32]
    age_group: NDArray[np.int8]
    event_hash: NDArray[np.uint64]
    lat: NDArray[np.float64]
    lng: NDArray[np.float64]
    dwell_s: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.user)

    def take(self, indices: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Self:
        """The same columns at some positions, or under a mask."""
        return type(self)(**{f.name: getattr(self, f.name)[indices] for f in fields(self)})

    @classmethod
    def of(cls, **columns: object) -> Self:
        """Columns from any sequences, cast to their types; absent optional ones are unknown."""
        n = len(columns["user"])  # type: ignore[arg-type]
        full = (
            {name: np.full(n, np.nan) for name in ("rating", "lat", "lng", "dwell_s")}
            | {
                "age_group": np.full(n, -1),
                "event_hash": np.arange(1, n + 1),
            }
            | columns
        )
        return cls(**{name: np.asarray(full[name], dtype) for name, dtype in _TYPES.items()})


_TYPES = {
    "user": np.uint64,
    "place": np.uint64,
    "kind": np.int8,
    "time_s": np.float64,
    "rating": np.float32,
    "age_group": np.int8,
    "event_hash": np.uint64,
    "lat": np.float64,
    "lng": np.float64,
    "dwell_s": np.float32,
}


def occurrence(rows: NDArray[np.integer]) -> NDArray[np.int64]:
    """For each position, how many before it hold the same row: `[4, 4, 7, 4] -> [0, 1, 0, 2]`."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(rows) else order
    lengths = np.diff(np.r_[starts, len(rows)])
    result = np.empty(len(rows), np.int64)
    result[order] = np.arange(len(rows)) - np.repeat(starts, lengths)
    return result
