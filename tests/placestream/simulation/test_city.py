"""The simulated city as a source: repeatable, valid, in order, and true to its own rules."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest

from contracts.events import (
    AGE_GROUPS,
    EVENT_TYPES,
    ContextUpdate,
    Interaction,
    PlaceUpdate,
    decode,
    encode,
)
from contracts.ids import canonical_id
from online_features.opening import week_spans
from placestream.simulation import City, Event, Plan, messages
from placestream.simulation.categories import CATEGORIES, WEEKDAYS
from placestream.simulation.sessions import CLICK, RATE, VIEW, VISIT
from placestream.simulation.times import DAY_S, WEEK_S, iso
from placestream.simulation.weather import RAIN

ENDING_S = 1_718_000_000
SMALL = Plan(users=40, places=60, days=3)


def stream_bytes(city: City) -> bytes:
    """All messages of a city, encoded."""
    return b"\n".join(
        message.stream.encode() + message.key.encode() + encode(message.event)
        for message in messages(city)
    )


def test_same_seed_same_bytes() -> None:
    """Two cities of one plan, end and seed agree to the bit, read once or twice."""
    first, second = (City(SMALL, ending_s=ENDING_S, seed=4) for _ in range(2))
    assert stream_bytes(first) == stream_bytes(first) == stream_bytes(second)


@pytest.mark.parametrize(
    "other",
    [
        City(SMALL, ending_s=ENDING_S, seed=5),
        City(SMALL, ending_s=ENDING_S + DAY_S, seed=4),
        City(Plan(users=41, places=60, days=3), ending_s=ENDING_S, seed=4),
    ],
    ids=["seed", "end", "users"],
)
def test_another_history_has_other_event_ids(other: City) -> None:
    """Runs that differ share no event id: none would pass for a duplicate of the other."""
    base = City(SMALL, ending_s=ENDING_S, seed=4)
    ids = {event["event_id"] for event in base.interactions()}
    assert ids.isdisjoint(event["event_id"] for event in other.interactions())


@pytest.mark.parametrize(
    ("stream", "type_"),
    [
        (City.interactions, Interaction),
        (City.place_updates, PlaceUpdate),
        (City.context_updates, ContextUpdate),
    ],
)
def test_every_event_is_valid_and_says_all_it_means(
    city: City, stream: Callable[[City], Iterator[Event]], type_: type[Any]
) -> None:
    """Each decodes strictly as its contract, with no field that the contract lacks."""
    decoder = msgspec.json.Decoder(type_)
    for event in stream(city):
        decoded = decode(decoder, encode(event))
        assert set(event) <= set(type_.__struct_fields__)
        assert iso(decoded.timestamp.timestamp()) == event["timestamp"]


def test_interactions_are_ordered_distinct_and_within_the_history(city: City) -> None:
    """Times ascend from start to end, event ids are unique, and the counts are as described."""
    events = list(city.interactions())
    stamps = [event["timestamp"] for event in events]
    assert stamps == sorted(stamps)
    assert iso(city.start_s) <= stamps[0]
    assert stamps[-1] < iso(city.ending_s)
    assert len({event["event_id"] for event in events}) == len(events)
    assert not any("request_id" in event for event in events)
    about = city.describe()
    assert about.interactions == {
        kind: sum(event["event_type"] == kind for event in events) for kind in EVENT_TYPES
    }
    assert about.users == len({event["user_id"] for event in events})
    assert all(about.interactions.values())
    assert any("search_query" in event["context"] for event in events)


def test_messages_merge_all_streams_in_time(city: City) -> None:
    """The catalogue goes first, times ascend, keys are ids, and the size is right."""
    everything = list(messages(city))
    assert len(everything) == city.size
    assert {m.stream for m in everything[: len(city.places)]} == {"place_updates"}
    stamps = [m.event["timestamp"] for m in everything]
    assert stamps == sorted(stamps)
    for message in everything:
        if message.stream == "context":
            assert message.key == city.region
        else:
            field = "user_id" if message.stream == "interactions" else "place_id"
            assert message.key == canonical_id(message.event[field])


@pytest.mark.parametrize("as_strings", [False, True])
def test_ids_are_integers_or_strings_and_lead_back_to_rows(as_strings: bool) -> None:
    """Either form of id is used throughout, and names its row."""
    city = City(Plan(users=20, places=30, days=2, string_ids=as_strings), ending_s=ENDING_S)
    for event, user, place in zip(
        city.interactions(), city.events.user, city.events.place, strict=True
    ):
        assert isinstance(event["user_id"], str if as_strings else int)
        assert city.ids.user_row(event["user_id"]) == user
        assert city.ids.place_row(event["place_id"]) == place


def test_the_catalogue_tells_the_true_opening_hours(city: City) -> None:
    """What `business_hours` say to a reader is when the place is open, half hour by half hour."""
    for row, update in zip(range(len(city.places)), city.place_updates(), strict=False):
        spans = week_spans(city.places.hours[row])
        minutes = np.zeros(2 * 7 * 1_440, bool)
        for start, end in spans:
            minutes[start:end] = True
        week = minutes[: 7 * 1_440] | minutes[7 * 1_440 :]
        np.testing.assert_array_equal(week[::30], city.places.open[row])
        np.testing.assert_array_equal(week[29::30], city.places.open[row])
        told = update["updates"].get("business_hours")
        assert told == (None if city.places.silent[row] else city.places.hours[row])
        assert set(told or {}) <= set(WEEKDAYS)


def test_nobody_visits_a_closed_place(city: City) -> None:
    """Every visit begins while the place is open."""
    visits = city.events.take(city.events.kind == VISIT)
    assert city.behaviour.is_open(visits.place, visits.time_ms / 1000).all()


def test_the_funnel_keeps_its_order(city: City) -> None:
    """A click follows its view, a rating its visit, and only ratings carry stars."""
    seen: dict[tuple[int, int, int], int] = {}
    e = city.events
    for session, place, kind, time_ms in zip(e.session, e.place, e.kind, e.time_ms, strict=True):
        key = (int(session), int(place), int(kind))
        assert key not in seen
        seen[key] = int(time_ms)
        if kind in (CLICK, RATE):
            assert seen[key[0], key[1], VIEW if kind == CLICK else VISIT] < time_ms
    assert ((e.stars > 0) == (e.kind == RATE)).all()
    assert ((e.stars >= 0) & (e.stars <= 5)).all()


def test_a_user_is_in_one_session_at_a_time(city: City) -> None:
    """No view of a later session comes before the last view of an earlier one."""
    views = city.events.take(city.events.kind == VIEW)
    for user in range(len(city.users)):
        own = views.session[views.user == user].tolist()
        runs = [a for a, b in pairwise([*own, -1]) if a != b]
        assert len(runs) == len(set(runs))


def test_ratings_move_the_catalogue_each_week(city: City) -> None:
    """After a week, a rated place has the mean of its old reviews and the new stars."""
    updates = list(city.place_updates())[len(city.places) :]
    moment_s = city.start_s + WEEK_S
    assert {update["timestamp"] for update in updates} == {iso(moment_s)}
    e = city.events
    rated = e.take((e.kind == RATE) & (e.time_ms < moment_s * 1000))
    for update in updates:
        row = city.ids.place_row(update["place_id"])
        stars = rated.stars[rated.place == row]
        before = int(city.places.review_count[row])
        count = before + len(stars)
        mean = (city.places.rating[row] * before + stars.sum()) / count
        assert update["updates"] == {"rating": round(mean, 2), "review_count": count}
    assert len(updates) == len(np.unique(rated.place))


def test_chosen_places_are_worth_more_than_others(city: City) -> None:
    """At the moment of a view, what is looked at beats a random place; what is opened beats it."""
    e = city.events
    looks = e.take(e.kind == VIEW)
    users, rows = looks.user.astype(int), looks.place.astype(int)
    other = np.random.default_rng(0).integers(0, len(city.places), len(rows))
    time_s = looks.time_ms / 1000
    utility = city.behaviour.utility(
        users, np.stack([rows, other], axis=1), time_s, looks.lat, looks.lng, city.sky.at(time_s)
    )
    assert (utility[:, 0] > utility[:, 1]).mean() > 0.9
    opened = {(s, p) for s, p in zip(*_pairs(city, CLICK), strict=True)}
    clicked = np.array([(s, p) in opened for s, p in zip(*_pairs(city, VIEW), strict=True)])
    assert utility[clicked, 0].mean() > utility[~clicked, 0].mean() + 1


def _pairs(city: City, kind: int) -> tuple[list[int], list[int]]:
    events = city.events.take(city.events.kind == kind)
    return events.session.tolist(), events.place.tolist()


def test_rain_empties_the_open_air() -> None:
    """Over a long summer, the share of visits in the open falls by more than half in rain."""
    city = City(Plan(users=250, places=300, days=45), ending_s=ENDING_S, seed=9)
    visits = city.events.take(city.events.kind == VISIT)
    outside = city.sky.at(visits.time_ms / 1000)
    open_air = np.array([c.open_air >= 0.5 for c in CATEGORIES])[city.places.category]
    in_open = open_air[visits.place]
    wet = outside.condition == RAIN
    assert wet.sum() > 200
    assert in_open[wet].mean() < 0.5 * in_open[~wet].mean()


def test_ratings_follow_liking(city: City) -> None:
    """Those who give five stars like the place better, lastingly, than those who give three."""
    rated = city.events.take(city.events.kind == RATE)
    users, places = rated.user.astype(int), rated.place.astype(int)[:, None]
    liking = city.behaviour.liking(users, places, rated.time_ms / 1000)[:, 0]
    assert liking[rated.stars == 5].mean() > liking[rated.stars <= 3].mean() + 0.5


def test_people_have_habits(city: City) -> None:
    """A user's own favourites draw far more of the visits than their number would."""
    visits = city.events.take(city.events.kind == VISIT)
    favourite = city.behaviour.is_favourite(
        visits.user.astype(int), visits.place.astype(int)[:, None]
    )
    by_number = city.behaviour.favourites.shape[1] / len(city.places)
    assert favourite.mean() > 5 * by_number


def test_age_groups_are_those_of_the_contract(city: City) -> None:
    """Every user tells one age group, always the same."""
    told: dict[int, str] = {}
    for event in city.interactions():
        assert told.setdefault(event["user_id"], event["user_age_group"]) in AGE_GROUPS
        assert told[event["user_id"]] == event["user_age_group"]


@pytest.mark.parametrize(
    "plan",
    [Plan(users=1, places=1, days=2), Plan(users=3, places=5, days=0), Plan(users=2, days=0.25)],
    ids=["one of each", "no history", "part of a day"],
)
def test_the_smallest_cities_work(plan: Plan) -> None:
    """Sizes at the edge give a catalogue, and histories that are described rightly."""
    city = City(plan, ending_s=ENDING_S)
    assert sum(1 for _ in messages(city)) == city.size
    about = city.describe()
    assert about.places == plan.places
    assert sum(about.interactions.values()) == len(city.events)
