"""Distinct counts over sliding windows: exact while a tile is small, HyperLogLog after."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_features.aggregations import Aggregation
from online_features.columns import EventColumns, occurrence
from online_features.rings import Field, Moments, Ring, Rows, States

#: A tile's bytes hold this many 32-bit hashes, or else as many 8-bit registers.
EXACT = 32
REGISTERS = 128
DENSE = EXACT + 1
#: Standard error of the estimate once a tile is dense: 1.04 / sqrt(registers).
STANDARD_ERROR_RATIO = 1.04 / np.sqrt(REGISTERS)
_ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)
_INDEX_BITS = 7


@dataclass(frozen=True)
class Distinct(Aggregation):
    """How many different values of a column (`user` or `place`) there were, over a window.

    Each tile holds the values' hashes while there are at most 32, so that the count over the
    window is exact (up to collisions of 32-bit hashes); from the 33rd on, a HyperLogLog of 128
    registers, whose union over the tiles has a standard error of 9.2 %. What a tile holds depends
    on the set of its values alone, not on their order.

    Source: Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog: the analysis of a near-optimal
    cardinality estimation algorithm", 2007; small ranges by linear counting as there.
    """

    ring: Ring
    column: str = "user"

    @property
    def fields(self) -> tuple[Field, ...]:
        n = self.ring.tiles
        return (
            ("head", np.uint32, ()),
            ("count", np.uint8, (n,)),
            ("cells", np.uint8, (n, REGISTERS)),
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(span.name for span in self.ring.spans)

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        tile = (events.time_s // self.ring.width_s).astype(np.int64)
        newest = self._advance(states, rows, tile)
        kept = tile > newest[rows] - self.ring.tiles
        hashes = _hash32(getattr(events, self.column)[kept])
        self._insert(states, rows[kept], tile[kept] % self.ring.tiles, hashes)
        return int((~kept).sum())

    def _advance(self, states: States, rows: Rows, tile: NDArray[np.int64]) -> NDArray[np.int64]:
        head = states["head"]
        newest = head.astype(np.int64)
        np.maximum.at(newest, rows, tile)
        moved = np.flatnonzero((newest > head) & (head > 0))
        if len(moved):
            stale = self.ring.tile_of_slot(newest[moved]) > head[moved, None]
            stale &= states["count"][moved] > 0
            entity, slot = np.nonzero(stale)
            states["count"][moved[entity], slot] = 0
            states["cells"][moved[entity], slot] = 0
        head[:] = newest
        return newest

    def _insert(
        self,
        states: States,
        rows: Rows,
        slots: NDArray[np.int64],
        hashes: NDArray[np.uint32],
    ) -> None:
        turn = occurrence(rows * self.ring.tiles + slots)
        for number in range(int(turn.max(initial=-1)) + 1):
            now = turn == number
            _insert_one_each(states, rows[now], slots[now], hashes[now])

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        count = states["count"]
        filled, packed = count > 0, count == DENSE
        result = np.zeros((len(states), len(self.ring.spans)))
        for column, live in enumerate(self.ring.live(states["head"], now_s)):
            live &= filled
            dense = (live & packed).any(axis=1)
            some = np.flatnonzero(live.any(axis=1) & ~dense)
            result[some, column] = _union(states[some], live[some])
            for row in np.flatnonzero(dense).tolist():
                cells = states["cells"][row][live[row]]
                result[row, column] = _estimate(cells, count[row][live[row]])
        return result

    def still(self, tile_s: int) -> bool:
        return self.ring.width_s % tile_s == 0


def _hash32(values: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """The upper half of a 64-bit hash; never 0, which means an empty cell."""
    upper = (values >> np.uint64(32)).astype(np.uint32)
    mixed = upper ^ (values & np.uint64(0xFFFFFFFF)).astype(np.uint32) * np.uint32(0x9E3779B1)
    return np.where(mixed == 0, np.uint32(1), mixed)


def _insert_one_each(
    states: States, rows: Rows, slots: NDArray[np.int64], hashes: NDArray[np.uint32]
) -> None:
    """Insert one hash into each of different tiles."""
    count = states["count"][rows, slots].astype(np.int64)
    cells = states["cells"][rows, slots]
    exact = np.ascontiguousarray(cells).view(np.uint32)
    known = (exact == hashes[:, None]).any(axis=1)
    room = np.flatnonzero((count < EXACT) & ~known)
    # Ascending, empty cells first: the bytes then do not depend on the order of arrival.
    exact[room, 0] = hashes[room]
    exact[room] = np.sort(exact[room], axis=1)
    count[room] += 1
    full = np.flatnonzero((count == EXACT) & ~known)
    full = np.setdiff1d(full, room, assume_unique=True)
    cells = exact.view(np.uint8)
    for i in full.tolist():
        cells[i] = _registers(np.append(exact[i], hashes[i]))
        count[i] = DENSE
    dense = np.flatnonzero(states["count"][rows, slots] == DENSE)
    index, rank = _index_and_rank(hashes[dense])
    cells[dense, index] = np.maximum(cells[dense, index], rank)
    states["cells"][rows, slots] = cells
    states["count"][rows, slots] = count


def _index_and_rank(hashes: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    index = (hashes >> np.uint32(32 - _INDEX_BITS)).astype(np.int64)
    rest = (hashes << np.uint32(_INDEX_BITS)).astype(np.uint64)
    # Leading zeros of the other 25 bits, plus one; frexp gives the place of the highest bit.
    highest = np.frexp(rest.astype(np.float64))[1]
    rank = np.where(rest == 0, 32 - _INDEX_BITS + 1, 33 - highest)
    return index, rank.astype(np.uint8)


def _registers(hashes: NDArray[np.uint32]) -> NDArray[np.uint8]:
    index, rank = _index_and_rank(hashes)
    registers = np.zeros(REGISTERS, np.uint8)
    np.maximum.at(registers, index, rank)
    return registers


def _filled(cells: NDArray[np.uint8]) -> NDArray[np.uint32]:
    hashes = np.ascontiguousarray(cells).view(np.uint32)
    filled: NDArray[np.uint32] = hashes[hashes != 0]
    return filled


def _union(states: States, live: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Distinct hashes over the live tiles of each state, all of them exact: int64[n]."""
    most = int((states["count"] * live).max(initial=0))
    # Filled cells stand last in a tile.
    hashes = np.ascontiguousarray(states["cells"]).view(np.uint32)[:, :, EXACT - most :]
    hashes = np.where(live[..., None], hashes, 0).reshape(len(states), live.shape[1] * most)
    hashes.sort(axis=1)
    first = np.diff(hashes, axis=1, prepend=np.uint32(0)) != 0
    distinct: NDArray[np.int64] = (first & (hashes != 0)).sum(axis=1)
    return distinct


def _estimate(cells: NDArray[np.uint8], count: NDArray[np.uint8]) -> float:
    """HyperLogLog of the union of tiles, exact ones among them."""
    merged = np.zeros(REGISTERS, np.uint8)
    for tile, filled in zip(cells, count.tolist(), strict=True):
        exact = _filled(tile) if filled <= EXACT else None
        np.maximum(merged, tile if exact is None else _registers(exact), out=merged)
    raw = _ALPHA * REGISTERS**2 / np.sum(2.0 ** -merged.astype(np.float64))
    empty = int((merged == 0).sum())
    if raw <= 2.5 * REGISTERS and empty:
        return float(REGISTERS * np.log(REGISTERS / empty))
    return float(raw)
