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

Rows = NDArray[np.int64]
States = NDArray[np.void]
Moments = NDArray[np.float64]
Field = tuple[str, type[np.generic], tuple[int, ...]]
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


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


@dataclass(frozen=True)
class Span:
    """A stretch of a ring: tiles aged `newest` up to, not including, `oldest`."""

    name: str
    newest: int
    oldest: int


@dataclass(frozen=True)
class Ring:
    """A sliding window as a ring of tiles: `tiles` counters, each of `width_s` seconds.

    A window of W seconds counts the events of the current tile and of the W/width - 1 before it,
    so it reaches back between W - width and W seconds. Tiles are cut by event time since the
    Unix epoch; a late event lands in its own tile while the ring still holds it.
    """

    name: str
    width_s: int
    tiles: int
    spans: tuple[Span, ...]

    @property
    def fields(self) -> tuple[Field, ...]:
        """Newest tile seen, and a counter for each tile that the ring holds."""
        return (
            (f"{self.name}_head", np.uint32, ()),
            (f"{self.name}_tiles", np.uint32, (self.tiles,)),
        )

    def fold(
        self, states: States, rows: Rows, time_s: Moments, weight: NDArray[np.uint32]
    ) -> NDArray[np.bool_]:
        """Add each weight to the tile of its time; return which were too late for the ring."""
        head, tiles = states[f"{self.name}_head"], states[f"{self.name}_tiles"]
        tile = (time_s // self.width_s).astype(np.int64)
        newest = head.astype(np.int64)
        np.maximum.at(newest, rows, tile)
        moved = np.flatnonzero(newest > head)
        if len(moved):
            stale = self._tile_of_slot(newest[moved]) > head[moved, None]
            tiles[moved] = np.where(stale, 0, tiles[moved])
            head[moved] = newest[moved]
        late: NDArray[np.bool_] = tile <= newest[rows] - self.tiles
        kept = ~late
        np.add.at(tiles, (rows[kept], tile[kept] % self.tiles), weight[kept])
        return late

    def read(self, states: States, now_s: Moments) -> NDArray[np.float64]:
        """Sum of each span at a moment, float64[n, spans]."""
        head, tiles = states[f"{self.name}_head"], states[f"{self.name}_tiles"]
        now_tile = (now_s // self.width_s).astype(np.int64)
        # An event may run a little ahead of the clock: it counts as of now.
        age = np.maximum(now_tile[:, None] - self._tile_of_slot(head.astype(np.int64)), 0)
        sums = [
            np.where((age >= s.newest) & (age < s.oldest), tiles, 0).sum(axis=1) for s in self.spans
        ]
        return np.stack(sums, axis=1).astype(np.float64)

    def _tile_of_slot(self, head: NDArray[np.int64]) -> NDArray[np.int64]:
        slots = np.arange(self.tiles)
        result: NDArray[np.int64] = head[:, None] - (head[:, None] - slots) % self.tiles
        return result


def window(name: str, width_s: int, tiles: int, *, before: bool = False) -> Ring:
    """A ring with one window over all of it; `before` also keeps the window before that."""
    spans: tuple[Span, ...] = (Span(name, 0, tiles),)
    if before:
        spans += (Span(f"before_{name}", tiles, 2 * tiles),)
    return Ring(f"w{name}", width_s, tiles * len(spans), spans)


LAST_1H = window("1h", 5 * MINUTE_S, 12)
LAST_24H = window("24h", HOUR_S, 24)
LAST_7D = window("7d", 6 * HOUR_S, 28)
LAST_7D_AND_BEFORE = window("7d", 6 * HOUR_S, 28, before=True)
LAST_28D = window("28d", DAY_S, 28)


@dataclass(frozen=True)
class Count(Aggregation):
    """How many events, over sliding windows."""

    windows: tuple[Ring, ...]

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(field for ring in self.windows for field in ring.fields)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(span.name for ring in self.windows for span in ring.spans)

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        ones = np.ones(len(rows), np.uint32)
        late = np.ones(len(rows), bool)
        for ring in self.windows:
            late &= ring.fold(states, rows, events.time_s, ones)
        return int(late.sum())

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        return np.concatenate([ring.read(states, now_s) for ring in self.windows], axis=1)


@dataclass(frozen=True)
class ActiveTiles(Aggregation):
    """In how many tiles of a ring anything happened at all: active days, with tiles of a day."""

    ring: Ring

    @property
    def fields(self) -> tuple[Field, ...]:
        return self.ring.fields

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(span.name for span in self.ring.spans)

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        ones = np.ones(len(rows), np.uint32)
        return int(self.ring.fold(states, rows, events.time_s, ones).sum())

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        seen = states.copy()
        tiles = seen[f"{self.ring.name}_tiles"]
        np.minimum(tiles, 1, out=tiles)
        return self.ring.read(seen, now_s)


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
        success = self._part("success").read(states, now_s)
        trials = self._part("trial").read(states, now_s)
        # Clicks whose view was never sent must not lift a ratio above one.
        trials = np.maximum(trials, success)
        return (success + self.prior * self.prior_weight) / (trials + self.prior_weight)

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
        code = self._codes(events)
        known = code >= 0
        np.add.at(states["bins"], (rows[known], code[known]), np.uint32(1))
        return 0

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        counts: NDArray[np.float64] = states["bins"].astype(np.float64)
        return counts

    def _codes(self, events: EventColumns) -> NDArray[np.int64]:
        if self.key == "hour":
            return (events.time_s // HOUR_S % 24).astype(np.int64)
        if self.key == "weekday":  # 1970-01-01 was a Thursday; Monday is 0
            return ((events.time_s // DAY_S + 3) % 7).astype(np.int64)
        return events.age_group.astype(np.int64)


@dataclass(frozen=True)
class LastK(Aggregation):
    """The newest k events by event time: their places, times and kinds.

    Equal times keep the order of arrival. Read as a history (`online_features.history`), not as
    columns.
    """

    k: int

    @property
    def fields(self) -> tuple[Field, ...]:
        return (
            ("time_s", np.float64, (self.k,)),
            ("place", np.uint64, (self.k,)),
            ("kind", np.int8, (self.k,)),
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        return ()

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        # Of one entity's events in this batch only the newest k can matter.
        order = np.lexsort((np.arange(len(rows)), -events.time_s, rows))
        place_in_row = occurrence(rows[order])
        order = order[place_in_row < self.k]
        touched, target = np.unique(rows[order], return_inverse=True)
        column = self.k + occurrence(rows[order])
        merged: dict[str, NDArray[Any]] = {}
        for name, dtype, _ in self.fields:
            both = np.zeros((len(touched), int(column.max(initial=self.k)) + 1), dtype)
            both[:, : self.k] = states[name][touched]
            values = getattr(events, name)[order]
            both[target, column] = values
            merged[name] = both
        newest = np.argsort(-merged["time_s"], axis=1, kind="stable")[:, : self.k]
        for name, both in merged.items():
            states[name][touched] = np.take_along_axis(both, newest, axis=1)
        return 0

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        return np.empty((len(states), 0))
