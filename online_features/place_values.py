"""What the states of places say at a moment: read from states, or from a shelf of earlier reads.

Most of what a state says changes only when an event comes or a tile of a window passes. So a
service that reads the same places again and again keeps what it has read: of 200 states of which
three have changed, it unpacks three.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from online_features.definitions import PLACE
from online_features.place_unpacking import PlaceUnpacking
from online_features.rings import MINUTE_S, Moments, States

Values = NDArray[np.float32]

#: The narrowest tile of any window: within one, time alone changes no windowed value.
TILE_S = 5 * MINUTE_S
#: Places kept on a shelf; each takes some 700 bytes.
SHELF = 50_000


class PlaceValues(Protocol):
    """Features of n places at their moments."""

    def __len__(self) -> int:
        """n."""

    def table(self, names: tuple[str, ...]) -> Values:
        """Some columns as `FeatureSet.read` gives them, float32[n, len(names)]."""


@dataclass(frozen=True)
class PlaceStates:
    """Values read from states, each feature when it is first asked for.

    Attributes:
        states: [n].
        now_s: float64[n], Unix seconds.
    """

    states: States
    now_s: Moments

    def __len__(self) -> int:
        return len(self.states)

    @classmethod
    def at(cls, states: States, now_s: float) -> "PlaceStates":
        """All of them at one moment."""
        return cls(states, np.full(len(states), now_s))

    @cached_property
    def _read(self) -> dict[str, Values]:
        return {}

    def feature(self, name: str) -> Values:
        """All columns of one feature, float32[n, its columns]."""
        if name not in self._read:
            self._read[name] = PLACE.read_feature(name, self.states, self.now_s)
        return self._read[name]

    def column(self, name: str) -> Values:
        """One column, float32[n]."""
        feature, at = PLACE.owner[name]
        return self.feature(feature)[:, at]

    def table(self, names: tuple[str, ...]) -> Values:
        """Some columns beside each other, float32[n, len(names)]."""
        return np.stack([self.column(name) for name in names], axis=1)


@dataclass(frozen=True)
class ReadValues:
    """Values that were read elsewhere, each at its own moment.

    Attributes:
        values: float32[n, columns], as `PLACE.read` gives them.
    """

    values: Values

    def __len__(self) -> int:
        return len(self.values)

    def table(self, names: tuple[str, ...]) -> Values:
        """Some columns beside each other, float32[n, len(names)]."""
        return np.take(self.values, [PLACE.index[name] for name in names], axis=1)


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


class PlaceShelf:
    """What was read of places, by their ids.

    Of a place without a state, as most of a large city are, nothing is read: what is said of the
    unknown is the same at any moment. Full, it is emptied: the places asked for most are back
    within a few requests. Not for use by several threads.

    Args:
        most: places that it holds.
        unpack: where states that cannot be read are named; None: its own.
    """

    def __init__(self, most: int = SHELF, unpack: PlaceUnpacking | None = None) -> None:
        self._most = most
        self._unpack = unpack or PlaceUnpacking()
        self._clear()

    def __len__(self) -> int:
        return len(self._slot)

    def _clear(self) -> None:
        self._slot: dict[str, int] = {}
        self._packed: list[bytes | None] = []
        self._tile: list[int] = []
        self._still, self._moving = _unknown(256)

    def values(
        self, place_ids: Sequence[str], packed: Sequence[bytes | None], now_s: float
    ) -> ShelvedValues:
        """Values of places at a moment; only what is new is unpacked.

        A state that cannot be read leaves its place, and no other, unknown.

        Args:
            place_ids: of n places.
            packed: what Redis holds of each.
            now_s: Unix seconds.
        """
        tile = int(now_s // TILE_S)
        slots = self._slots(place_ids)
        held, tiles = self._packed, self._tile
        new = [
            i
            for i, (slot, value) in enumerate(zip(slots, packed, strict=True))
            if held[slot] != value or (value is not None and tiles[slot] != tile)
        ]
        if new:
            told = [packed[i] for i in new]
            states, _ = self._unpack([place_ids[i] for i in new], told)
            self._put([slots[i] for i in new], told, states, now_s)
        at = np.array(slots, np.int64)
        return ShelvedValues(self._still[at], self._moving[at], np.full(len(at), now_s))

    def _slots(self, place_ids: Sequence[str]) -> list[int]:
        if len(self._slot) + len(place_ids) > self._most:
            self._clear()
        slot_of = self._slot
        # A new place gets the next slot.
        slots = [slot_of.setdefault(place, len(slot_of)) for place in place_ids]
        missing = len(slot_of) - len(self._tile)
        if missing:
            self._packed += [None] * missing
            self._tile += [-1] * missing
            self._grow(len(slot_of))
        return slots

    def _grow(self, size: int) -> None:
        if size > len(self._still):
            more = max(size, 2 * len(self._still)) - len(self._still)
            still, moving = _unknown(more)
            self._still = np.concatenate([self._still, still])
            self._moving = np.concatenate([self._moving, moving])

    def _put(
        self, slots: list[int], packed: list[bytes | None], states: States, now_s: float
    ) -> None:
        moments = np.full(len(states), now_s)
        self._still[slots] = _read_still(states, moments)
        self._moving[slots] = _moving_of(states)
        tile = int(now_s // TILE_S)
        for slot, value in zip(slots, packed, strict=True):
            self._packed[slot], self._tile[slot] = value, tile
