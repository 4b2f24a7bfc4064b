"""The catalogue against a plain scan over all places."""

import pickle
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.events import BadEvent, Location, PlaceDocument
from contracts.ids import id64
from online_features.catalogue import CLOSED, OPEN, UNKNOWN, Catalogue
from online_features.geo import EARTH_RADIUS_M, distance_m
from online_features.opening import week_spans


def place(place_id: str, lat: float = 0.0, lng: float = 0.0, **fields: object) -> PlaceDocument:
    """A document with a location and what else a test needs."""
    return PlaceDocument(place_id=place_id, location=Location(lat, lng), **fields)  # type: ignore[arg-type]


@given(
    seed=st.integers(0, 2**16),
    lat=st.floats(-84, 84),
    lng=st.floats(-179, 179),
    radius_m=st.sampled_from([50.0, 700.0, 4_999.0, 12_000.0, 90_000.0]),
    limit=st.sampled_from([1, 7, 500]),
)
@settings(max_examples=60, deadline=None)
def test_near_finds_what_a_scan_finds(
    seed: int, lat: float, lng: float, radius_m: float, limit: int
) -> None:
    """Cells cover the whole circle at every latitude; the limit cuts the farthest."""
    rng = np.random.default_rng(seed)
    catalogue = Catalogue()
    spread = 2 * radius_m / EARTH_RADIUS_M * 57.3
    for i in range(150):
        dlat, dlng = rng.normal(0, spread, 2) / [1, np.cos(np.radians(lat))]
        there = (float(np.clip(lat + dlat, -90, 90)), float((lng + dlng + 180) % 360 - 180))
        catalogue.upsert(place(str(i), *there))
    rows, metres = catalogue.near(lat, lng, radius_m, limit)
    scan = distance_m(lat, lng, catalogue.lat, catalogue.lng)
    expected = np.sort(scan[scan <= radius_m])[:limit]
    assert metres == pytest.approx(expected, rel=1e-5, abs=0.01)
    assert scan[rows] == pytest.approx(expected)
    among, apart = catalogue.among(np.arange(150), lat, lng, radius_m)
    assert scan[among] == pytest.approx(np.sort(scan[scan <= radius_m]))
    assert apart[:limit] == pytest.approx(metres, rel=1e-5, abs=0.01)


def test_distance_of_a_degree() -> None:
    """One degree along a meridian is a 360th of the circumference."""
    assert distance_m(10, 20, 11, 20) == pytest.approx(2 * np.pi * EARTH_RADIUS_M / 360)


def test_a_moved_place_is_found_only_where_it_is() -> None:
    """Its old cells forget it."""
    catalogue = Catalogue()
    catalogue.upsert(place("1", 10, 10, version=1))
    catalogue.upsert(place("1", 10.5, 10, version=2))
    assert catalogue.near(10, 10, 1_000, 5)[0].tolist() == []
    assert catalogue.near(10.5, 10, 1_000, 5)[0].tolist() == [0]


def test_an_older_version_changes_nothing_and_a_closed_place_is_gone() -> None:
    """The feed may repeat itself; a tombstone holds until a newer document."""
    catalogue = Catalogue()
    catalogue.upsert(place("1", name="new", version=5))
    catalogue.upsert(place("1", name="old", version=4))
    assert list(catalogue.names) == ["new"]
    catalogue.close("1")
    assert len(catalogue.near(0, 0, 10, 5)[0]) == 0
    catalogue.upsert(place("1", name="again", version=6))
    assert len(catalogue.near(0, 0, 10, 5)[0]) == 1


def test_it_goes_to_another_process_whole() -> None:
    """Places are found by id and by distance there, and it can be written to."""
    catalogue = Catalogue()
    catalogue.upsert(place("1", category="cafe", version=5))
    copy: Catalogue = pickle.loads(pickle.dumps(catalogue))  # our own bytes
    assert copy.row_of("1") == 0
    assert copy.near(0, 0, 10, 5)[0].tolist() == [0]
    copy.upsert(place("2", version=6))
    assert copy.ids == ["1", "2"]
    assert copy.categories == ["cafe"]
    assert len(catalogue) == 1


def test_columns_grow_and_tell_unknown_from_known() -> None:
    """Thousands of places; absent fields are NaN or -1, never zero."""
    catalogue = Catalogue()
    for i in range(3_000):
        catalogue.upsert(place(f"p{i}", category="cafe" if i % 2 else None))
    assert len(catalogue) == 3_000
    assert np.isnan(catalogue.price).all()
    assert catalogue.category[:2].tolist() == [-1, 0]
    assert catalogue.categories == ["cafe"]
    assert catalogue.category_hash[1] == id64("cafe")
    hashes = np.array([id64("p2999"), id64("nobody")], np.uint64)
    assert catalogue.rows_of(hashes).tolist() == [2_999, -1]
    many = np.tile(hashes, (100_000, 1))  # more than are looked up at once
    assert (catalogue.rows_of(many) == [2_999, -1]).all()
    assert catalogue.row_of("nobody") == -1


def test_hours_in_a_zone_that_is_not_known_are_unknown() -> None:
    """Rules of zones may be older here than where the place was checked."""
    catalogue = Catalogue()
    for zone in ("Mars/Olympus", "America", "../etc/passwd"):
        catalogue.upsert(place("p", business_hours={"mon": ["09:00-12:00"]}, time_zone=zone))
        assert catalogue.open_state(np.array([0]), 1_783_300_000.0).tolist() == [UNKNOWN]


def test_opening_hours_in_the_places_own_time() -> None:
    """Spans over midnight, over the end of the week, and summer time."""
    catalogue = Catalogue()
    hours = {"mon": ["09:00-12:00", "13:00-17:00"], "sun": ["22:00-02:00"]}
    catalogue.upsert(
        place("ny", business_hours=hours, time_zone="America/New_York", category="bar")
    )
    catalogue.upsert(place("none"))
    catalogue.upsert(place("shut", business_hours={}, time_zone="UTC"))
    new_york = ZoneInfo("America/New_York")

    def state(day: int, hour: int, minute: int = 0, month: int = 7) -> int:
        at = datetime(2026, month, day, hour, minute, tzinfo=new_york)
        return int(catalogue.open_state(np.array([0]), at.timestamp())[0])

    # 2026-07-06 is a Monday, 2026-01-05 too.
    assert [state(6, 8, 59), state(6, 9), state(6, 11, 59), state(6, 12)] == [2, 1, 1, 2]
    assert [state(5, 9, 0, month=1), state(5, 17, 0, month=1)] == [OPEN, CLOSED]
    assert [state(5, 21, 59), state(5, 22), state(6, 1, 59), state(6, 2)] == [2, 1, 1, 2]
    now_s = datetime(2026, 7, 6, tzinfo=UTC).timestamp()
    assert catalogue.open_state(np.array([1, 2]), now_s).tolist() == [UNKNOWN, CLOSED]


@pytest.mark.parametrize("span", ["9:00-17:00", "09:00", "09:00-24:01", "24:00-25:00", "a-b", ""])
def test_bad_spans_name_their_weekday(span: str) -> None:
    """A span is HH:MM-HH:MM and nothing else."""
    with pytest.raises(BadEvent) as caught:
        week_spans({"tue": [span]})
    assert caught.value.field == "updates.business_hours.tue"
