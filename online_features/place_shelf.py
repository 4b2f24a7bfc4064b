"""What was read of places, by catalogue row, until Redis says that it changed.

Most of what a state says changes only when an event comes or a tile of a window passes. So a
service that asks for the same places again and again keeps what it has read of them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from online_features.definitions import PLACE
from online_features.place_unpacking import PlaceUnpacking
from online_features.rings import MINUTE_S, Moments, States

Values = NDArray[np.float32]
Rows = NDArray[np.int64]

#: The narrowest tile of any window: within one, time alone changes no windowed value.
TILE_S = 5 * MINUTE_S
#: Places kept on a shelf; each takes about a kilobyte.
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


class PlaceShelf:
    """What was read of places, by their rows of one catalogue.

    What is here is fresh from when it was read until `changed` names its key. Of a place without a
    state, as most of a large city are, nothing is unpacked. Not for use by several threads.

    Args:
        keys_of: keys in Redis of places by their ids.
        most: places that it holds.
        unpack: where states that cannot be read are named; None: its own.

    Attributes:
        clock: counts questions and changes, so that their order is known.
    """

    def __init__(
        self,
        keys_of: Callable[[Sequence[str]], list[str]],
        most: int = SHELF,
        unpack: PlaceUnpacking | None = None,
    ) -> None:
        self._keys_of = keys_of
        self._most = most
        self._unpack = unpack or PlaceUnpacking()
        self.clock = 0
        self._slot_of_row = np.full(1_024, -1, np.int64)
        self._slot_of_key: dict[bytes, int] = {}
        self._ids: list[str] = []
        self._keys: list[str] = []
        self._packed: list[bytes | None] = []
        self._still, self._moving = _unknown(0)
        self._tile, self._fresh = np.zeros(0, np.int64), np.zeros(0, bool)
        self._changed_at, self._asked_at = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._grow(256)

    def __len__(self) -> int:
        return len(self._ids)

    def _grow(self, more: int) -> None:
        """Let there be room for more places; nothing is known of them."""
        still, moving = _unknown(more)
        self._still = np.concatenate([self._still, still])
        self._moving = np.concatenate([self._moving, moving])
        self._tile = np.concatenate([self._tile, np.full(more, _ANY, np.int64)])
        self._fresh = np.concatenate([self._fresh, np.zeros(more, bool)])
        self._changed_at = np.concatenate([self._changed_at, np.zeros(more, np.int64)])
        self._asked_at = np.concatenate([self._asked_at, np.zeros(more, np.int64)])

    def has_room(self, rows: Rows) -> bool:
        """Whether places in some rows are here, or can be."""
        return len(self) + len(rows) <= self._most or bool((self._found(rows) >= 0).all())

    def _found(self, rows: Rows) -> Rows:
        highest = int(rows.max(initial=-1))
        if highest >= len(self._slot_of_row):
            more = np.full(max(highest + 1, 2 * len(self._slot_of_row)), -1, np.int64)
            more[: len(self._slot_of_row)] = self._slot_of_row
            self._slot_of_row = more
        return self._slot_of_row[rows]

    def slots(self, rows: Rows, place_ids: Callable[[Rows], list[str]]) -> Rows:
        """Where places are, int64[n]; those that are new get a slot.

        Args:
            rows: int64[n] catalogue rows.
            place_ids: says the ids of some rows.
        """
        slots = self._found(rows)
        if len(new := rows[slots < 0]):
            new = np.unique(new)
            self._add(new, place_ids(new))
            slots = self._found(rows)
        return slots

    def _add(self, rows: Rows, place_ids: list[str]) -> None:
        first, size = len(self), len(self) + len(rows)
        if size > len(self._still):
            self._grow(max(size, 2 * len(self._still)) - len(self._still))
        keys = self._keys_of(place_ids)
        self._ids += place_ids
        self._keys += keys
        self._packed += [None] * len(rows)
        self._slot_of_key.update((key.encode(), first + i) for i, key in enumerate(keys))
        self._slot_of_row[rows] = np.arange(first, size)

    def lacking(self, slots: Rows) -> Rows:
        """Of some slots those that must be read."""
        return slots[~self._fresh[slots]]

    def keys(self, slots: Rows) -> list[str]:
        """Keys in Redis of some slots."""
        keys = self._keys
        return [keys[slot] for slot in slots.tolist()]

    def ask(self) -> int:
        """Stands for now, when places are asked for; hand it to `put`."""
        self.clock += 1
        return self.clock

    def put(
        self, slots: Rows, packed: Sequence[bytes | None], asked_at: int, *, watched: bool
    ) -> None:
        """Take what was read, but for places of which a later question was answered already.

        Args:
            slots: of n places.
            packed: what Redis holds of each.
            asked_at: of `ask`, before Redis was asked.
            watched: whether Redis has told of changes since; else it counts for this once.
        """
        latest = self._asked_at[slots] <= asked_at
        held = self._packed
        for slot, value, is_latest in zip(slots.tolist(), packed, latest.tolist(), strict=True):
            if is_latest and held[slot] != value:
                held[slot] = value
                self._tile[slot] = _NOT_YET
        slots = slots[latest]
        self._asked_at[slots] = asked_at
        self._fresh[slots] = watched & (self._changed_at[slots] <= asked_at)

    def changed(self, keys: Iterable[bytes] | None) -> None:
        """What is held of these keys is not fresh any more, nor what was asked for before.

        None: of all keys.
        """
        self.clock += 1
        if keys is None:
            self._fresh[:], self._changed_at[:] = False, self.clock
            return
        slot_of_key = self._slot_of_key
        for key in keys:
            if (slot := slot_of_key.get(key)) is not None:
                self._fresh[slot] = False
                self._changed_at[slot] = self.clock

    def values(self, slots: Rows, now_s: float) -> ShelvedValues:
        """Values of places [n] at a moment; only what is new, or of another tile, is unpacked.

        A state that cannot be read leaves its place, and no other, unknown.
        """
        tile = int(now_s // TILE_S)
        tiles = self._tile[slots]
        old = slots[(tiles != tile) & (tiles != _ANY)]
        if len(old):
            self._read(np.unique(old), now_s)
        return ShelvedValues(self._still[slots], self._moving[slots], np.full(len(slots), now_s))

    def _read(self, slots: Rows, now_s: float) -> None:
        packed = [self._packed[slot] for slot in slots.tolist()]
        states, _ = self._unpack([self._ids[slot] for slot in slots.tolist()], packed)
        self._still[slots] = _read_still(states, np.full(len(states), now_s))
        self._moving[slots] = _moving_of(states)
        none = np.fromiter((value is None for value in packed), bool, len(packed))
        self._tile[slots] = np.where(none, _ANY, int(now_s // TILE_S))
