"""Guests: what they do answers what they were shown, and nothing else."""

from datetime import datetime

import numpy as np
import pytest

from placestream.simulation import City, Plan
from placestream.simulation.guests import Guests, Shown
from tests.placestream.simulation.conftest import ENDING_S

NOON_S = ENDING_S + 11 * 3_600.0


def test_events_answer_the_request_and_stay_on_its_list(city: City) -> None:
    """Each event names the request of its guest, a place of that list, and that guest."""
    guests = Guests(city, seed=3)
    starts = guests.come(200, NOON_S)
    shown = [Shown(f"r{i}", tuple(range(i, i + 5))) for i in range(200)]
    events = guests.play(starts, shown)
    assert {event["event_type"] for event in events} >= {"view", "click", "visit"}
    for event in events:
        row = int(event["request_id"][1:])
        assert row <= city.ids.place_row(event["place_id"]) < row + 5
        assert city.ids.user_row(event["user_id"]) == starts.user[row]


def test_without_a_list_nothing_happens(city: City) -> None:
    """Guests whose request failed, or was answered with nothing, do nothing."""
    guests = Guests(city, seed=3)
    starts = guests.come(3, NOON_S)
    assert guests.play(starts, [None, Shown("empty", ()), None]) == []
    events = guests.play(guests.come(2, NOON_S), [None, Shown("b", (1, 2, 3))])
    assert {event["request_id"] for event in events} == {"b"}


def test_better_lists_are_opened_more(city: City) -> None:
    """Those who are shown what they like best open more of it than those shown what they like
    least: what they do follows the true utility."""
    guests = Guests(city, seed=4)
    rates = []
    for worst_first in (False, True):
        starts = guests.come(400, NOON_S)
        every = np.broadcast_to(np.arange(len(city.places)), (len(starts), len(city.places)))
        utility = city.behaviour.utility(
            starts.user, every, starts.time_s, starts.lat, starts.lng, city.sky.at(starts.time_s)
        )
        order = np.argsort(utility if worst_first else -utility, axis=1)[:, :5]
        shown = [Shown(str(i), tuple(order[i].tolist())) for i in range(len(starts))]
        kinds = [event["event_type"] for event in guests.play(starts, shown)]
        rates.append(kinds.count("click") / kinds.count("view"))
    assert rates[0] > 2 * rates[1]


def test_a_pace_shortens_sessions_and_nothing_else(city: City) -> None:
    """At sixty times the pace the same things happen, each in a sixtieth of the time."""
    told = []
    for pace in (1.0, 60.0):
        guests = Guests(city, seed=6, pace=pace)
        shown = [Shown(str(i), (1, 2, 3, 4, 5)) for i in range(100)]
        told.append(guests.play(guests.come(100, NOON_S), shown))
    slow, fast = ({event["event_id"]: event for event in events} for events in told)
    assert slow.keys() == fast.keys()
    for event_id, event in slow.items():
        after_s = datetime.fromisoformat(event["timestamp"]).timestamp() - NOON_S
        soon_s = datetime.fromisoformat(fast[event_id]["timestamp"]).timestamp() - NOON_S
        assert soon_s == pytest.approx(after_s / 60, abs=0.002)
        assert event["place_id"] == fast[event_id]["place_id"]


def test_who_asks_nobody_chooses_among_what_lies_around(city: City) -> None:
    """No request is named, and what is looked at was considered, though no list holds it; at a
    pace, as with a list."""
    guests = Guests(city, seed=3, pace=60.0)
    starts = guests.come(200, NOON_S)
    events = guests.roam(starts)
    considered = city.behaviour.considered(starts.user, starts.lat, starts.lng)
    of = {
        city.ids.user(row): set(known) for row, known in zip(starts.user, considered, strict=True)
    }
    assert {event["event_type"] for event in events} >= {"view", "click", "visit"}
    for event in events:
        assert "request_id" not in event
        assert city.ids.place_row(event["place_id"]) in of[event["user_id"]]
    times_s = [datetime.fromisoformat(event["timestamp"]).timestamp() for event in events]
    assert times_s == sorted(times_s)
    # A day at sixty times the pace is 24 minutes; no session lasts as long.
    assert NOON_S <= times_s[0] <= times_s[-1] < NOON_S + 24 * 60


def test_event_ids_differ_between_calls(city: City) -> None:
    """No two sessions share an event id, or the stream would take them for duplicates."""
    guests = Guests(city, seed=3)
    shown = [Shown(str(i), (1, 2, 3)) for i in range(50)]
    ids = [e["event_id"] for _ in range(3) for e in guests.play(guests.come(50, NOON_S), shown)]
    assert len(set(ids)) == len(ids)


def test_a_city_without_history_has_no_guests() -> None:
    """It says so, rather than fail when they come."""
    with pytest.raises(ValueError, match="no session with a known location"):
        Guests(City(Plan(users=2, places=10, days=0), ending_s=ENDING_S), seed=1)
    with pytest.raises(ValueError, match="pace"):
        Guests(City(Plan(users=2, places=10, days=0), ending_s=ENDING_S), seed=1, pace=0)
