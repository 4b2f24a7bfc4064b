"""Read your writes: waiting for what the caller has just sent, within the deadline."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from redis.exceptions import ConnectionError as RedisGone

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.answer import Answer
from inference.course import OWN_WRITES, STAGES
from inference.deadline import RESERVE_MAX_S
from inference.own_writes import FIRST_PAUSE_S, LONGEST_PAUSE_S, PAUSE_GROWTH, WAIT_SHARE
from tests.inference.asking import QUERY, ask, run
from tests.inference.fakes import FakeModels, FakeStore, events

OFFSET = 41
WRITTEN = replace(QUERY, written=((2, OFFSET),))
DEADLINE_S = 1.0
#: What may be waited: half of the budget, from which the reserve is off.
MOST_S = WAIT_SHARE * (DEADLINE_S - RESERVE_MAX_S)


def folded_after(seconds: float) -> Callable[[float], int]:
    """A stream that passes the event so long after it is first asked."""
    first: list[float] = []

    def folded(at_s: float) -> int:
        first.append(at_s)
        return OFFSET + 1 if at_s >= first[0] + seconds - 1e-9 else OFFSET

    return folded


def answered(store: FakeStore, **asked: object) -> tuple[Answer, float]:
    return run(store=store, query=WRITTEN, deadline_s=DEADLINE_S, **asked)[0]  # type: ignore[arg-type]


def looks(store: FakeStore) -> int:
    return sum(asked[0] == "user" for asked in store.asked)


def test_what_was_seen_is_answered_at_once() -> None:
    """The offset has passed the event: one look, no wait."""
    store = FakeStore(folded=folded_after(0))
    answer, took_s = answered(store)
    assert answer.read_your_writes == pb.READ_YOUR_WRITES_SEEN
    assert looks(store) == 1
    assert took_s == 0
    assert list(answer.stage_s) == [*STAGES, OWN_WRITES]


def test_the_offset_itself_is_not_past_it() -> None:
    """The stored offset is the next to fold: equal to the event's, the event is not in yet."""
    store = FakeStore(folded=lambda _: OFFSET)
    assert answered(store)[0].read_your_writes == pb.READ_YOUR_WRITES_NOT_SEEN


@pytest.mark.parametrize("after_s", [0.001, 0.03, 0.2, MOST_S - LONGEST_PAUSE_S])
def test_it_waits_until_the_stream_has_come_so_far(after_s: float) -> None:
    """The answer comes when the event is in, late by at most one pause between two looks."""
    answer, took_s = answered(FakeStore(folded=folded_after(after_s)))
    assert answer.read_your_writes == pb.READ_YOUR_WRITES_SEEN
    pause_s = max(FIRST_PAUSE_S, min(LONGEST_PAUSE_S, PAUSE_GROWTH * after_s))
    assert after_s <= took_s <= after_s + pause_s + 1e-9
    assert answer.stage_s[OWN_WRITES] == pytest.approx(took_s)


def test_the_answer_is_made_of_what_was_read_after_the_wait() -> None:
    """Not of the state that the first look brought."""
    store = FakeStore()
    passed = folded_after(0.05)

    def folded(at_s: float) -> int:
        if passed(at_s) > OFFSET:
            return OFFSET + 1
        store.happened = events(("u", "p3", "visit", 60.0))  # lies there at the next look
        return OFFSET

    store.folded = folded
    answer, _ = answered(store)
    assert answer.user_known
    assert answer.feature_age_s == 60


def test_what_cannot_be_seen_in_time_is_said() -> None:
    """A stream that stands still costs half of the budget; the answer is whole otherwise."""
    store = FakeStore(folded=lambda _: 0)
    answer, took_s = answered(store)
    assert answer.read_your_writes == pb.READ_YOUR_WRITES_NOT_SEEN
    assert MOST_S - LONGEST_PAUSE_S <= took_s <= MOST_S
    assert answer.level == pb.DEGRADATION_NONE
    assert len(answer.places) == QUERY.limit
    # Full pauses, and some shorter ones at first.
    assert looks(store) <= MOST_S / LONGEST_PAUSE_S + 10


@pytest.mark.parametrize("look_s", [0.02, 0.025, 0.03, 0.035, 0.04, 0.045])
def test_a_look_that_the_end_of_the_wait_cuts_off_is_no_failure(look_s: float) -> None:
    """The store answers as fast as it must; that nothing was left for a last look is not its fault.

    How much is left varies with how long a look takes; in some of these cases it is too little.
    """
    answer, _ = answered(FakeStore(folded=lambda _: 0, delay_s=look_s))
    assert answer.read_your_writes == pb.READ_YOUR_WRITES_NOT_SEEN
    assert answer.causes == ()
    assert answer.level == pb.DEGRADATION_NONE
    assert answer.stage_s[OWN_WRITES] <= MOST_S + 1e-9


def test_slow_models_find_their_half_of_the_budget_untouched() -> None:
    """After a wait in vain the other stages still end before the deadline."""
    models = FakeModels(delay_s={"candidates": 60.0, "ranker": 60.0})
    answer, took_s = answered(FakeStore(folded=lambda _: 0), models=models)
    assert took_s <= DEADLINE_S
    assert answer.level == pb.DEGRADATION_POPULARITY
    assert answer.read_your_writes == pb.READ_YOUR_WRITES_NOT_SEEN


def test_without_positions_nothing_is_said() -> None:
    """Who names no event neither waits nor hears of it."""
    answer = ask(store=FakeStore(folded=lambda _: 0))
    assert answer.read_your_writes == pb.READ_YOUR_WRITES_UNSPECIFIED
    assert list(answer.stage_s) == list(STAGES)


def test_all_partitions_must_have_come_so_far() -> None:
    """Events of several partitions: the last of them decides."""
    store = FakeStore(folded=lambda _: 5)
    for offsets, outcome in (
        ((4, 3), pb.READ_YOUR_WRITES_SEEN),
        ((4, 5), pb.READ_YOUR_WRITES_NOT_SEEN),
    ):
        query = replace(QUERY, written=tuple(enumerate(offsets)))
        assert ask(store=store, query=query).read_your_writes == outcome


def test_a_store_that_fails_is_told_as_ever() -> None:
    """Nobody can say that the event is in: not seen, and the user stood in for."""
    answer, _ = answered(FakeStore(error=RedisGone("refused")))
    assert answer.read_your_writes == pb.READ_YOUR_WRITES_NOT_SEEN
    assert not answer.user_known
    assert "ConnectionError" in answer.causes[0]


def test_a_store_that_fails_while_waiting_leaves_what_was_read() -> None:
    """The last state that was read is answered from, with the cause."""
    store = FakeStore(happened=events(("u", "p3", "visit", 60.0)))
    began_s: list[float] = []

    def folded(at_s: float) -> int:
        began_s.append(at_s)
        if at_s > began_s[0] + 0.1:
            raise RedisGone("went away")
        return 0

    store.folded = folded
    answer, _ = answered(store)
    assert answer.read_your_writes == pb.READ_YOUR_WRITES_NOT_SEEN
    assert answer.user_known
    assert any("ConnectionError" in cause for cause in answer.causes)
