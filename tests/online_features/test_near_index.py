"""Who is near, against a plain scan: many places, most of them in order, some moved or closed."""

import numpy as np
import pytest
from numpy.typing import NDArray

from online_features.geo import EARTH_RADIUS_M, distance_m
from online_features.near_index import LEAST_FRESH, NearIndex, _sorted


def some_places(
    rng: np.random.Generator, n: int, lat: float, lng: float, spread_m: float
) -> NDArray[np.float64]:
    """Places around a spot, float64[n, 2] in degrees."""
    north, east = rng.normal(0, np.degrees(spread_m / EARTH_RADIUS_M), (2, n))
    east /= max(np.cos(np.radians(lat)), 1e-3)
    return np.stack([np.clip(lat + north, -90, 90), (lng + east + 180) % 360 - 180], axis=1)


def scan(
    at: NDArray[np.float64], closed: NDArray[np.bool_], lat: float, lng: float, radius_m: float
) -> NDArray[np.float64]:
    """Distances of open places within a radius, ascending."""
    metres = distance_m(lat, lng, at[:, 0], at[:, 1])
    return np.sort(metres[(metres <= radius_m) & ~closed])


@pytest.mark.parametrize(
    ("lat", "lng"), [(40.7, -74.0), (0.0, 179.999), (-89.9, 10.0), (64.1, -21.9)]
)
@pytest.mark.parametrize("radius_m", [300.0, 4_000.0, 60_000.0])
@pytest.mark.parametrize("limit", [1, 40, 100_000])
def test_near_is_what_a_scan_finds(lat: float, lng: float, radius_m: float, limit: int) -> None:
    """Over the date line and at a pole too; some of the places have moved, half have closed."""
    rng = np.random.default_rng(5)
    n = 3 * LEAST_FRESH + 500
    at = some_places(rng, n, lat, lng, radius_m)
    index = NearIndex()
    for row, (its_lat, its_lng) in enumerate(at.tolist()):
        index.put(row, its_lat, its_lng, moved=False)
    moved = rng.choice(n, 700, replace=False)
    for _ in range(2):  # there and on
        at[moved] = some_places(rng, len(moved), lat, lng, radius_m)
        for row in moved.tolist():
            index.put(row, at[row, 0], at[row, 1], moved=True)
    closed = rng.random(n) < 0.5
    rows, metres = index.near(lat, lng, radius_m, limit, lambda some: closed[some])
    expected = scan(at, closed, lat, lng, radius_m)[:limit]
    assert metres == pytest.approx(expected, rel=1e-5, abs=0.02)
    assert len(set(rows.tolist())) == len(rows)
    assert distance_m(lat, lng, at[rows, 0], at[rows, 1]) == pytest.approx(
        metres, rel=1e-5, abs=0.02
    )


def test_where_the_nearest_have_closed_the_next_are_found() -> None:
    """However many: the ball that was looked at grows."""
    index = NearIndex()
    for row in range(2 * LEAST_FRESH):
        index.put(row, 10 + row * 1e-5, 20.0, moved=False)
    rows, _ = index.near(10.0, 20.0, 5_000.0, 3, lambda some: some < 2_000)
    assert rows.tolist() == [2_000, 2_001, 2_002]


def test_equally_near_places_are_in_order_of_their_rows() -> None:
    """At one spot; the limit cuts the later rows."""
    index = NearIndex()
    for row in range(20):
        index.put(row, 1.0, 2.0, moved=False)
    rows, metres = index.near(1.0, 2.0, 10.0, 5, lambda some: np.zeros(len(some), bool))
    assert (rows.tolist(), metres.tolist()) == ([0, 1, 2, 3, 4], [0.0] * 5)


@pytest.mark.parametrize("n", [0, 1, 2, 300, 5_000])
@pytest.mark.parametrize("spots", [1, 2, 40, 1_000_000])
def test_order_is_that_of_a_plain_sort(n: int, spots: int) -> None:
    """Of places all over a circle, and of many at the same few spots."""
    rng = np.random.default_rng(n + spots)
    rows = rng.permutation(1_000_000)[:n].astype(np.int32)
    metres = (3_000 * np.sqrt(rng.integers(0, spots, n) / spots)).astype(np.float32)
    order = np.lexsort((rows, metres))
    for limit in (n, n // 2):
        got_rows, got_metres = _sorted(rows, metres, limit)
        np.testing.assert_array_equal(got_rows, rows[order][:limit])
        np.testing.assert_array_equal(got_metres, metres[order][:limit])
        assert got_rows.dtype == np.dtype(np.int64)
        assert got_metres.dtype == np.dtype(np.float32)


def test_nothing_is_near_an_empty_index() -> None:
    """And a circle may reach around the Earth."""
    index = NearIndex()
    assert len(index.near(0, 0, 1e9, 5, lambda some: np.zeros(len(some), bool))[0]) == 0
    index.put(0, 0.0, 180.0, moved=False)
    _, metres = index.near(0, 0, 1e9, 5, lambda some: np.zeros(len(some), bool))
    assert metres == pytest.approx([np.pi * EARTH_RADIUS_M], rel=1e-6)


@pytest.mark.parametrize("seed", [217, 255, 271, 283])
def test_places_beyond_a_ball_full_of_closed_ones_are_found(seed: int) -> None:
    """All cells that the circle touches have been read here, and places lie outside of the ball."""
    rng, radius_m = np.random.default_rng(seed), 250.0
    lat = 40.0 + np.r_[rng.normal(0, 3e-4, 300), rng.uniform(-3.5e-3, 3.5e-3, 40)]
    lng = -74.0 + np.r_[rng.normal(0, 4e-4, 300), rng.uniform(-4.5e-3, 4.5e-3, 40)]
    (north, east), row, index = rng.uniform(-0.05, 0.05, 2), np.arange(340), NearIndex()
    lat, lng = lat + north, lng + east
    for i in row.tolist():
        index.put(i, lat[i], lng[i], moved=False)
    for i in range(340, 340 + LEAST_FRESH):  # so many, elsewhere, that these lie in order
        index.put(i, 50.0, -74.0, moved=False)
    metres = distance_m(40.0 + north, -74.0 + east, lat, lng)
    expected = np.sort(metres[(row % 2 == 1) & (metres <= radius_m)])
    for limit in (150, 155, 160, 170):
        rows, found = index.near(40.0 + north, -74.0 + east, radius_m, limit, lambda s: s % 2 == 0)
        assert len(rows) == min(limit, len(expected)), limit
        np.testing.assert_allclose(found, expected[:limit], rtol=1e-5, atol=1e-3)
