"""Why a place is in the answer: only what the features say, and only who stood behind it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from contracts.events import PlaceDocument
from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.person import Person
from inference.reasons import CODES, MOST_REASONS, Evidence, Reason, holding, strongest
from online_features.columns import KIND_CODE, RATE, EventColumns
from online_features.context import situation
from online_features.definitions import PLACE, USER, VISITS_KEPT
from online_features.request import RANKING_COLUMNS, ranking_features
from tests.inference.fakes import LAT, LNG, NOON_S, catalogue_of, events, place

DAY_S, HOUR_S = 86_400.0, 3_600.0


def logged(*happened: tuple[str, str, str, float]) -> EventColumns:
    """Events of all kinds, as `events` has them; every rating is of 5."""
    if not happened:
        return EventColumns.of(user=[], place=[], kind=[], time_s=[])
    log = events(*((user, at, "visit", ago_s) for user, at, _, ago_s in happened))
    kind = np.array([KIND_CODE[kind] for _, _, kind, _ in happened], np.int8)  # type: ignore[index]
    return replace(log, kind=kind, rating=np.where(kind == RATE, 5, np.nan).astype(np.float32))


def explained(
    documents: list[PlaceDocument],
    *happened: tuple[str, str, str, float],
    level: Any = pb.DEGRADATION_NONE,
) -> dict[str, dict[str, str]]:
    """Code to text by place, of the user "u", from states folded by the real definitions."""
    catalogue = catalogue_of(*documents)
    log = logged(*happened)
    mine = log.take(log.user == events(("u", "p", "view", 0.0)).user[0])
    user, rows = USER.empty(1), np.arange(len(catalogue))
    USER.fold(user, np.zeros(len(mine), np.int64), mine)
    places = PLACE.empty(len(catalogue))
    PLACE.fold(places, catalogue.rows_of(log.place), log)
    here = situation(LAT, LNG, NOON_S, None, stale_s=1.0)
    features = ranking_features(user, places, rows, here, catalogue)
    distance_m = catalogue.near(LAT, LNG, 1e5, 1_000)
    by_row = np.zeros(len(rows), np.float32)
    by_row[distance_m[0]] = distance_m[1]
    person = Person.of(user, known=True, latest_s=None, now_s=NOON_S)
    held = holding(Evidence(features, rows, by_row, level, NOON_S), person, catalogue)
    return {
        place_id: {reason.code: reason.text for reason in strongest(why)}
        for place_id, why in zip(catalogue.ids, held, strict=True)
    }


def test_a_place_of_which_nothing_is_known_has_no_reason() -> None:
    """Nothing canned."""
    assert explained([place("p", 2_000)])["p"] == {}


def test_near_is_said_in_metres() -> None:
    """Within 400 m, rounded to ten metres."""
    said = explained([place("close", 254), place("far", 450)])
    assert said["close"] == {"NEAR": "Near: 250 m away"}
    assert said["far"] == {}


def test_visits_before_are_counted() -> None:
    """Once, or so many times; a look is no visit."""
    said = explained(
        [place("p", 2_000), place("q", 2_000), place("r", 2_000)],
        ("u", "p", "visit", 3 * DAY_S + 20_000),
        ("u", "p", "visit", 4 * DAY_S + 20_000),
        ("u", "q", "visit", 5 * DAY_S + 20_000),
        ("u", "r", "view", 6 * DAY_S),
    )
    assert said["p"]["VISITED_BEFORE"] == "You have been here 2 times"
    assert said["q"]["VISITED_BEFORE"] == "You have been here once"
    assert "VISITED_BEFORE" not in said["r"]


def test_a_rating_is_no_visit() -> None:
    """Neither beside the visit that it is of, nor alone: not even of a kind of place."""
    rated_only = [("u", "rated", "rate", d * DAY_S) for d in (1.0, 2.0, 3.0)]
    said = explained(
        [place(p, 2_000, category="Café", time_zone="UTC") for p in ("been", "rated", "new")],
        ("u", "been", "visit", 2 * DAY_S + 600),
        ("u", "been", "rate", 2 * DAY_S),
        *rated_only,
    )
    assert said == {
        "been": {"VISITED_BEFORE": "You have been here once"},
        "rated": {},  # and the café that was visited has no name to tell
        "new": {},
    }


def test_more_visits_than_are_kept_are_told_as_at_least_so_many() -> None:
    """Of the last 128 two were here: how many were before them nobody knows."""
    others = [("u", "q", "visit", (i + 5) * DAY_S) for i in range(VISITS_KEPT - 2)]
    here = [("u", "p", "visit", d * DAY_S + 20_000) for d in (1.0, 2.0)]
    places = [place("p", 2_000), place("q", 2_000)]
    told = explained(places, *here, *others)["p"]["VISITED_BEFORE"]
    assert told == "You have been here at least 2 times"
    told = explained(places, *here, *others[:-1])["p"]["VISITED_BEFORE"]
    assert told == "You have been here 2 times"


def test_the_usual_hour_needs_this_hour() -> None:
    """Noon visits are told at noon, midnight visits are not."""
    noon = [("u", "noon", "visit", d * DAY_S) for d in (1.0, 2.0, 3.0)]
    midnight = [("u", "midnight", "visit", (d + 0.5) * DAY_S) for d in (1.0, 2.0, 3.0)]
    at_noon, at_midnight = (place(p, 2_000, time_zone="UTC") for p in ("noon", "midnight"))
    said = explained([at_noon, at_midnight], *noon, *midnight)
    assert said["noon"]["USUAL_HOUR"] == "You come here in the afternoon"
    assert "USUAL_HOUR" not in said["midnight"]
    alone = explained([at_midnight], *midnight)["midnight"]
    assert list(alone) == ["VISITED_BEFORE"]  # of no visits at noon, none is elsewhere


@pytest.mark.parametrize(
    ("days_ago", "zone", "expected"),
    [
        # Today is a Wednesday, 12:00 in Greenwich and 8:00 in New York.
        ((1, 2, 7), "UTC", "on weekday afternoons"),
        ((3, 4), "UTC", "on weekend afternoons"),
        ((1, 2, 7), "America/New_York", "on weekday mornings"),
        ((1, 3), "America/New_York", "in the morning"),
        ((1, 2), "Asia/Tokyo", "on weekday evenings"),
        ((1, 3), "Asia/Kolkata", "in the evening"),
        ((1, 4), "Pacific/Auckland", "at night"),
    ],
)
def test_the_usual_time_is_told_on_the_places_own_clock(
    days_ago: tuple[int, ...], zone: str, expected: str
) -> None:
    """The days and the part of the day of the visits around this hour."""
    visits = [("u", "p", "visit", d * DAY_S) for d in days_ago]
    said = explained([place("p", 2_000, time_zone=zone)], *visits)
    assert said["p"]["USUAL_HOUR"] == f"You come here {expected}"


@pytest.mark.parametrize(
    ("days_ago", "expected"),
    [
        # At 10:00 each, then at 11:00 and at 13:00.
        ((1 + 2 / 24, 2 + 2 / 24), "on weekday mornings"),
        ((1 + 2 / 24, 3 + 2 / 24), "in the morning"),
        ((1 + 1 / 24, 2 - 1 / 24), "around this time of day on weekdays"),
        ((3 + 1 / 24, 4 - 1 / 24), "around this time of day on weekends"),
        ((1 + 1 / 24, 3 - 1 / 24), "around this time of day"),
    ],
)
def test_the_part_of_the_day_is_that_of_the_visits(
    days_ago: tuple[float, ...], expected: str
) -> None:
    """It is noon, but who always came before it comes in the morning; of several none is told."""
    visits = [("u", "p", "visit", d * DAY_S) for d in days_ago]
    said = explained([place("p", 2_000, time_zone="UTC")], *visits)
    assert said["p"]["USUAL_HOUR"] == f"You come here {expected}"


def test_without_a_clock_or_on_one_day_there_is_no_usual_time() -> None:
    """Noon in Greenwich is no afternoon elsewhere, and twice in one afternoon is no habit."""
    noons = [("u", "p", "visit", d * DAY_S) for d in (1.0, 2.0)]
    assert "USUAL_HOUR" not in explained([place("p", 2_000)], *noons)["p"]
    twice = [("u", "p", "visit", DAY_S - h * HOUR_S) for h in (0.5, 1.5)]
    assert "USUAL_HOUR" not in explained([place("p", 2_000, time_zone="UTC")], *twice)["p"]


def test_visits_at_other_hours_do_not_blur_the_usual_time() -> None:
    """Weekday noons are told, though there was a Sunday evening once."""
    noons = [("u", "p", "visit", d * DAY_S) for d in (1.0, 2.0, 7.0)]
    evening = ("u", "p", "visit", 2.7 * DAY_S)
    said = explained([place("p", 2_000, time_zone="UTC")], *noons, evening)
    assert said["p"]["USUAL_HOUR"] == "You come here on weekday afternoons"


def test_a_new_place_is_told_by_one_like_it_that_was_visited() -> None:
    """The newest of its category by name, near or not; once it was visited itself, no longer."""
    cafe = "Dining > Café"
    said = explained(
        [
            place("joes", 2_000, name="Joe's", category=cafe),
            place("anns", 2_000, name="Ann's", category=cafe),
            place("close", 254, category=cafe),
            place("far", 2_000, category=cafe),
            place("bar", 254, category="Dining > Bar"),
        ],
        ("u", "joes", "visit", 9 * DAY_S + 20_000),
        ("u", "anns", "visit", 5 * DAY_S + 20_000),
    )
    assert said["close"] == {"LIKE_VISITED": "Near, like Ann's that you visited"}
    assert said["far"] == {"LIKE_VISITED": "Like Ann's that you visited"}
    assert said["bar"] == {"NEAR": "Near: 250 m away"}
    assert "LIKE_VISITED" not in said["joes"]


def test_a_path_of_categories_is_told_by_its_narrowest_name() -> None:
    """Nobody says "Dining > Café"."""
    places = [place(p, 2_000, category="Dining > Café") for p in ("a", "b", "new")]
    visits = [("u", "a", "visit", d * DAY_S) for d in (9.0, 8.0, 7.0)]
    said = explained(places, *visits)
    assert said["new"]["LIKES_CATEGORY"] == "A kind of place that you often visit: Café"


def test_what_was_just_looked_at_speaks_for_itself_and_its_like() -> None:
    """The place itself, and others of its category by its name; other categories not."""
    said = explained(
        [
            place("seen", 2_000, name="Joe's", category="Café"),
            place("alike", 2_000, category="Café"),
            place("other", 2_000, category="Bar"),
        ],
        ("u", "seen", "view", 60.0),
    )
    assert said["seen"] == {"JUST_LOOKED": "You just looked at it"}
    assert said["alike"] == {"SIMILAR_TO_RECENT": "Like Joe's, which you just looked at"}
    assert said["other"] == {}


def test_where_the_user_just_was_is_told_as_such() -> None:
    """A visit is no look, nor is a rating a visit; with no name the category stands in."""
    cafes = [place("was", 2_000, category="Café"), place("alike", 2_000, category="Café")]
    said = explained(cafes, ("u", "was", "visit", 60.0))
    assert said["alike"]["SIMILAR_TO_RECENT"] == "Like Café, where you just were"
    assert "JUST_LOOKED" not in said["was"]
    said = explained(cafes, ("u", "was", "visit", 9 * DAY_S), ("u", "was", "rate", 300.0))
    assert said["alike"]["SIMILAR_TO_RECENT"] == "Like Café, which you just rated"


def test_a_look_of_another_day_was_not_just_now() -> None:
    """Though the visit a moment ago is as much to the ranker as a look would be."""
    said = explained(
        [place("p", 2_000)], ("u", "p", "view", 2 * DAY_S), ("u", "p", "visit", 1_000.0)
    )
    assert "JUST_LOOKED" not in said["p"]


def test_a_place_is_not_said_to_be_like_itself() -> None:
    """Being there counts as intent for its kind, but only another of it is told, if just now."""
    cafes = [place(p, 2_000, name=p.upper(), category="Café") for p in ("p", "q")]
    there = ("u", "p", "visit", 1_300.0)
    said = explained(cafes, there, ("u", "q", "visit", 1_400.0))
    assert said["p"]["SIMILAR_TO_RECENT"] == "Like Q, where you just were"
    assert said["q"]["SIMILAR_TO_RECENT"] == "Like P, where you just were"
    said = explained(cafes, there, ("u", "q", "view", 5_000.0))
    assert "SIMILAR_TO_RECENT" not in said["p"]


def test_a_category_is_liked_after_several_visits() -> None:
    """Three visits of four to cafés, long ago; two visits say nothing yet."""
    places = [place(p, 2_000, category="Café") for p in ("a", "b", "new")]
    places.append(place("bar", 2_000, category="Bar"))
    visits = [("u", "a", "visit", 9 * DAY_S), ("u", "b", "visit", 8 * DAY_S)]
    assert "LIKES_CATEGORY" not in explained(places, *visits)["new"]
    said = explained(places, *visits, ("u", "a", "visit", 7 * DAY_S))
    assert said["new"]["LIKES_CATEGORY"] == "A kind of place that you often visit: Café"
    assert "LIKES_CATEGORY" not in said["bar"]


def test_the_crowd_of_this_hour_and_this_week() -> None:
    """Busy from three visits an hour, popular from twenty a week, rising against the last."""
    busy = [(f"v{i}", "busy", "visit", 600.0) for i in range(3)]
    popular = [(f"v{i}", "popular", "visit", d * DAY_S) for d in (2.0, 9.0) for i in range(20)]
    rising = [(f"v{i}", "rising", "visit", 2 * DAY_S) for i in range(12)]
    said = explained(
        [place(p, 2_000) for p in ("busy", "popular", "rising")], *busy, *popular, *rising
    )
    assert said["busy"] == {"BUSY_NOW": "Busy now: 3 visits in the last hour"}
    assert said["popular"] == {"POPULAR": "Popular: 20 visits this week"}
    assert said["rising"] == {"TRENDING": "On the rise: more visits this week than the week before"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"rating": 4.6, "review_count": 80}, {"WELL_RATED": "Rated 4.6 of 5"}),
        ({"rating": 4.1, "review_count": 80}, {}),
        ({"rating": 4.9, "review_count": 1}, {}),
        ({"review_count": 80}, {}),
    ],
)
def test_a_good_rating_needs_reviews(fields: dict[str, Any], expected: dict[str, str]) -> None:
    """One enthusiastic review is no reason."""
    assert explained([place("p", 2_000, **fields)])["p"] == expected


def test_a_good_rating_needs_reviews_of_its_own_source() -> None:
    """Three visitors' mean stands before the metadata's, whose reviews do not speak for it."""
    documents = [place("p", 2_000, rating=2.0, review_count=800)]
    visitors = [(f"v{i}", "p", "rate", DAY_S) for i in range(5)]
    assert explained(documents, *visitors[:3])["p"] == {}
    assert explained(documents, *visitors)["p"] == {"WELL_RATED": "Rated 5.0 of 5"}
    agreed = [place("p", 2_000, rating=5.0, review_count=800)]
    assert explained(agreed, *visitors[:3])["p"] == {"WELL_RATED": "Rated 5.0 of 5"}


def test_only_what_ordered_the_answer_is_said() -> None:
    """Without the ranker no crowd is claimed; with popularity alone, no taste is."""
    documents = [place("p", 100, rating=4.6, review_count=80, time_zone="UTC")]
    happened = [(f"v{i}", "p", "visit", 600.0) for i in range(20)]
    happened += [("u", "p", "visit", d * DAY_S) for d in (1.0, 2.0)]
    told = {
        level: set(explained(documents, *happened, level=level)["p"])
        for level in (pb.DEGRADATION_CANDIDATE_ORDER, pb.DEGRADATION_POPULARITY)
    }
    assert told[pb.DEGRADATION_CANDIDATE_ORDER] == {"USUAL_HOUR", "VISITED_BEFORE", "NEAR"}
    assert told[pb.DEGRADATION_POPULARITY] == {"WELL_RATED", "NEAR", "POPULAR"}


def test_the_strongest_reasons_come_first_and_are_few() -> None:
    """What is the user's own comes before what holds for everybody; at most four."""
    happened = [(f"v{i}", "p", "visit", 600.0) for i in range(20)]
    happened += [("u", "p", "visit", d * DAY_S) for d in (1.0, 2.0, 3.0)]
    known = {"category": "Café", "rating": 4.6, "review_count": 80, "time_zone": "UTC"}
    said = explained([place("p", 100, **known)], *happened)
    assert list(said["p"]) == ["USUAL_HOUR", "VISITED_BEFORE", "LIKES_CATEGORY", "BUSY_NOW"]
    assert len(said["p"]) == MOST_REASONS


def test_every_rule_reads_columns_that_exist() -> None:
    """With every figure at its highest and at its lowest, each rule can be judged."""
    catalogue = catalogue_of(place("p", 100, category="Café"))
    nobody = Person.unknown(NOON_S)  # so that only what needs no past holds
    for value, reasons in ((0.0, 1), (3.0, 3)):
        features = np.full((1, len(RANKING_COLUMNS)), value, np.float32)
        evidence = Evidence(
            features, np.array([0]), np.ones(1, np.float32), pb.DEGRADATION_NONE, NOON_S
        )
        (held,) = holding(evidence, nobody, catalogue)
        assert {reason.code for reason in held} <= set(CODES)
        assert len(strongest(held)) == reasons


def test_what_weighs_most_is_told_first() -> None:
    """By weight, whatever the rules' order, and at most four; near and alike weigh together."""
    held = [
        Reason("VISITED_BEFORE", "You have been here once", 0.5),
        Reason("LIKE_VISITED", "Like Ann's that you visited", 0.3),
        Reason("LIKES_CATEGORY", "A kind of place that you often visit: Café", 0.1),
        Reason("BUSY_NOW", "Busy now: 3 visits in the last hour", 2.0),
        Reason("NEAR", "Near: 250 m away", 0.4),
        Reason("POPULAR", "Popular: 20 visits this week", 0.2),
    ]
    said = strongest(held)
    assert [reason.code for reason in said] == [
        "BUSY_NOW",
        "LIKE_VISITED",
        "VISITED_BEFORE",
        "POPULAR",
    ]
    assert said[1].text == "Near, like Ann's that you visited"
    assert said[1].weight == pytest.approx(0.3 + 0.4)
