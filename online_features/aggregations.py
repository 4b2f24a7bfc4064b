"""The kinds of aggregation that a feature can be, each with its state, its fold and its read.

All of them work on many entities at once. A state is a structured numpy row of fixed width, so
that a micro-batch is folded, and an answer read, without a Python loop over entities or events.
A fold gives the same state however the stream is cut into batches.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_features.columns import EventColumns, occurrence
from online_features.rings import DAY_S, HOUR_S, Field, Moments, Ring, Rows, States


class Aggregation(ABC):
    """What a feature keeps of its events, and what it says of them."""

    @property
    @abstractmethod
    def fields(self) -> tuple[Field, ...]:
        """Name, type and shape of each part of the state; all zero means "nothing seen"."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[str, ...]:
        """Suffixes of the columns that `read` returns; `("",)` for one plain column."""

    @abstractmethod
    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        """Fold `events[i]` into `states[rows[i]]`, in place; return how many came too late."""

    @abstractmethod
    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        """Values at a moment: float[n, len(outputs)], NaN where nothing is known."""

    def still(self, tile_s: int) -> bool:
        """Whether reads at two moments of one tile of so many seconds are always the same."""
        return False


@dataclass(frozen=True)
class Count(Aggregation):
    """How many events, over sliding windows; `active`: in how many tiles of one of them any."""

    windows: tuple[Ring, ...]
    active: Ring | None = None

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(field for ring in self.windows for field in ring.fields)

    @property
    def outputs(self) -> tuple[str, ...]:
        counts = tuple(span.name for ring in self.windows for span in ring.spans)
        active = self.active.spans if self.active else ()
        return counts + tuple(f"active_{span.name}" for span in active)

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        ones = np.ones(len(rows), np.uint32)
        late = np.ones(len(rows), bool)
        for ring in self.windows:
            late &= ring.fold(states, rows, events.time_s, ones)
        return int(late.sum())

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        parts = [ring.read(states, now_s) for ring in self.windows]
        if self.active:
            parts.append(self.active.read(states, now_s, active=True))
        return np.concatenate(parts, axis=1)

    def still(self, tile_s: int) -> bool:
        rings = (*self.windows, self.active) if self.active else self.windows
        return all(ring.width_s % tile_s == 0 for ring in rings)


@dataclass(frozen=True)
class Sum(Aggregation):
    """Sum of a column over sliding windows, in whole units so that sums are exact."""

    windows: tuple[Ring, ...]
    column: str

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(field for ring in self.windows for field in ring.fields)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(span.name for ring in self.windows for span in ring.spans)

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        known = getattr(events, self.column) > 0
        units = np.rint(getattr(events, self.column)[known]).astype(np.uint32)
        late = np.ones(len(units), bool)
        for ring in self.windows:
            late &= ring.fold(states, rows[known], events.time_s[known], units)
        return int(late.sum())

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        return np.concatenate([ring.read(states, now_s) for ring in self.windows], axis=1)

    def still(self, tile_s: int) -> bool:
        return all(ring.width_s % tile_s == 0 for ring in self.windows)


@dataclass(frozen=True)
class Ratio(Aggregation):
    """Share of events of one kind to those of another over a window, drawn towards a prior.

    (successes + prior * weight) / (trials + weight): the mean of a Beta posterior.
    """

    ring: Ring
    success_kind: int
    trial_kind: int
    prior: float
    prior_weight: float

    @property
    def fields(self) -> tuple[Field, ...]:
        one = self.ring.fields
        return tuple((f"{p}_{n}", t, s) for p in ("success", "trial") for n, t, s in one)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("",)

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        late = 0
        for part, kind in (("success", self.success_kind), ("trial", self.trial_kind)):
            mask = events.kind == kind
            ones = np.ones(int(mask.sum()), np.uint32)
            late += int(self._part(part).fold(states, rows[mask], events.time_s[mask], ones).sum())
        return late

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        success, trials = self.counts(states, now_s)
        return (success + self.prior * self.prior_weight) / (trials + self.prior_weight)

    def still(self, tile_s: int) -> bool:
        return self.ring.width_s % tile_s == 0

    def counts(
        self, states: States, now_s: Moments
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Successes and trials of the window, each [n, 1], with no prior."""
        success = self._part("success").read(states, now_s)
        trials = self._part("trial").read(states, now_s)
        # Clicks whose view was never sent must not lift a ratio above one.
        return success, np.maximum(trials, success)

    def _part(self, part: str) -> Ring:
        ring = self.ring
        return Ring(f"{part}_{ring.name}", ring.width_s, ring.tiles, ring.spans)


@dataclass(frozen=True)
class MeanRating(Aggregation):
    """Mean of all ratings ever, and how many; summed in thousandths so that sums are exact."""

    @property
    def fields(self) -> tuple[Field, ...]:
        return (("sum_milli", np.int64, ()), ("count", np.uint32, ()))

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("mean", "count")

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        rated = ~np.isnan(events.rating)
        milli = np.rint(events.rating[rated].astype(np.float64) * 1_000).astype(np.int64)
        np.add.at(states["sum_milli"], rows[rated], milli)
        np.add.at(states["count"], rows[rated], np.uint32(1))
        return 0

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        count = states["count"].astype(np.float64)
        mean = np.full(len(count), np.nan)
        np.divide(states["sum_milli"], 1_000 * count, out=mean, where=count > 0)
        return np.stack([mean, count], axis=1)

    def still(self, tile_s: int) -> bool:
        return True


@dataclass(frozen=True)
class SecondsSinceLatest(Aggregation):
    """Age in seconds of the newest event."""

    @property
    def fields(self) -> tuple[Field, ...]:
        return (("latest_s", np.float64, ()),)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("",)

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        np.maximum.at(states["latest_s"], rows, events.time_s)
        return 0

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        latest = states["latest_s"]
        return np.where(latest > 0, np.maximum(now_s - latest, 0.0), np.nan)[:, None]


@dataclass(frozen=True)
class Histogram(Aggregation):
    """Counts by a small code: hour of the day, day of the week (both UTC), or age group."""

    key: str
    bins: int

    @property
    def fields(self) -> tuple[Field, ...]:
        return (("bins", np.uint32, (self.bins,)),)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(str(bin_) for bin_ in range(self.bins))

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        code = codes_of(self.key, events)
        known = code >= 0
        np.add.at(states["bins"], (rows[known], code[known]), np.uint32(1))
        return 0

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        counts: NDArray[np.float64] = states["bins"].astype(np.float64)
        return counts

    def still(self, tile_s: int) -> bool:
        return True


def codes_of(key: str, events: EventColumns) -> NDArray[np.int64]:
    """The small code of each event: `hour` (0-23), `weekday` (Monday 0), `hour_of_week` (0-167),
    all in UTC, or the name of a column of codes; -1 unknown."""
    if key == "hour":
        return (events.time_s // HOUR_S % 24).astype(np.int64)
    weekday = (events.time_s // DAY_S + 3) % 7  # 1970-01-01 was a Thursday
    if key == "weekday":
        return weekday.astype(np.int64)
    if key == "hour_of_week":
        return (weekday * 24 + events.time_s // HOUR_S % 24).astype(np.int64)
    code: NDArray[np.int64] = getattr(events, key).astype(np.int64)
    return code


@dataclass(frozen=True)
class LastK(Aggregation):
    """The newest k events by event time: their times (whole seconds) and some of their columns.

    Equal times keep the order of arrival. Read as a history (`online_features.history`), not as
    columns.
    """

    k: int
    columns: tuple[tuple[str, type[np.generic]], ...] = (("place", np.uint64), ("kind", np.int8))

    @property
    def fields(self) -> tuple[Field, ...]:
        kept = tuple((name, dtype, (self.k,)) for name, dtype in self.columns)
        return (("time_s", np.uint32, (self.k,)), *kept)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ()

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        # Of one entity's events in this batch only the newest k can matter.
        second = np.floor(events.time_s)
        order = np.lexsort((np.arange(len(rows)), -second, rows))
        place_in_row = occurrence(rows[order])
        order = order[place_in_row < self.k]
        touched, target = np.unique(rows[order], return_inverse=True)
        # Empty slots lie behind all others: most entities have few, and need not be sorted.
        used = int((states["time_s"][touched] != 0).sum(axis=1).max(initial=0))
        column = used + occurrence(rows[order])
        merged: dict[str, NDArray[Any]] = {}
        for name, dtype, _ in self.fields:
            both = np.zeros((len(touched), int(column.max(initial=used)) + 1), dtype)
            both[:, :used] = states[name][touched, :used]
            values = second if name == "time_s" else getattr(events, name)
            both[target, column] = values[order]
            merged[name] = both
        newest = np.argsort(-merged["time_s"].astype(np.int64), axis=1, kind="stable")
        newest = newest[:, : self.k]
        for name, both in merged.items():
            kept = np.take_along_axis(both, newest, axis=1)
            states[name][touched, : kept.shape[1]] = kept
        return 0

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        return np.empty((len(states), 0))
