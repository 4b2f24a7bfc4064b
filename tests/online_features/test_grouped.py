"""Folds of a log that is sorted by entity and cut anywhere, against the replay of the same log."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_features.columns import VISIT, EventColumns
from online_features.definitions import PLACE, USER
from online_features.feature_set import FeatureSet
from online_features.grouped import (
    PERIOD_S,
    GroupedAnswers,
    GroupedDuplicates,
    GroupedFold,
    Period,
    Snapshots,
)
from online_features.replay import Queries, fold_all, point_in_time
from tests.online_features.histories import START_S, columns, histories
from tests.online_features.oracle import Event

CUTS = st.lists(st.integers(0, 120), max_size=8)
#: Positions in a log, and of whom is asked; the histories have four users and six places.
QUESTIONS = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 8)), max_size=60)


def parts(events: EventColumns, cuts: Sequence[int]) -> Iterator[slice]:
    """Yield slices that the cuts make, empty ones among them."""
    edges = sorted([0, len(events), *(min(cut, len(events)) for cut in cuts)])
    yield from (slice(*edge) for edge in pairwise(edges))


def counted(events: EventColumns, cuts: Sequence[int]) -> tuple[EventColumns, np.ndarray]:
    """What counts, sorted by user, and its place in the log.

    Every event is handed in twice, as if it stood in two files.
    """
    by_user = np.argsort(events.user, kind="stable")
    twice = events.take(np.repeat(by_user, 2))
    position = np.stack([np.zeros(len(twice), np.int64), np.repeat(by_user, 2)])
    marks = GroupedDuplicates()
    new = [
        marks.push(twice.user[part], twice.event_hash[part], position[:, part])
        for part in parts(twice, cuts)
    ]
    return twice.take(np.concatenate(new)), position[1][np.concatenate(new)]


def folded(
    events: EventColumns, features: FeatureSet, period: Period | None, cuts: Sequence[int]
) -> Snapshots:
    """All that a fold of events in their order tells."""
    fold = GroupedFold(features, period)
    ids = getattr(events, features.entity).astype(object)
    found = [fold.push(events.take(part), ids[part]) for part in parts(events, cuts)]
    found.append(fold.close())
    return Snapshots(
        *(np.concatenate([getattr(f, name) for f in found]) for name in ("ids", "at_s", "states"))
    )


def sorted_by(events: EventColumns, order: np.ndarray, features: FeatureSet) -> EventColumns:
    """Sorted by entity, then by the order of the log."""
    return events.take(np.lexsort((order, getattr(events, features.entity))))


@given(events=histories(), cuts=CUTS)
def test_final_states_are_the_replays(events: list[Event], cuts: list[int]) -> None:
    """To the byte, with what tells duplicates, however the engine cuts its batches."""
    log = columns(events)
    users, user_states, places, place_states = fold_all(log)
    new, order = counted(log, cuts)
    for features, ids, states in ((USER, users, user_states), (PLACE, places, place_states)):
        got = folded(sorted_by(new, order, features), features, None, cuts)
        assert got.ids.tolist() == ids.tolist()
        assert features.pack(got.states) == features.pack(states)


@pytest.mark.parametrize(("features", "period"), [(USER, "day"), (PLACE, "hour")])
@given(events=histories(), cuts=CUTS)
def test_snapshots_are_what_the_replay_answers_at_the_end_of_each_period(
    features: FeatureSet, period: Period, events: list[Event], cuts: list[int]
) -> None:
    """One for each period with an event that counts; it sees what lies before its end, no more."""
    log = columns(sorted(events, key=lambda event: event.time_s))
    new, order = counted(log, cuts)
    got = folded(sorted_by(new, order, features), features, period, cuts)
    width_s = PERIOD_S[period]
    ends_s = (new.time_s // width_s + 1) * width_s
    expected = sorted({*zip(getattr(new, features.entity).tolist(), ends_s.tolist(), strict=True)})
    assert list(zip(got.ids.tolist(), got.at_s.tolist(), strict=True)) == expected
    by_time = np.argsort(got.at_s, kind="stable")
    hashes = got.ids[by_time].astype(np.uint64)
    queries = Queries(np.searchsorted(log.time_s, got.at_s[by_time]), hashes, hashes)
    for part, user_states, place_states in point_in_time(log, queries):
        states = user_states if features is USER else place_states
        assert features.pack(got.states[by_time][part]) == features.pack(states)


@pytest.mark.parametrize("features", [USER, PLACE])
@given(events=histories(), cuts=CUTS, asked=QUESTIONS)
def test_questions_among_the_events_are_answered_as_by_the_replay(
    features: FeatureSet, events: list[Event], cuts: list[int], asked: list[tuple[int, int]]
) -> None:
    """Of anybody at any position, many at one, and of whom nothing is known."""
    log = columns(events)
    new, order = counted(log, cuts)
    before = np.sort(np.array([at for at, _ in asked], np.int64) % (len(log) + 1))
    who = np.array([entity for _, entity in asked], np.uint64)
    queries = Queries(before, who, who)
    expected = [
        states if features is USER else places
        for _, states, places in point_in_time(log, queries, chunk=1_000)
    ]
    everything = _with_questions(new, who)
    asks = np.arange(len(everything)) >= len(new)
    # A question about position b comes before the event there, and behind the one before.
    at = np.lexsort((~asks, np.r_[order, before], getattr(everything, features.entity)))
    answers, found = GroupedAnswers(features), []
    for part in parts(everything, cuts):
        states, which = answers.push(everything.take(at[part]), asks[at[part]])
        assert len(which) == asks[at[part]].sum()
        found.append(states[which])
    got = np.concatenate([features.empty(0), *found])
    back = np.argsort(at[asks[at]])
    assert features.pack(got[back]) == features.pack(np.concatenate([got[:0], *expected]))


def _with_questions(events: EventColumns, who: np.ndarray) -> EventColumns:
    """Events, then rows that name an entity and say nothing else."""
    none = {f.name: np.zeros(len(who), getattr(events, f.name).dtype) for f in fields(EventColumns)}
    none |= {"user": who, "place": who}
    both = {name: np.r_[getattr(events, name), values] for name, values in none.items()}
    return EventColumns(**both)


def test_questions_that_no_event_parts_share_a_state() -> None:
    """A place that everybody is asked about costs the states of its own events."""
    answers, n = GroupedAnswers(PLACE), 1_000
    rows = EventColumns.of(
        user=np.arange(1, n + 1),
        place=np.full(n, 9),
        kind=np.full(n, VISIT),
        time_s=np.full(n, START_S),
    )
    asks = np.arange(n) % 100 != 0
    for batch in range(2):
        states, which = answers.push(rows, asks)
        assert len(states) == 10
        assert len(which) == asks.sum()
        visits = PLACE.read(states, float(START_S))[:, PLACE.index["visits_24h"]]
        assert visits.tolist() == [10 * batch + i for i in range(1, 11)]


def test_a_position_that_is_archived_twice_counts_once_and_a_duplicate_once() -> None:
    """The same event at another position is a producer's retry; at its own, a worker's."""
    marks = GroupedDuplicates()
    user, hashes = np.array([5, 5, 5, 5], np.uint64), np.array([1, 1, 2, 1], np.uint64)
    position = np.array([[0, 0, 0, 0], [7, 7, 8, 9]])
    assert marks.push(user, hashes, position).tolist() == [True, False, True, False]
    again = marks.push(user[:2], hashes[:2], np.array([[0, 0], [9, 10]]))
    assert again.tolist() == [False, False], "the next batch goes on where this one ended"


def test_one_entity_holds_one_state_however_many_batches_it_fills() -> None:
    """A hot place: what is carried from batch to batch does not grow."""
    fold, n = GroupedFold(PLACE, None), 1_000
    for batch in range(20):
        events = EventColumns.of(
            user=np.arange(1, n + 1),
            place=np.full(n, 9),
            kind=np.full(n, VISIT),
            time_s=START_S + batch * n + np.arange(n),
        )
        assert len(fold.push(events, np.full(n, "hot", object))) == 0
    last = fold.close()
    assert last.ids.tolist() == ["hot"]
    read = PLACE.read(last.states, float(START_S + 20 * n))
    assert read[0, PLACE.index["visits_24h"]] == 20 * n
    assert len(fold.close()) == 0
