"""Aggregations by a key, older events fading: a small histogram, and the strongest k keys.

Fading is forward decay: an event at time t is added with the weight exp((t - L) / tau) for a fixed
landmark L, and a read multiplies by exp(-(now - L) / tau). Nothing has to be aged while no event
comes, and a late event gets the weight that it would have had in time.

Source: Cormode, Shkapenyuk, Srivastava, Xu, "Forward Decay: A Practical Time Decay Model for
Streaming Systems", 2009.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_features.aggregations import Aggregation, codes_of
from online_features.columns import EventColumns, occurrence
from online_features.rings import DAY_S, Field, Moments, Rows, States

#: 2020-01-01. exp(88) is the most that single precision holds: with tau of 60 days until 2034.
LANDMARK_S = 1_577_836_800.0
LEAST_TAU_S = 60.0 * DAY_S


def forward_weight(time_s: Moments, tau_s: float) -> NDArray[np.float64]:
    """Weight with which an event at a time is added."""
    return np.exp((time_s - LANDMARK_S) / tau_s)


def _check(tau_s: float) -> None:
    if tau_s < LEAST_TAU_S:
        raise ValueError(f"tau_s must be at least {LEAST_TAU_S:.0f} s, got {tau_s}")


@dataclass(frozen=True)
class DecayedHistogram(Aggregation):
    """Fading counts by a small code: see `aggregations.codes_of` for the keys.

    Raises:
        ValueError: tau is under sixty days (weights would overflow).
    """

    key: str
    bins: int
    tau_s: float

    def __post_init__(self) -> None:
        _check(self.tau_s)

    @property
    def fields(self) -> tuple[Field, ...]:
        return (("weights", np.float32, (self.bins,)),)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(str(bin_) for bin_ in range(self.bins))

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        code = codes_of(self.key, events)
        known = code >= 0
        weight = forward_weight(events.time_s[known], self.tau_s)
        np.add.at(states["weights"], (rows[known], code[known]), weight.astype(np.float32))
        return 0

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        weights = states["weights"].astype(np.float64)
        faded: NDArray[np.float64] = weights / forward_weight(now_s, self.tau_s)[:, None]
        return faded


@dataclass(frozen=True)
class TopPlaces(Aggregation):
    """The k places with the greatest fading number of events, and the number for all places.

    Exact while an entity has met at most k places. After that a new place takes the slot of the
    faintest, with the weight of its own event alone: what the slot's place had is forgotten, and
    stands in the total only. Weights are single precision. Read as slots (`read_places`), the
    total as a column.

    Raises:
        ValueError: tau is under sixty days (weights would overflow).
    """

    k: int
    tau_s: float

    def __post_init__(self) -> None:
        _check(self.tau_s)

    @property
    def fields(self) -> tuple[Field, ...]:
        return (
            ("place", np.uint64, (self.k,)),
            ("weight", np.float32, (self.k,)),
            ("total", np.float32, ()),
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("total",)

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        weight = forward_weight(events.time_s, self.tau_s)
        turn = occurrence(rows)
        order = np.argsort(turn, kind="stable")
        for now in np.split(order, np.flatnonzero(np.diff(turn[order])) + 1):
            mine = rows[now]
            slot = self._slot(states, mine, events.place[now])
            same = states["place"][mine, slot] == events.place[now]
            kept = np.where(same, states["weight"][mine, slot], 0.0)
            states["place"][mine, slot] = events.place[now]
            states["weight"][mine, slot] = kept + weight[now]
            states["total"][mine] += weight[now]
        return 0

    @staticmethod
    def _slot(states: States, rows: Rows, place: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The place's own slot, else the faintest (an empty one has no weight)."""
        own = states["place"][rows] == place[:, None]
        faintest = np.argmin(states["weight"][rows], axis=1)
        slot: NDArray[np.int64] = np.where(own.any(axis=1), np.argmax(own, axis=1), faintest)
        return slot

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        faded: NDArray[np.float64] = states["total"].astype(np.float64) / forward_weight(
            now_s, self.tau_s
        )
        return faded[:, None]

    def read_places(
        self, states: States, now_s: Moments
    ) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
        """Place hashes [n, k], 0 in an empty slot, and their faded weights [n, k]."""
        weight = states["weight"].astype(np.float64)
        return states["place"], weight / forward_weight(now_s, self.tau_s)[:, None]
