"""Who is near? All places in the order of their cells, so that neighbours lie together in memory.

Places are grouped by fine H3 cells, those by wider ones, and those by coarse ones; a group knows
its centre and how far its members reach from it, so that a look around reads the few groups that a
circle can touch, each as one stretch of memory, and where places are dense only as many as are
asked for. H3 gives the order alone: what is found depends on no property of its cells.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import h3.api.basic_int as h3
import numpy as np
from numpy.typing import NDArray

from online_features.geo import EARTH_RADIUS_M, unit_vector

FINE, WIDER = 9, (7, 5)
#: Bits of an H3 index below the digits of the finest resolution: three a digit, fifteen digits.
_BELOW_FINE = 3 * (15 - FINE)
#: Places that came or moved lie unsorted, until they are so many, or this part of all.
LEAST_FRESH, FRESH_PART = 1_024, 64
#: Float arithmetic on unit vectors, as a part of the Earth's radius: a tenth of a millimetre.
_SLACK = 1e-11

Index = NDArray[np.int64]
Rows = NDArray[np.int32]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Groups:
    """Stretches of what lies in order, each with a centre and a reach.

    Attributes:
        first: int64[g + 1], where each begins; the last is the end.
        centre: float64[3, g], points in space, in radii of the Earth.
        reach: float64[g], the farthest member's distance from it.
    """

    first: Index
    centre: Floats
    reach: Floats

    @classmethod
    def of(cls, key: NDArray[np.uint64], at: Floats, reach: Floats | None = None) -> "Groups":
        """Group members, float64[3, n], by their ascending keys; they may themselves reach."""
        first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.empty(0, int)
        size = np.diff(np.r_[first, len(key)])
        if not len(first):
            return cls(np.zeros(1, np.int64), np.empty((3, 0)), np.empty(0))
        centre = np.add.reduceat(at, first, axis=1) / size
        apart = np.sqrt(_squared(at, np.repeat(centre, size, axis=1)))
        far = np.maximum.reduceat(apart if reach is None else apart + reach, first)
        return cls(np.r_[first, len(key)], centre, far + _SLACK)

    def touching(self, point: Floats, radius: float, among: Index | None = None) -> Index:
        """Positions of the groups that a ball touches."""
        centre, reach = self.centre, self.reach
        if among is not None:
            centre, reach = centre[:, among], reach[among]
        inside = np.flatnonzero(_squared(centre, point) <= (radius + reach) ** 2)
        return inside if among is None else among[inside]


class _Fresh:
    """Places that are not in order yet; one writer appends, readers see whole entries."""

    def __init__(self, most: int) -> None:
        self.rows = np.zeros(most, np.int32)
        self.at = np.zeros((3, most))
        self.key = np.zeros(most, np.uint64)
        self.where: dict[int, int] = {}
        self.n = 0

    def put(self, row: int, at: Floats, key: int) -> None:
        """Add a place, or move it."""
        i = self.where.setdefault(row, self.n)
        self.rows[i], self.at[:, i], self.key[i] = row, at, key
        self.n = max(self.n, i + 1)  # last, so that a reader finds all of it


@dataclass(frozen=True)
class _View:
    """What a reader takes at once.

    Attributes:
        rows: int32[n], places in the order of their fine cells.
        at: float64[3, n], where each is, unit vectors.
        key: uint64[n], of the cell.
        fine: groups of places.
        wider: groups of groups, each of those before it, the first of the fine ones.
        gone: rows of which another place is known since; ascending.
        fresh: places that are not in `rows`, or have moved.
    """

    rows: Rows
    at: Floats
    key: NDArray[np.uint64]
    fine: Groups
    wider: tuple[Groups, ...]
    fresh: _Fresh
    gone: Rows = field(default_factory=lambda: np.empty(0, np.int32))

    @classmethod
    def of(cls, rows: Rows, at: Floats, key: NDArray[np.uint64]) -> "_View":
        """A view of places whose keys ascend."""
        levels = [Groups.of(key, at)]
        cell, resolution = key[levels[0].first[:-1]], FINE
        for wider in WIDER:
            cell, resolution = cell >> np.uint64(3 * (resolution - wider)), wider
            levels.append(Groups.of(cell, levels[-1].centre, levels[-1].reach))
            cell = cell[levels[-1].first[:-1]]
        fresh = _Fresh(max(LEAST_FRESH, len(rows) // FRESH_PART))
        return cls(rows, at, key, levels[0], tuple(levels[1:]), fresh)

    def merged(self) -> "_View":
        """The same with the fresh ones in order."""
        fresh = self.fresh
        kept = ~np.isin(self.rows, self.gone) if len(self.gone) else slice(None)
        rows, at, key = self.rows[kept], self.at[:, kept], self.key[kept]
        order = np.argsort(fresh.key[: fresh.n], kind="stable")
        new = fresh.key[order]
        before = np.searchsorted(key, new)
        return _View.of(
            np.insert(rows, before, fresh.rows[order]),
            np.insert(at, before, fresh.at[:, order], axis=1),
            np.insert(key, before, new),
        )


class NearIndex:
    """Rows by where they are; one writer at a time, any number of readers."""

    def __init__(self) -> None:
        self._view = _View.of(np.empty(0, np.int32), np.empty((3, 0)), np.empty(0, np.uint64))

    def put(self, row: int, lat: float, lng: float, *, moved: bool) -> None:
        """Add a row, or say that it lies elsewhere now (`moved`)."""
        view = self._view
        if moved and row not in view.fresh.where:
            gone = np.insert(view.gone, np.searchsorted(view.gone, row), row).astype(np.int32)
            view = replace(view, gone=gone)
        view.fresh.put(row, unit_vector(lat, lng), h3.latlng_to_cell(lat, lng, FINE) >> _BELOW_FINE)
        self._view = view.merged() if view.fresh.n == len(view.fresh.rows) else view

    def near(
        self, lat: float, lng: float, radius_m: float, limit: int, closed: Callable[[Rows], Flags]
    ) -> tuple[Index, NDArray[np.float32]]:
        """Rows within a radius and not closed, nearest first, equally near ones by row.

        Args:
            lat, lng: degrees.
            radius_m: on the sphere.
            limit: at most so many.
            closed: says which of some rows are, bool[n]; asked after they were found.

        Returns:
            rows int64[k] and distance_m float32[k], k <= limit.
        """
        view, point = self._view, unit_vector(lat, lng)
        # A circle on the sphere is a ball in space: distances are chords, in radii of the Earth.
        radius = 2 * np.sin(min(radius_m / EARTH_RADIUS_M, np.pi) / 2)
        cells = _touched(view, point, radius)
        wanted = limit
        while True:
            enough, ball = _enough(view.fine, cells, point, radius, wanted)
            rows, squared = _within(view, enough, point, ball, closed)
            if len(rows) >= limit or len(enough) == len(cells):
                break
            wanted *= 4  # many of them were closed
        if len(rows) > limit:
            bound = np.partition(squared, limit - 1)[limit - 1]
            nearest = np.flatnonzero(squared <= bound)
            rows, squared = rows[nearest], squared[nearest]
        metres = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(squared) / 2)
        return _sorted(rows, metres.astype(np.float32), limit)


def _squared(a: Floats, b: Floats) -> Floats:
    """Squared distances of points [3, n] from others, or from one [3]."""
    apart = a - (b if b.ndim == a.ndim else b[:, None])
    apart *= apart
    squared: Floats = apart.sum(axis=0)
    return squared


def _touched(view: _View, point: Floats, radius: float) -> Index:
    """Positions of the fine groups that a ball touches."""
    among: Index | None = None
    for groups in reversed(view.wider):
        found = groups.touching(point, radius, among)
        first, end = groups.first[found].tolist(), groups.first[found + 1].tolist()
        members = [np.arange(a, b) for a, b in zip(first, end, strict=True)]
        among = np.concatenate(members) if members else np.empty(0, np.int64)
    return view.fine.touching(point, radius, among)


def _enough(
    fine: Groups, cells: Index, point: Floats, radius: float, wanted: int
) -> tuple[Index, float]:
    """Of some cells, those that hold the nearest `wanted` places, and the ball that holds them."""
    size = fine.first[cells + 1] - fine.first[cells]
    if size.sum() <= wanted:
        return cells, radius
    apart = np.sqrt(_squared(fine.centre[:, cells], point))
    full = apart + fine.reach[cells]  # a ball that large holds all of the cell
    order = np.argsort(full)
    last = order[np.searchsorted(np.cumsum(size[order]), wanted)]
    ball = min(float(full[last]), radius)
    return cells[apart - fine.reach[cells] <= ball], ball


def _within(
    view: _View, cells: Index, point: Floats, ball: float, closed: Callable[[Rows], Flags]
) -> tuple[Rows, Floats]:
    """Open rows of some cells, and fresh ones, within a ball; with their squared distances."""
    fresh, n = view.fresh, view.fresh.n
    stretches = _joined(view.fine, cells)
    rows = np.concatenate([*(view.rows[s] for s in stretches), fresh.rows[:n]])
    at = np.concatenate([*(view.at[:, s] for s in stretches), fresh.at[:, :n]], axis=1)
    squared = _squared(at, point)
    inside = squared <= (ball + _SLACK) ** 2
    inside &= ~closed(rows)
    if len(view.gone):
        inside[: len(rows) - n] &= ~np.isin(rows[: len(rows) - n], view.gone)
    # Positions and not the mask: that is slow where it is neither mostly true nor mostly false.
    found = np.flatnonzero(inside)
    return rows[found], squared[found]


def _joined(groups: Groups, members: Index) -> list[slice]:
    """Where some groups lie, neighbours in one stretch."""
    if not len(members):
        return []
    members = np.sort(members)
    first, end = groups.first[members], groups.first[members + 1]
    gap = first[1:] != end[:-1]
    starts, ends = first[np.r_[True, gap]], end[np.r_[gap, True]]
    return [slice(a, b) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]


def _sorted(
    rows: Rows, metres: NDArray[np.float32], limit: int
) -> tuple[Index, NDArray[np.float32]]:
    """Both, ascending by metres and then by row."""
    # Floats that are not negative are in order as integers, too: one sort of integers does it.
    packed = (metres.view(np.int32).astype(np.int64) << 32) | rows
    packed.sort()
    packed = packed[:limit]
    return packed & 0xFFFFFFFF, (packed >> 32).astype(np.int32).view(np.float32)
