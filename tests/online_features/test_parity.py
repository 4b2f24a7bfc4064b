"""The folds against a brute-force oracle, on random histories."""

from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_features import replay
from online_features.columns import CLICK, RATE, VIEW, VISIT
from online_features.definitions import LOOKS_KEPT, PLACE, USER, VISITS_KEPT
from online_features.duplicates import mark_new
from online_features.history import history
from online_features.replay import Queries, Replay, fold_all, point_in_time
from tests.online_features.histories import SPAN_S, START_S, columns, histories
from tests.online_features.oracle import (
    Event,
    last_events,
    place_features,
    user_features,
)

END_S = START_S + SPAN_S


@given(events=histories(), later_s=st.sampled_from([0, 299, 3_600, 86_400 * 3, 86_400 * 60]))
@settings(max_examples=120, deadline=None)
def test_every_column_equals_the_oracle_at_every_age(events: list[Event], later_s: int) -> None:
    """Windows slide on with no new event; nothing is counted twice or forgotten early."""
    now_s = float(END_S + later_s)
    users, user_states, places, place_states = fold_all(columns(events))
    got = USER.read(user_states, now_s)
    for row, user in enumerate(users.tolist()):
        expected = user_features(events, user, now_s)
        assert set(expected) == set(USER.columns)
        assert dict(zip(USER.columns, got[row], strict=True)) == pytest.approx(expected, rel=1e-4)
    got = PLACE.read(place_states, now_s)
    for row, place in enumerate(places.tolist()):
        expected = place_features(events, place, now_s)
        assert set(expected) == set(PLACE.columns)
        answer = dict(zip(PLACE.columns, got[row], strict=True))
        for name in ("dwell_s_p50", "dwell_s_p90"):  # a sketch: near, by its stated error
            assert answer.pop(name) == pytest.approx(expected.pop(name), rel=0.151)
        assert answer == pytest.approx(expected, rel=1e-6)


@given(events=histories())
@settings(max_examples=60, deadline=None)
def test_last_events_are_the_newest_by_event_time(events: list[Event]) -> None:
    """Late events take their place in the history, however they arrive."""
    users, states, _, _ = fold_all(columns(events))
    for row, user in enumerate(users.tolist()):
        for name, kinds, k in (
            ("last_visits", {VISIT, RATE}, VISITS_KEPT),
            ("last_looks", {VIEW, CLICK}, LOOKS_KEPT),
        ):
            kept = states[name][row]
            filled = kept["place"] != 0
            got = list(
                zip(*(kept[f][filled].tolist() for f in ("time_s", "place", "kind")), strict=True)
            )
            assert got == last_events(events, user, kinds, k)
        merged = history(states[row : row + 1])
        assert (np.diff(merged.time_s[0]) <= 0).all()


@given(events=histories(), cuts=st.lists(st.integers(0, 120), max_size=6))
@settings(max_examples=80, deadline=None)
def test_state_does_not_depend_on_how_the_stream_is_cut(
    events: list[Event], cuts: list[int]
) -> None:
    """Any cut into micro-batches gives the same bytes."""
    whole = columns(events)
    users, expected_users, places, expected_places = fold_all(whole)
    user_states, place_states = USER.empty(len(users)), PLACE.empty(len(places))
    edges = sorted({0, len(events), *(c for c in cuts if c < len(events))})
    for start, end in pairwise(edges):
        part = whole.take(slice(start, end))
        rows = np.searchsorted(users, part.user)
        new = mark_new(user_states["seen"], rows, part.event_hash)
        part = part.take(new)
        USER.fold(user_states, rows[new], part)
        PLACE.fold(place_states, np.searchsorted(places, part.place), part)
    assert USER.pack(user_states) == USER.pack(expected_users)
    assert PLACE.pack(place_states) == PLACE.pack(expected_places)


@given(
    events=histories(),
    asked=st.lists(st.tuples(st.integers(0, 120), st.integers(1, 5), st.integers(1, 7))),
    chunk=st.integers(1, 50),
    at_once=st.integers(1, 60),
)
@settings(max_examples=80, deadline=None)
def test_point_in_time_sees_what_came_before_and_nothing_else(
    events: list[Event], asked: list[tuple[int, int, int]], chunk: int, at_once: int
) -> None:
    """Each answer equals the final state of the log cut off at its moment.

    However many queries and events are taken at once, and though nobody is kept who is not asked.
    """
    asked = sorted((min(before, len(events)), user, place) for before, user, place in asked)
    queries = Queries(
        np.array([b for b, _, _ in asked], np.int64),
        np.array([u for _, u, _ in asked], np.uint64),
        np.array([p for _, _, p in asked], np.uint64),
    )
    log = columns(events)
    answered = 0
    with mock.patch.object(replay, "_FOLD_AT_ONCE", at_once):
        played = list(point_in_time(log, queries, chunk))
    for part, user_states, place_states in played:
        for i, (before, user, place) in enumerate(asked[part]):
            users, u_states, places, p_states = fold_all(log.take(slice(0, before)))
            expected = u_states[users == user] if user in users else USER.empty(1)
            expected["seen"] = 0
            assert USER.pack(user_states[i : i + 1]) == USER.pack(expected)
            expected = p_states[places == place] if place in places else PLACE.empty(1)
            assert PLACE.pack(place_states[i : i + 1]) == PLACE.pack(expected)
            answered += 1
    assert answered == len(asked)


@given(events=histories(), chunk=st.integers(1, 50), each=st.integers(0, 4))
@settings(max_examples=30, deadline=None)
def test_a_query_may_ask_for_several_places(events: list[Event], chunk: int, each: int) -> None:
    """The same answers as from a query for each of them, and one of the user."""
    rng = np.random.default_rng(len(events))
    before = np.sort(rng.integers(0, len(events) + 1, 12))
    user, place = rng.integers(1, 6, 12, np.uint64), rng.integers(1, 8, (12, each), np.uint64)
    singly = Queries(np.repeat(before, each), np.repeat(user, each), place.ravel())
    log = columns(events)
    users = [u for _, u, _ in point_in_time(log, Queries.of_users(before, user))]
    places = [p for _, _, p in point_in_time(log, singly)]
    found = list(point_in_time(log, Queries(before, user, place), chunk))
    assert [i for part, _, _ in found for i in range(part.start, part.stop)] == list(range(12))
    assert USER.pack(np.concatenate([u for _, u, _ in found])) == USER.pack(np.concatenate(users))
    expected = np.concatenate([PLACE.empty(0), *places])
    assert PLACE.pack(np.concatenate([p for _, _, p in found])) == PLACE.pack(expected)


def test_queries_must_be_in_order() -> None:
    """A query about an earlier moment cannot be answered after the log has moved on."""
    queries = Queries(np.array([3, 1]), np.ones(2, np.uint64), np.ones(2, np.uint64))
    with pytest.raises(ValueError, match="ascending"):
        list(point_in_time(columns([]), queries))


def test_who_was_not_announced_cannot_be_asked_about() -> None:
    """Their state was not kept; whom no event mentions has the empty one all the same."""
    log = columns([])
    log = type(log).of(user=[1, 2], place=[5, 5], kind=[VISIT, VISIT], time_s=[START_S, START_S])
    about = [Queries.of_users(np.array([2]), np.array([user], np.uint64)) for user in (1, 2, 3)]
    played = Replay(log, about[0].user)
    assert USER.pack(played.at(about[0])[0]) == USER.pack(Replay(log).at(about[0])[0])
    assert USER.pack(played.at(about[2])[0]) == USER.pack(USER.empty(1))
    with pytest.raises(ValueError, match="nothing was kept"):
        played.at(about[1])


def test_a_duplicate_far_back_counts_again() -> None:
    """The memory is 16 events deep, and states it."""
    events = [Event(1, 1, VISIT, START_S + i, None, -1, i + 1) for i in range(17)]
    assert last_events([*events, events[0]], 1, {VISIT}, 48)[-1][0] == START_S
    users, states, _, _ = fold_all(columns([*events, events[0], events[16], events[5]]))
    assert USER.read(states, float(START_S + 60))[0, USER.index["visits_1h"]] == 18
    assert users.tolist() == [1]


def test_ratio_never_exceeds_one() -> None:
    """Clicks whose views were never sent do not make a ratio above one."""
    clicks = [Event(1, 9, CLICK, START_S, None, -1, i + 1) for i in range(500)]
    _, _, _, states = fold_all(columns(clicks))
    ratio = PLACE.read(states, float(START_S))[0, PLACE.index["click_ratio"]]
    assert ratio == pytest.approx((500 + 2) / 520)


def test_rating_without_a_rate_event_is_not_a_rating_given() -> None:
    """Only events of type rate move the mean."""
    events = [Event(1, 1, VISIT, START_S, 1.0, -1, 1), Event(1, 1, RATE, START_S, 4.5, -1, 2)]
    _, states, _, _ = fold_all(columns(events))
    assert USER.read(states, float(START_S))[0, USER.index["rating_given_mean"]] == 4.5
