"""How a column of the catalogue changed: what it said of places at past moments.

A training asks what the service would have read at each moment, and the average of ratings that a
place states today has counted those of the days after. Only changes are kept, so a catalogue that
states neither ratings nor reviews keeps nothing and is asked at no cost.
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.ids import id64

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Changes:
    """The changes of one column, by place and then by time.

    Attributes:
        row: int64[n], catalogue rows, ascending.
        since_s: float64[n], from when on each holds, Unix seconds; ascending within a row.
        value: float32[n], what the column says from then on.
        before: what it says before its first change.
    """

    row: Index
    since_s: NDArray[np.float64]
    value: NDArray[np.float32]
    before: float

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def _moments(self) -> NDArray[np.float64]:
        """All times of changes, distinct and ascending."""
        return np.unique(self.since_s)

    @cached_property
    def _keys(self) -> Index:
        """Row and time of each change as one integer; ascending."""
        return self._key(self.row, self.since_s)

    def _key(self, rows: Index, at_s: NDArray[np.float64]) -> Index:
        number = np.searchsorted(self._moments, at_s, side="right")
        return (rows * (len(self._moments) + 1) + number).astype(np.int64)

    def at(self, rows: Index, at_s: NDArray[np.float64]) -> NDArray[np.float32]:
        """What the column said of places [n] at moments [n], Unix seconds; a change counts at once.

        A row of -1 has no changes.
        """
        found = np.searchsorted(self._keys, self._key(rows, at_s), side="right") - 1
        held = found >= 0
        held[held] = self.row[found[held]] == rows[held]
        return np.where(held, self.value[found], np.float32(self.before))


class ChangeRecorder:
    """Writes down what updates of places say of some columns, in order of arrival.

    An update holds from the time that it states, but no sooner than the one before it: the service
    reads them in this order.

    Args:
        before: by column, what it says of a place of which nothing was stated.
    """

    def __init__(self, before: dict[str, float]) -> None:
        self._before = before
        self._held_s: dict[int, float] = {}
        self._newest: dict[tuple[str, int], float] = {}
        self._place = {name: array("Q") for name in before}
        self._since_s = {name: array("d") for name in before}
        self._value = {name: array("f") for name in before}

    def write(self, place_id: str, time_s: float, said: dict[str, Any]) -> None:
        """Take an update: of the columns that it names, `None` takes a value back."""
        place = id64(place_id)
        since_s = self._held_s[place] = max(time_s, self._held_s.get(place, time_s))
        for name in self._before.keys() & said.keys():
            self._change(name, place, since_s, said[name])

    def forget(self, place_id: str, time_s: float) -> None:
        """Take all back that was stated of a place."""
        self.write(place_id, time_s, dict.fromkeys(self._before))

    def _change(self, name: str, place: int, since_s: float, stated: float | None) -> None:
        before = self._before[name]
        value = before if stated is None else float(stated)
        newest = self._newest.get((name, place), before)
        if value == newest or (np.isnan(value) and np.isnan(newest)):
            return
        self._newest[name, place] = value
        self._place[name].append(place)
        self._since_s[name].append(since_s)
        self._value[name].append(value)

    def changes(self, rows_of: Callable[[NDArray[np.uint64]], Index]) -> dict[str, Changes]:
        """What was written, by column; columns that never changed are left out.

        Args:
            rows_of: catalogue rows of places by their hashes, -1 for one that is not in it.
        """
        return {
            name: self._sorted(name, rows_of) for name in self._before if len(self._place[name])
        }

    def _sorted(self, name: str, rows_of: Callable[[NDArray[np.uint64]], Index]) -> Changes:
        rows = rows_of(np.array(self._place[name], np.uint64))
        order = np.argsort(rows, kind="stable")  # within a place they keep their order, by time
        order = order[rows[order] >= 0]
        return Changes(
            rows[order].astype(np.int64),
            np.array(self._since_s[name], np.float64)[order],
            np.array(self._value[name], np.float32)[order],
            self._before[name],
        )
