"""Sliding windows as rings of tiles, and the shapes that states and folds share."""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from online_features.compiled import compiled

Rows = NDArray[np.int64]
States = NDArray[np.void]
Moments = NDArray[np.float64]
Field = tuple[str, type[np.generic], tuple[int, ...]]
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


def moments_of(now_s: Moments | float, n: int) -> Moments:
    """One moment each for n rows, from one for all or from as many; float64[n]."""
    moments = np.asarray(now_s, np.float64)
    # What has its shape already is left alone: numpy's broadcast costs more than most columns.
    return moments if moments.shape == (n,) else np.broadcast_to(moments, (n,))


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
        # A ring that has seen nothing has nothing to forget.
        moved = np.flatnonzero((newest > head) & (head > 0))
        if len(moved):
            stale = self.tile_of_slot(newest[moved]) > head[moved, None]
            tiles[moved] = np.where(stale, 0, tiles[moved])
        head[:] = newest
        late: NDArray[np.bool_] = tile <= newest[rows] - self.tiles
        kept = ~late
        np.add.at(tiles, (rows[kept], tile[kept] % self.tiles), weight[kept])
        return late

    def read(self, states: States, now_s: Moments, *, active: bool = False) -> NDArray[np.float64]:
        """Sum of each span at a moment, or how many of its tiles are not empty; [n, spans]."""
        tile = (moments_of(now_s, len(states)) // self.width_s).astype(np.int64)
        # Copies, for fields of states lie askew in memory.
        head, tiles = (
            np.array(states[f"{self.name}_{field}"], order="C") for field in ("head", "tiles")
        )
        return _sums(head, tiles, tile, self._bounds, active)

    @cached_property
    def _bounds(self) -> NDArray[np.int64]:
        """Newest and oldest of each span, int64[spans, 2]."""
        return np.array([(span.newest, span.oldest) for span in self.spans], np.int64)

    def live(self, head: NDArray[np.uint32], now_s: Moments) -> list[NDArray[np.bool_]]:
        """Which slots lie in each span at a moment, each bool[n, tiles].

        A slot is as old as it lies behind the head, and the head behind now; an event that runs a
        little ahead of the clock counts as of now.
        """
        newest = head.astype(np.int64)
        behind = _behind(self.tiles)[newest % self.tiles]
        since = (now_s // self.width_s).astype(np.int64) - newest
        masks = []
        for span in self.spans:
            live = behind < _bound(span.oldest - since, self.tiles)
            if span.newest:
                live &= behind >= _bound(span.newest - since, self.tiles)
            masks.append(live)
        return masks

    def tile_of_slot(self, head: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which tile each slot holds when `head` is the newest: int64[n, tiles]."""
        slots = np.arange(self.tiles)
        result: NDArray[np.int64] = head[:, None] - (head[:, None] - slots) % self.tiles
        return result


@compiled
def _sums(
    head: NDArray[np.uint32],
    tiles: NDArray[np.uint32],
    now: NDArray[np.int64],
    bounds: NDArray[np.int64],
    active: bool,
) -> NDArray[np.float64]:
    """`Ring.read`; what is live is what `Ring.live` says."""
    size = tiles.shape[1]
    sums = np.zeros((len(head), len(bounds)))
    for i in range(len(head)):
        newest = np.int64(head[i])
        since = now[i] - newest
        for k in range(len(bounds)):
            # What runs ahead of the clock is of now, too.
            begin = max(bounds[k, 0] - since, 0) if bounds[k, 0] else 0
            total = np.int64(0)
            for behind in range(begin, min(bounds[k, 1] - since, size)):
                tile = tiles[i, (newest - behind) % size]
                if active:
                    total += tile > 0
                else:
                    total += np.int64(tile)
            sums[i, k] = total
    return sums


@cache
def _behind(tiles: int) -> NDArray[np.int16]:
    """How many tiles each slot lies behind the head, by the head's slot: int16[tiles, tiles]."""
    slots = np.arange(tiles, dtype=np.int16)
    return (slots[:, None] - slots) % np.int16(tiles)


def _bound(age: NDArray[np.int64], tiles: int) -> NDArray[np.int16]:
    """Ages [n] to compare slots with, int16[n, 1]; beyond the ring, all are alike."""
    return np.minimum(np.maximum(age, 0), tiles).astype(np.int16)[:, None]


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
