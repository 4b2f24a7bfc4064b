"""The first stage: who is within reach, and what the filters leave."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from contracts.events import PlaceDocument
from contracts.settings import Settings
from inference.course import Ask, Course
from inference.deadline import Budget
from inference.near import Nearby, NearStage, arrival_s
from inference.person import Person
from inference.query import Query
from inference.rest import LONG_REST_S, REST_S
from online_features.catalogue import Catalogue
from online_features.columns import EventColumns
from online_features.definitions import USER, VISITS_KEPT
from online_features.history import HISTORY
from online_features.request import ARRIVAL_SPEED_M_S
from tests.inference.fakes import LAT, LNG, NOON_S, catalogue_of, events, place

SETTINGS = Settings(_env_file=None, radius_m=1_000, max_radius_m=10_000, near_places=50)


def look(
    catalogue: Catalogue, happened: EventColumns | None = None, **wanted: Any
) -> tuple[list[str], Nearby]:
    """Ids that the stage finds, nearest first, and the ring they are from."""
    query = replace(Query("u", LAT, LNG, limit=3, request_id="r"), **wanted)
    states = USER.empty(1)
    if happened is not None:
        USER.fold(states, np.zeros(len(happened), np.int64), happened)
    person = Person.of(
        states, known=happened is not None, latest_s=None, now_s=NOON_S, catalogue=catalogue
    )
    budget = Budget.of(1.0, 1.0, lambda: 0.0)
    ask = Ask(query, NOON_S, budget, Course(lambda: 0.0), seed=0)
    stage = NearStage(catalogue, SETTINGS, ask)
    nearby = stage.finish(stage.first(), person)
    return [catalogue.ids[row] for row in nearby.rows.tolist()], nearby


def line(*metres: float, **fields: Any) -> list[PlaceDocument]:
    """Places p0, p1, ... at some distances to the north."""
    return [place(f"p{i}", m, **fields) for i, m in enumerate(metres)]


def test_enough_places_keep_the_first_ring() -> None:
    """Nearest first, all within the service's radius."""
    ids, nearby = look(catalogue_of(*line(900, 100, 500, 1_500)))
    assert ids == ["p1", "p2", "p0"]
    assert nearby.radius_m == 1_000
    assert not nearby.widened
    assert nearby.distance_m == pytest.approx([100, 500, 900], abs=0.5)


def test_a_thin_area_widens_by_doubling() -> None:
    """Until as many as wanted are there: 1, 2, 4 km."""
    ids, nearby = look(catalogue_of(*line(100, 1_900, 3_900, 7_000)))
    assert ids == ["p0", "p1", "p2"]
    assert nearby.radius_m == 4_000
    assert nearby.widened


def test_widening_ends_at_the_largest_radius() -> None:
    """What lies beyond is not found, and the last ring is the largest, not the next double."""
    ids, nearby = look(catalogue_of(*line(100, 9_900, 10_100)))
    assert ids == ["p0", "p1"]
    assert nearby.radius_m == 10_000
    assert nearby.passed_over == 0


def test_a_radius_that_was_asked_for_never_widens() -> None:
    """The caller's word holds, even if it finds fewer."""
    ids, nearby = look(catalogue_of(*line(100, 700, 900)), radius_m=500.0)
    assert ids == ["p0"]
    assert nearby.radius_m == 500
    assert not nearby.widened


def test_a_largest_distance_bounds_the_widening() -> None:
    """The search still widens by itself, but never beyond what the caller would go."""
    catalogue = catalogue_of(*line(100, 1_400, 1_600, 5_000))
    ids, nearby = look(catalogue, max_distance_m=1_500.0)
    assert ids == ["p0", "p1"]
    assert (nearby.radius_m, nearby.widened) == (1_500, True)
    ids, nearby = look(catalogue, max_distance_m=600.0)
    assert ids == ["p0"]
    assert (nearby.radius_m, nearby.widened) == (600, False)
    assert look(catalogue, max_distance_m=1_500.0, radius_m=5_000.0)[0] == ["p0", "p1"]


def test_nothing_within_reach_is_an_empty_ring() -> None:
    """The middle of the sea."""
    ids, nearby = look(Catalogue())
    assert ids == []
    assert nearby.passed_over == 0


def test_no_more_than_the_models_should_see() -> None:
    """The nearest are kept; what was cut off was not filtered out."""
    catalogue = catalogue_of(*line(*range(1, 301)))
    limit_and_history = 3 + HISTORY  # more than `near_places`, so that resting places leave enough
    ids, nearby = look(catalogue)
    assert ids == [f"p{i}" for i in range(limit_and_history)]
    assert nearby.passed_over == 0
    # A filter looks at all of them, and still hands on no more.
    ids, nearby = look(catalogue, exclude=("p0",))
    assert ids == [f"p{i + 1}" for i in range(limit_and_history)]
    assert nearby.passed_over == 1


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"categories": ("Bar",)}, ["bar"]),
        ({"categories": ("Bar", "Museum")}, ["bar", "museum"]),
        ({"categories": ("Nothing of the kind",)}, []),
        ({"max_price_level": 2}, ["bar"]),
        ({"max_price_level": 4}, ["bar", "museum"]),
        ({"min_price_level": 3}, ["museum"]),
        ({"min_price_level": 2, "max_price_level": 2}, ["bar"]),
        ({"min_rating": 4.0}, ["museum"]),
        ({"exclude": ("museum", "never heard of")}, ["bar", "bare"]),
        ({"categories": ("Bar",), "exclude": ("bar",)}, []),
    ],
)
def test_filters_that_the_catalogue_answers(wanted: dict[str, Any], expected: list[str]) -> None:
    """All conditions hold together, and what is not known passes no filter."""
    catalogue = catalogue_of(
        place("bar", 100, category="Bar", price_level=2, rating=3.9),
        place("museum", 200, category="Museum", price_level=3, rating=4.0),
        place("bare", 300),
    )
    ids, nearby = look(catalogue, radius_m=1_000.0, **wanted)
    assert ids == expected
    assert nearby.passed_over == 3 - len(expected)


def test_a_category_lets_its_kinds_through() -> None:
    """A wider category stands for all below it, and for nothing beside it."""
    catalogue = catalogue_of(
        place("pho", 100, category="Dining > Restaurant > Vietnamese"),
        place("any", 200, category="Dining > Restaurant"),
        place("bar", 300, category="Dining > Bar"),
        place("fry", 400, category="Dining > Restaurants of old"),
        place("gym", 500, category="Gym / Fitness Center"),
    )

    def found(*categories: str) -> list[str]:
        return look(catalogue, categories=categories, radius_m=1_000.0)[0]

    assert found("Dining > Restaurant") == ["pho", "any"]
    assert found("Dining") == ["pho", "any", "bar", "fry"]
    assert found("Dining > Restaurant > Vietnamese", "Gym / Fitness Center") == ["pho", "gym"]
    assert found("Restaurant") == []
    assert found("Gym") == []


def test_each_condition_says_what_it_took_out() -> None:
    """In the order in which they were applied, each of what those before it had left."""
    catalogue = catalogue_of(
        place("bar", 100, category="Bar", price_level=2),
        place("dear", 200, category="Bar", price_level=4),
        place("museum", 300, category="Museum", price_level=4),
        place("known", 400, category="Bar", price_level=1),
        place("left", 500, category="Bar", price_level=1),
    )
    happened = events(("u", "known", "visit", 86_400.0), ("u", "left", "visit", 60.0))
    wanted: dict[str, Any] = {"categories": ("Bar",), "max_price_level": 3, "min_rating": 0.0}
    ids, nearby = look(catalogue, happened, **wanted, only_new=True, radius_m=1_000.0)
    assert ids == ["bar"]
    assert nearby.taken_out == (
        ("filters.categories", 1),
        ("filters.max_price_level", 1),
        ("rest", 1),
        ("filters.familiarity", 1),
    )
    _, nearby = look(catalogue, happened, exclude=("elsewhere",), only_known=True)
    assert nearby.taken_out == (("rest", 1), ("filters.familiarity", 3))  # the first took out none


def test_filters_look_beyond_the_nearest_and_widen() -> None:
    """A rare category is found behind more places than the models see, and further out."""
    crowd = [place(f"bar{i}", 1 + i, category="Bar") for i in range(200)]
    catalogue = catalogue_of(
        *crowd, place("m1", 800, category="Museum"), place("m2", 1_800, category="Museum")
    )
    ids, nearby = look(catalogue, categories=("Museum",), limit=2)
    assert ids == ["m1", "m2"]
    assert nearby.radius_m == 2_000


def test_closed_places_are_never_shown() -> None:
    """A tombstone takes a place out of every answer."""
    catalogue = catalogue_of(*line(100, 200))
    catalogue.close("p0")
    assert look(catalogue)[0] == ["p1"]


def test_open_now_means_on_arrival() -> None:
    """A place that opens while the user is on the way counts; one that closes by then does not."""
    walk_s = 1_400 / ARRIVAL_SPEED_M_S  # over eight minutes
    assert arrival_s(NOON_S, np.array([1_400], np.float32)) == pytest.approx([NOON_S + walk_s])

    def hours(span: str) -> dict[str, Any]:
        return {"business_hours": {"wed": [span]}, "time_zone": "UTC"}

    catalogue = catalogue_of(
        place("opens on the way", 1_400, **hours("12:05-18:00")),
        place("closes on the way", 1_400, **hours("08:00-12:05")),
        place("opens too late", 1_400, **hours("12:30-18:00")),
        place("open", 50, **hours("08:00-18:00")),
        place("unknown", 50),
    )
    ids, _ = look(catalogue, open_now=True, radius_m=2_000.0)
    assert ids == ["open", "opens on the way"]


def test_familiarity_follows_the_history() -> None:
    """New: never visited. Known: visited. A look is no visit."""
    catalogue = catalogue_of(*line(100, 200, 300))
    happened = events(("u", "p0", "visit", 5 * 86_400.0), ("u", "p1", "view", 86_400.0))
    assert look(catalogue, happened, only_new=True)[0] == ["p1", "p2"]
    assert look(catalogue, happened, only_known=True)[0] == ["p0"]
    assert look(catalogue, happened)[0] == ["p0", "p1", "p2"]
    assert look(catalogue, None, only_known=True)[0] == []


def test_a_place_just_visited_rests_for_a_while() -> None:
    """Within the rest it is passed over, after it it is back; looking at a place rests nothing."""
    catalogue = catalogue_of(*line(100, 200, 300))
    happened = events(
        ("u", "p0", "visit", REST_S - 1), ("u", "p1", "visit", REST_S + 1), ("u", "p2", "view", 5.0)
    )
    ids, nearby = look(catalogue, happened)
    assert ids == ["p1", "p2"]
    assert nearby.passed_over == 1


def test_where_one_stays_for_hours_a_place_rests_longer() -> None:
    """By its category, wherever in a path; it is back after that, and no other place waits."""
    catalogue = catalogue_of(
        place("stadium", 100, category="Baseball Stadium"),
        place("opera", 200, category="Arts > Performing Arts Venue > Opera"),
        place("deli", 300, category="Deli"),
        place("unknown", 400),
        place("terminal", 500, category="Airport Terminal"),
    )
    ago_s = {"stadium": 3_600.0, "opera": 3_600.0, "deli": 3_600.0, "unknown": 3_600.0}
    happened = events(
        *(("u", name, "visit", ago) for name, ago in ago_s.items()),
        ("u", "terminal", "visit", LONG_REST_S + 1),
        ("u", "gone from the catalogue", "visit", 3_600.0),
    )
    ids, nearby = look(catalogue, happened, radius_m=1_000.0)
    assert ids == ["deli", "unknown", "terminal"]
    assert nearby.taken_out == (("rest", 2),)


@pytest.fixture
def dense(monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """More bars within 1.2 km than a look-up sees, all closed; beyond them two others."""
    monkeypatch.setattr("inference.near.FILTERED_PLACES", 20)
    shut = {"business_hours": {"wed": ["01:00-02:00"]}, "time_zone": "UTC"}
    catalogue = catalogue_of(
        *line(*np.linspace(4, 1_200, 300).tolist(), category="Bar", **shut),
        place("museum", 2_500, category="Museum", price_level=3, **shut),
        place("park", 2_600, category="Park", price_level=3),
        place("gone", 2_700, category="Park", price_level=3),
    )
    catalogue.close("gone")
    return catalogue


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"categories": ("Museum", "Park")}, ["museum", "park"]),
        ({"categories": ("Museum", "Park"), "radius_m": 2_550.0}, ["museum"]),
        ({"min_price_level": 3, "exclude": ("museum",)}, ["park"]),
        ({"categories": ("Museum",), "open_now": True}, []),
        ({"categories": ("Library",)}, []),
    ],
)
def test_what_is_rare_is_found_beyond_the_nearest(
    dense: Catalogue, wanted: dict[str, Any], expected: list[str]
) -> None:
    """However many others are nearer, as far as the search may go, and who is gone is not."""
    ids, nearby = look(dense, **wanted)
    assert ids == expected
    assert nearby.radius_m == wanted.get("radius_m", 10_000)
    assert nearby.passed_over > 100


def test_visited_places_leave_a_dense_search_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many of a kind among the nearest as candidates are wanted, most of them visited, and a
    long answer: those not visited beyond them are found."""
    monkeypatch.setattr("inference.near.FILTERED_PLACES", 300)
    kept, wanted = SETTINGS.candidates, 100
    seen = min(VISITS_KEPT, kept - wanted // 2)  # leaves less than is wanted
    museums = line(*np.linspace(1, 200, kept).tolist(), category="Museum")
    bars = [place(f"bar{i}", 300.0, category="Bar") for i in range(300)]
    beyond = [place(f"far{i}", 900.0, category="Museum") for i in range(wanted)]
    catalogue = catalogue_of(*museums, *bars, *beyond)
    visits = events(*(("u", f"p{i}", "visit", 86_400.0 + i) for i in range(seen)))
    asked: dict[str, Any] = {"categories": ("Museum",), "limit": wanted}
    ids, _ = look(catalogue, visits, **asked, only_new=True)
    assert len(ids) == kept - seen + wanted
    just = events(*(("u", f"p{i}", "visit", 60.0 + i) for i in range(seen)))
    assert look(catalogue, just, **asked)[0] == ids


def test_who_is_open_is_found_behind_many_that_are_closed(dense: Catalogue) -> None:
    """The hours are asked of the nearest first, portion by portion, to the end if need be."""
    for i in range(3):
        hours = {"business_hours": {"wed": ["08:00-23:00"]}, "time_zone": "UTC"}
        dense.upsert(place(f"open{i}", 3_000 + i, **hours))
    assert look(dense, open_now=True)[0] == ["open0", "open1", "open2"]


def test_known_places_are_found_beyond_the_nearest(dense: Catalogue) -> None:
    """The user's own history says which they are; what rests still does."""
    days = 86_400.0
    visits = events(*(("u", at, "visit", 40 * days) for at in ("park", "p3", "gone", "elsewhere")))
    assert look(dense, visits, only_known=True)[0] == ["p3", "park"]
    assert look(dense, visits, only_known=True, categories=("Park",))[0] == ["park"]
    ids, nearby = look(dense, visits, only_known=True, radius_m=2_000.0)
    assert (ids, nearby.passed_over > 100) == (["p3"], True)
    just = events(("u", "park", "visit", 60.0), ("u", "p3", "visit", 40 * days))
    assert look(dense, just, only_known=True)[0] == ["p3"]


def test_a_search_that_ends_among_many_says_where(dense: Catalogue) -> None:
    """Its radius is what was looked at, and not what might have been."""
    ids, nearby = look(dense)
    assert len(ids) == 3 + HISTORY < 300
    assert nearby.radius_m == pytest.approx(4 * len(ids), abs=1)
    assert not nearby.widened
