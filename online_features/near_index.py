"""Who is near? All places in the order of their cells, so that neighbours lie together in memory.

Places are grouped by fine H3 cells, those by wider ones, and those by coarse ones; a group knows
its centre and how far its members reach from it, so that a look around reads the few groups that a
circle can touch, each as one stretch of memory, and where places are dense only as many as are
asked for. H3 gives the order alone: what is found depends on no property of its cells.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import h3.api.basic_int as h3
import numpy as np
from numpy.typing import NDArray

from online_features.compiled import compiled
from online_features.geo import EARTH_RADIUS_M, unit_vector

FINE, WIDER = 9, (7, 5)
#: Bits of an H3 index below the digits of the finest resolution: three a digit, fifteen digits.
_BELOW_FINE = 3 * (15 - FINE)
#: Places that came or moved lie unsorted, until they are so many, or this part of all.
LEAST_FRESH, FRESH_PART = 1_024, 64
#: Float arithmetic on unit vectors, as a part of the Earth's radius: a tenth of a millimetre.
_SLACK = 1e-11
#: Half a chord, in radii of the Earth, up to which five terms of the arcsine's series are enough.
_SHORT = 0.01

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
        return cls(np.r_[first, len(key)], np.ascontiguousarray(centre), far + _SLACK)

    def touching(self, point: Floats, radius: float, among: Index) -> Index:
        """Positions of those of some groups that a ball touches."""
        return _touching(self.centre, self.reach, among, point, radius)

    def members(self, of: Index) -> Index:
        """Positions of what lies in some groups."""
        return _members(self.first, of)


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
        at = np.ascontiguousarray(at)
        levels = [Groups.of(key, at)]
        cell, resolution = key[levels[0].first[:-1]], FINE
        for wider in WIDER:
            cell, resolution = cell >> np.uint64(3 * (resolution - wider)), wider
            levels.append(Groups.of(cell, levels[-1].centre, levels[-1].reach))
            cell = cell[levels[-1].first[:-1]]
        fresh = _Fresh(max(LEAST_FRESH, len(rows) // FRESH_PART))
        return cls(rows, at, key, levels[0], tuple(levels[1:]), fresh)

    def enough(
        self, cells: Index, point: Floats, radius: float, wanted: int
    ) -> tuple[Index, float]:
        """Of some fine cells those with the nearest `wanted` places, and the ball with them."""
        fine = self.fine
        return _enough(fine.first, fine.centre, fine.reach, cells, point, radius, wanted)

    def within(self, cells: Index, point: Floats, ball: float) -> tuple[Rows, Floats]:
        """Rows of some fine cells, and fresh ones, within a ball; and their squared distances."""
        rows, squared = _within(self.fine.first, cells, self.rows, self.at, point, ball)
        if len(self.gone):
            still = ~np.isin(rows, self.gone)
            rows, squared = rows[still], squared[still]
        fresh = self.fresh
        if not fresh.n:
            return rows, squared
        new, squared_new = _of_fresh(fresh.rows[: fresh.n], fresh.at, point, ball)
        return np.concatenate([rows, new]), np.concatenate([squared, squared_new])

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
            enough, ball = view.enough(cells, point, radius, wanted)
            rows, squared = view.within(enough, point, ball + _SLACK)
            shut = closed(rows)
            if shut.any():
                rows, squared = rows[~shut], squared[~shut]
            if len(rows) >= limit or ball >= radius:
                break
            wanted *= 4  # many of them were closed
        return _sorted(rows, _metres(squared), limit)


def _squared(a: Floats, b: Floats) -> Floats:
    """Squared distances of points [3, n] from others."""
    apart = a - b
    apart *= apart
    squared: Floats = apart.sum(axis=0)
    return squared


def _touched(view: _View, point: Floats, radius: float) -> Index:
    """Positions of the fine groups that a ball touches."""
    among = np.arange(len(view.wider[-1].reach))
    for groups in reversed(view.wider):
        among = groups.members(groups.touching(point, radius, among))
    return view.fine.touching(point, radius, among)


@compiled
def _squared_at(at: Floats, i: int, point: Floats) -> float:
    """Squared distance of the i-th of points [3, n] from another [3]."""
    x, y, z = at[0, i] - point[0], at[1, i] - point[1], at[2, i] - point[2]
    squared: float = x * x + y * y + z * z
    return squared


@compiled
def _touching(centre: Floats, reach: Floats, among: Index, point: Floats, radius: float) -> Index:
    """See `Groups.touching`."""
    found, n = np.empty(len(among), np.int64), 0
    for i in among:
        if _squared_at(centre, i, point) <= (radius + reach[i]) ** 2:
            found[n] = i
            n += 1
    return found[:n]


@compiled
def _members(first: Index, of: Index) -> Index:
    """See `Groups.members`."""
    size = 0
    for group in of:
        size += first[group + 1] - first[group]
    members, n = np.empty(size, np.int64), 0
    for group in of:
        for member in range(first[group], first[group + 1]):
            members[n] = member
            n += 1
    return members


@compiled
def _enough(
    first: Index,
    centre: Floats,
    reach: Floats,
    cells: Index,
    point: Floats,
    radius: float,
    wanted: int,
) -> tuple[Index, float]:
    """See `_View.enough`."""
    n, size = len(cells), 0
    # How far off the nearest place of a cell may be, and a ball that holds all of the cell.
    nearest, full = np.empty(n), np.empty(n)
    for i in range(n):
        cell = cells[i]
        size += first[cell + 1] - first[cell]
        apart = math.sqrt(_squared_at(centre, cell, point))
        nearest[i], full[i] = apart - reach[cell], apart + reach[cell]
    if size <= wanted:
        return cells, radius
    held, ball = 0, radius
    for i in np.argsort(full):
        held += first[cells[i] + 1] - first[cells[i]]
        if held >= wanted:
            ball = min(full[i], radius)
            break
    enough, k = np.empty(n, np.int64), 0
    for i in range(n):
        if nearest[i] <= ball:
            enough[k] = cells[i]
            k += 1
    return enough[:k], ball


@compiled
def _within(
    first: Index, cells: Index, rows: Rows, at: Floats, point: Floats, ball: float
) -> tuple[Rows, Floats]:
    """Rows of some cells that lie within a ball, and their squared distances."""
    size = 0
    for cell in cells:
        size += first[cell + 1] - first[cell]
    found, squared, n, most = np.empty(size, np.int32), np.empty(size), 0, ball * ball
    for cell in cells:
        for i in range(first[cell], first[cell + 1]):
            apart = _squared_at(at, i, point)
            if apart <= most:
                found[n], squared[n] = rows[i], apart
                n += 1
    return found[:n], squared[:n]


@compiled
def _of_fresh(rows: Rows, at: Floats, point: Floats, ball: float) -> tuple[Rows, Floats]:
    """The same of the rows that are in no cell yet, the first of the points [3, ..]."""
    found, squared, n = np.empty(len(rows), np.int32), np.empty(len(rows)), 0
    for i in range(len(rows)):
        apart = _squared_at(at, i, point)
        if apart <= ball * ball:
            found[n], squared[n] = rows[i], apart
            n += 1
    return found[:n], squared[:n]


@compiled
def _metres(squared: Floats) -> NDArray[np.float32]:
    """Metres on the sphere of squared chords, [n]."""
    metres = np.empty(len(squared), np.float32)
    for i in range(len(squared)):
        half = math.sqrt(squared[i]) / 2
        if half < _SHORT:  # the arcsine's series (Abramowitz and Stegun, 4.4.40), exact to the bit
            x = half * half
            angle = half * (1 + x * (1 / 6 + x * (3 / 40 + x * (5 / 112 + x * 35 / 1152))))
        else:
            angle = math.asin(min(half, 1.0))
        metres[i] = 2 * EARTH_RADIUS_M * angle
    return metres


def _sorted(
    rows: Rows, metres: NDArray[np.float32], limit: int
) -> tuple[Index, NDArray[np.float32]]:
    """Both, ascending by metres and then by row."""
    # Floats that are not negative are in order as integers, too: one sort of integers does it.
    packed, sorted_ = _by_digits(rows, metres.view(np.int32))
    if not sorted_:
        packed.sort()
    packed = packed[:limit]
    return packed & 0xFFFFFFFF, (packed >> 32).astype(np.int32).view(np.float32)


#: A digit of a sort: eleven bits; two of them are a float's exponent and half of its fraction.
_DIGIT = 2_048
#: Places of the same two digits are put in order one by one, with at most so many moves a place.
_MOST_MOVES = 8


@compiled
def _by_digits(rows: Rows, bits: Rows) -> tuple[Index, bool]:
    """Rows below their bits, int64[n], and whether they ascend: not where many are alike.

    Source: Knuth, The Art of Computer Programming 3, 5.2.5 (radix sort), 5.2.1 (insertion).
    """
    n = len(rows)
    packed, passed = np.empty(n, np.int64), np.empty(n, np.int64)
    low, high = np.zeros(_DIGIT, np.int64), np.zeros(_DIGIT, np.int64)
    for i in range(n):
        packed[i] = np.int64(bits[i]) << 32 | np.int64(rows[i])
        low[packed[i] >> 41 & _DIGIT - 1] += 1
        high[packed[i] >> 52] += 1
    before_low, before_high = 0, 0
    for digit in range(_DIGIT):
        low[digit], before_low = before_low, before_low + low[digit]
        high[digit], before_high = before_high, before_high + high[digit]
    for value in packed:
        at = value >> 41 & _DIGIT - 1
        passed[low[at]] = value
        low[at] += 1
    for value in passed:
        at = value >> 52
        packed[high[at]] = value
        high[at] += 1
    moves = 0
    for i in range(1, n):
        value, to = packed[i], i
        while to > 0 and packed[to - 1] > value:
            packed[to] = packed[to - 1]
            to -= 1
        packed[to] = value
        moves += i - to
        if moves > _MOST_MOVES * n:
            return packed, False
    return packed, True
