"""What a catalogue's changing columns said when, against a service that read the updates."""

from datetime import UTC, datetime

import numpy as np
import pytest

from contracts.events import encode
from online_features.catalogue import Catalogue
from online_features.catalogue_history import ArchivedUpdate, catalogue_of
from online_features.places import document_of, merge, read_update
from tests.models.logs import START_S

NAMES = ("rating", "review_count")


def _stamp(time_s: float) -> str:
    return datetime.fromtimestamp(START_S + time_s, UTC).isoformat()


def _update(place: str, offset: int, time_s: float, **said: object) -> ArchivedUpdate:
    event = {"place_id": place, "updates": said, "timestamp": _stamp(time_s)}
    return offset, START_S + time_s + 0.5, place, encode(event)


def _at(catalogue: Catalogue, place: str, *times_s: float) -> list[list[float]]:
    """Rating and reviews of a place at some moments; -1 for unknown."""
    rows = np.full(len(times_s), catalogue.row_of(place))
    found = [catalogue.column_at(name, rows, START_S + np.array(times_s)) for name in NAMES]
    told: list[list[float]] = np.nan_to_num(np.stack(found, axis=1), nan=-1.0).tolist()
    return told


def test_a_moment_sees_what_was_stated_by_then() -> None:
    """Unknown before it was stated; a change counts from its own second on."""
    catalogue = catalogue_of(
        [
            _update("a", 0, 1_000.0, category="cafe"),
            _update("b", 1, 1_000.0, rating=3.0, review_count=8),
            _update("a", 2, 2_000.0, rating=4.5, review_count=10),
            _update("a", 3, 3_000.0, review_count=11),
        ]
    )
    assert _at(catalogue, "a", 999.0, 1_999.0, 2_000.0, 2_999.0, 3_000.0, 9e6) == [
        [-1.0, 0.0],
        [-1.0, 0.0],
        [4.5, 10.0],
        [4.5, 10.0],
        [4.5, 11.0],
        [4.5, 11.0],
    ]
    assert _at(catalogue, "b", 999.0, 9e6) == [[-1.0, 0.0], [3.0, 8.0]]


def test_only_changes_are_kept() -> None:
    """A place that says the same each day costs one change; a city without ratings none."""
    said = [_update("a", day, 1_000.0 * (day + 1), rating=4.0) for day in range(50)]
    assert len(catalogue_of(said).changes["rating"]) == 1
    silent = [_update(f"p{i}", i, 1_000.0, category="bar") for i in range(20)]
    assert catalogue_of(silent).changes == {}


def test_what_is_taken_back_is_unknown_again() -> None:
    """By `null`, or by a tombstone, after which a place begins anew."""
    catalogue = catalogue_of(
        [
            _update("a", 0, 1_000.0, rating=4.0, review_count=5),
            _update("a", 1, 2_000.0, rating=None),
            (2, START_S + 3_000.0, "a", None),
            _update("a", 3, 4_000.0, rating=2.0),
        ]
    )
    assert _at(catalogue, "a", 1_500.0, 2_500.0, 3_500.0, 4_500.0) == [
        [4.0, 5.0],
        [-1.0, 5.0],
        [-1.0, 0.0],
        [2.0, 0.0],
    ]


@pytest.mark.parametrize("seed", range(4))
def test_every_moment_reads_as_a_service_that_followed(seed: int) -> None:
    """Updates by chance, late ones or tombstones among them: the newest document after each."""
    rng = np.random.default_rng(seed)
    updates: list[ArchivedUpdate] = []
    for offset in range(120):
        received_s, place = 1_000.0 * (offset + 1), f"p{rng.integers(5)}"
        late_s = 30_000.0 * (seed % 2) * float(rng.random() < 0.2)
        said = {"rating": float(rng.integers(0, 6)), "review_count": int(rng.integers(9))}
        kept = {name: said[name] for name in NAMES if rng.random() < 0.6}
        event = {"place_id": place, "updates": kept, "timestamp": _stamp(received_s - late_s)}
        closes = seed % 2 == 0 and rng.random() < 0.05
        raw = None if closes else encode(event)
        updates.append((offset, START_S + received_s, place, raw))
    followed, documents = Catalogue(), dict[str, bytes | None]()
    whole = catalogue_of([*updates, *(_update(f"p{i}", 200 + i, 9e6) for i in range(5))])
    for offset, received_s, place, raw in updates:
        if raw is None:
            documents[place] = None
            continue
        place_id, time_s, changed = read_update(raw, received_s)
        merged = merge(documents.get(place_id), place_id, time_s, changed, offset)
        if merged is None:
            continue
        documents[place_id] = merged
        followed.upsert(document_of(merged))
        row = np.array([followed.row_of(place_id)])
        for name in NAMES:
            expected = followed.column(name)[row]
            mine = np.array([whole.row_of(place_id)])
            said_then = whole.column_at(name, mine, np.array([received_s]))
            assert np.array_equal(said_then, expected, equal_nan=True)


def _there(catalogue: Catalogue, place: str, *times_s: float) -> list[bool]:
    rows = np.full(len(times_s), catalogue.row_of(place))
    there: list[bool] = (~catalogue.gone(rows, START_S + np.array(times_s))).tolist()
    return there


def test_places_are_there_from_their_opening_to_their_closing() -> None:
    """Those of the first day always were: nobody says since when."""
    day_s = 86_400.0
    catalogue = catalogue_of(
        [
            _update("old", 0, 1_000.0),
            _update("brought in", 1, 1_000.0 + day_s),
            _update("new", 2, 3 * day_s),
            (3, START_S + 5 * day_s, "old", None),
            (4, START_S + 6 * day_s, "never heard of", None),
            _update("old", 5, 8 * day_s),
            (6, START_S + 9 * day_s, "brought in", None),
        ]
    )
    moments = (-1e9, 2 * day_s, 3 * day_s, 5 * day_s, 7 * day_s, 9.5 * day_s)
    assert _there(catalogue, "old", *moments) == [True, True, True, False, False, True]
    assert _there(catalogue, "brought in", *moments) == [True, True, True, True, True, False]
    assert _there(catalogue, "new", *moments) == [False, False, True, True, True, True]
    assert catalogue.row_of("never heard of") == -1
    assert catalogue.closed.tolist() == [False, True, False]


def test_near_is_asked_of_a_moment() -> None:
    """Of now, unless a moment is given."""
    at = {"lat": 40.0, "lng": -74.0}
    catalogue = catalogue_of(
        [
            _update("old", 0, 1_000.0, location=at),
            _update("new", 1, 1e6, location=at),
            (2, START_S + 2e6, "old", None),
        ]
    )
    for moment_s, expected in ((5e5, ["old"]), (1.5e6, ["old", "new"]), (3e6, ["new"])):
        rows, _ = catalogue.near(40.0, -74.0, 100.0, 5, START_S + moment_s)
        assert catalogue.place_ids(rows) == expected
    assert catalogue.place_ids(catalogue.near(40.0, -74.0, 100.0, 5)[0]) == ["new"]


def test_a_catalogue_without_a_past_is_taken_as_it_is() -> None:
    """As the service asks: of now."""
    catalogue = catalogue_of([_update("a", 0, 1_000.0, rating=4.0)])
    catalogue.changes = {}
    assert _at(catalogue, "a", 0.0) == [[4.0, 0.0]]
