"""What was read of places, by catalogue row, until Redis says that it changed.

Most of what a state says changes only when an event comes or a tile of a window passes. So a
service that asks for the same places again and again keeps what it has read of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.ids import id64_of
from online_features.definitions import PLACE
from online_features.keys import Keys
from online_features.place_unpacking import PlaceUnpacking
from online_features.rings import MINUTE_S, Moments, States

Values = NDArray[np.float32]
Rows = NDArray[np.int64]

#: The narrowest tile of any window: within one, time alone changes no windowed value.
TILE_S = 5 * MINUTE_S
#: Places with a state kept on a shelf; each takes about a kilobyte.
SHELF = 50_000

#: Features of which a read is the same all through a tile, with their columns on the shelf.
_STILL = tuple(f for f in PLACE.features if f.aggregation.still(TILE_S))
_ENDS = np.cumsum([0, *(len(f.columns) for f in _STILL)]).tolist()
_COLUMNS_OF = {
    f.name: slice(begin, end) for f, begin, end in zip(_STILL, _ENDS, _ENDS[1:], strict=False)
}
_AT = {column: i for i, column in enumerate(c for f in _STILL for c in f.columns)}
#: The states of the others are kept as they are, and read anew for each moment.
_MOVING = [f.name for f in PLACE.features if f.name not in _COLUMNS_OF]
_MOVING_DTYPE = np.dtype([(name, PLACE.dtype[name]) for name in _MOVING])


@dataclass(frozen=True)
class ShelvedValues:
    """Values of places from a shelf.

    Attributes:
        still: float32[n, columns], of the features that hold all through the tile.
        moving: [n], states of the others.
        now_s: float64[n], Unix seconds.
    """

    still: Values
    moving: States
    now_s: Moments

    def __len__(self) -> int:
        return len(self.still)

    def feature(self, name: str) -> Values:
        """All columns of one feature, float32[n, its columns]."""
        if name in _COLUMNS_OF:
            return self.still[:, _COLUMNS_OF[name]]
        return PLACE.read_feature(name, self.moving, self.now_s)

    def column(self, name: str) -> Values:
        """One column, float32[n]."""
        if name in _AT:
            return self.still[:, _AT[name]]
        feature, at = PLACE.owner[name]
        return self.feature(feature)[:, at]

    def table(self, names: tuple[str, ...]) -> Values:
        """Some columns beside each other, float32[n, len(names)]."""
        at, moving = _found(names)
        found = np.take(self.still, at, axis=1)
        for i in moving:
            found[:, i] = self.column(names[i])
        return found


@cache
def _found(names: tuple[str, ...]) -> tuple[NDArray[np.int64], list[int]]:
    """Where columns stand on the shelf, and positions of those that do not; they are at 0."""
    at = np.array([_AT.get(name, 0) for name in names], np.int64)
    return at, [i for i, name in enumerate(names) if name not in _AT]


def _read_still(states: States, moments: Moments) -> Values:
    return np.concatenate([PLACE.read_feature(f.name, states, moments) for f in _STILL], axis=1)


def _moving_of(states: States) -> States:
    moving = np.zeros(len(states), _MOVING_DTYPE)
    for name in _MOVING:
        moving[name] = states[name]
    return moving


def _unknown(n: int) -> tuple[Values, States]:
    """Rows of places without a state; the moment does not matter."""
    states = PLACE.empty(1)
    still, moving = _read_still(states, np.zeros(1)), _moving_of(states)
    return np.repeat(still, n, axis=0), np.repeat(moving, n)


#: Instead of a tile: the state is not unpacked yet, and there is none, which holds at any moment.
_NOT_YET, _ANY = -1, np.iinfo(np.int64).max
#: All places without a state share this one.
_STATELESS = 0

RowsOf = Callable[[NDArray[np.uint64]], Rows]


def no_rows(hashes: NDArray[np.uint64]) -> Rows:
    """Where nobody watches, no row is wanted."""
    return np.full(len(hashes), -1, np.int64)


class PlaceShelf:
    """What was read of places, by their rows of one catalogue.

    What is here is fresh from when it was read until `changed` names its key. A state has a slot;
    a place without one, as most of a large city are, takes some bytes of its row. Not for use by
    several threads.

    Args:
        keys: of states in Redis.
        rows_of: catalogue rows of places by the hashes of their ids, -1 for others.
        most: states that it holds.
        unpack: where states that cannot be read are named; None: its own.

    Attributes:
        clock: counts questions and changes, so that their order is known.
    """

    def __init__(
        self,
        keys: Keys,
        rows_of: RowsOf = no_rows,
        most: int = SHELF,
        unpack: PlaceUnpacking | None = None,
    ) -> None:
        self._names = keys
        self._rows_of = rows_of
        self._most = most
        self._unpack = unpack or PlaceUnpacking()
        self.clock = 0
        # By row.
        self._slot, self._fresh = np.zeros(0, np.int32), np.zeros(0, bool)
        self._changed_at, self._asked_at = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._all_changed_at = 0
        # By slot.
        self._slot_of_key: dict[bytes, int] = {}
        self._row, self._keys = [-1], [""]
        self._packed: list[bytes | None] = [None]
        self._still, self._moving = _unknown(256)
        self._tile = np.full(256, _ANY, np.int64)

    def __len__(self) -> int:
        """How many states have a slot."""
        return len(self._keys) - 1

    def has_room(self, rows: Rows) -> bool:
        """Whether states of places in some rows are here, or can be."""
        self._reach(rows)
        new = (self._slot[rows] == _STATELESS) & ~self._fresh[rows]
        wanted = int(np.count_nonzero(new))
        return not wanted or len(self) + wanted <= self._most

    def lacking(self, rows: Rows) -> Rows:
        """Of some rows those that must be read."""
        self._reach(rows)
        return rows[~self._fresh[rows]]

    def _reach(self, rows: Rows) -> None:
        """Let there be something of each row; nothing is known of new ones."""
        n = len(self._slot)
        if (highest := int(rows.max(initial=-1))) < n:
            return
        size = max(highest + 1, 2 * n, 1_024)
        self._slot, self._fresh = _longer(self._slot, size), _longer(self._fresh, size)
        self._changed_at = _longer(self._changed_at, size)
        self._asked_at = _longer(self._asked_at, size)

    def keys(self, rows: Rows, place_ids: Callable[[Rows], list[str]]) -> list[str]:
        """Keys in Redis of the states of some rows.

        Args:
            rows: int64[n] catalogue rows.
            place_ids: says the ids of some rows.
        """
        self._reach(rows)
        slots, held = self._slot[rows], self._keys
        keys = [held[slot] for slot in slots.tolist()]
        new = np.flatnonzero(slots == _STATELESS)
        if len(new):
            made = self._names.entities("b", place_ids(rows[new]))
            for i, key in zip(new.tolist(), made, strict=True):
                keys[i] = key
        return keys

    def ask(self) -> int:
        """Stands for now, when places are asked for; hand it to `put`."""
        self.clock += 1
        return self.clock

    def put(
        self,
        rows: Rows,
        keys: Sequence[str],
        packed: Sequence[bytes | None],
        asked_at: int,
        *,
        watched: bool,
    ) -> None:
        """Take what was read, but for places of which a later question was answered already.

        Args:
            rows: of n places, as they were handed to `keys`.
            keys: theirs.
            packed: what Redis holds of each.
            asked_at: of `ask`, before Redis was asked.
            watched: whether Redis has told of changes since; else it counts for this once.
        """
        latest, held = self._asked_at[rows] <= asked_at, self._packed
        slots = self._slot[rows].tolist()
        for row, key, value, slot, is_latest in zip(
            rows.tolist(), keys, packed, slots, latest.tolist(), strict=True
        ):
            if not is_latest or (value is None and slot == _STATELESS):
                continue
            at = slot or self._slot_for(row, key)
            if held[at] != value:
                held[at] = value
                self._tile[at] = _NOT_YET
        rows = rows[latest]
        self._asked_at[rows] = asked_at
        known = watched and self._all_changed_at <= asked_at
        self._fresh[rows] = known & (self._changed_at[rows] <= asked_at)

    def _slot_for(self, row: int, key: str) -> int:
        """The slot of a place that has a state, or a new one."""
        slot = self._slot_of_key.setdefault(key.encode(), len(self._keys))
        if slot == len(self._keys):
            if slot == len(self._tile):
                still, moving = _unknown(slot)
                self._still = np.concatenate([self._still, still])
                self._moving = np.concatenate([self._moving, moving])
                self._tile = np.concatenate([self._tile, np.full(slot, _ANY, np.int64)])
            self._row.append(row)
            self._keys.append(key)
            self._packed.append(None)
            self._slot[row] = slot
        return slot

    def all_changed(self) -> None:
        """Nothing that is held is fresh any more, nor what was asked for before."""
        self.clock += 1
        self._fresh[:], self._all_changed_at = False, self.clock

    def changed(self, keys: Sequence[bytes]) -> Rows:
        """The same of these keys alone; the catalogue rows of those that are of places."""
        self.clock += 1
        slot_of_key, row_of_slot = self._slot_of_key, self._row
        rows: list[int] = []
        others: list[bytes] = []
        for key in keys:
            if slot := slot_of_key.get(key):
                rows.append(row_of_slot[slot])
            else:
                others.append(key)
        if others:
            hashes = [id64_of(place_id) for place_id in self._names.ids_of(others) if place_id]
            # In order, for a look-up of thousands among a million takes half as long.
            rows += self._rows_of(np.sort(np.array(hashes, np.uint64))).tolist()
        known = np.array(rows, np.int64)
        known = known[known >= 0]
        at = known[known < len(self._fresh)]  # of no other has anybody asked
        self._fresh[at] = False
        self._changed_at[at] = self.clock
        return known

    def values(self, rows: Rows, now_s: float) -> ShelvedValues:
        """Values of places [n] at a moment; only what is new, or of another tile, is unpacked.

        A state that cannot be read leaves its place, and no other, unknown.
        """
        self._reach(rows)
        slots, tile = self._slot[rows], int(now_s // TILE_S)
        tiles = self._tile[slots]
        old = slots[(tiles != tile) & (tiles != _ANY)]
        if len(old):
            self._read(np.unique(old), now_s)
        return ShelvedValues(self._still[slots], self._moving[slots], np.full(len(slots), now_s))

    def _read(self, slots: NDArray[np.int32], now_s: float) -> None:
        some = slots.tolist()
        packed = [self._packed[slot] for slot in some]
        ids = self._names.ids_of([self._keys[slot].encode() for slot in some])
        states, _ = self._unpack([place_id.decode() for place_id in ids], packed)
        self._still[slots] = _read_still(states, np.full(len(states), now_s))
        self._moving[slots] = _moving_of(states)
        none = np.fromiter((value is None for value in packed), bool, len(packed))
        self._tile[slots] = np.where(none, _ANY, int(now_s // TILE_S))


def _longer(values: NDArray[Any], size: int) -> NDArray[Any]:
    longer = np.zeros(size, values.dtype)
    longer[: len(values)] = values
    return longer
