"""Admission: what is expected by Little's law, whom it refuses, and that it mends by itself."""

from contextlib import ExitStack

import pytest

from inference.admission import (
    ALWAYS,
    CALM,
    LEAST_SHARE,
    LONE,
    MOST_OF_BUDGET,
    MOST_RETRY_S,
    Admission,
    Overloaded,
)
from inference.deadline import Budget

OBJECTIVE_S, MOST_S = 0.050, 1.0


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def budget(clock: Clock, seconds: float = 0.2) -> Budget:
    return Budget(clock() + seconds, clock)


def leave_every(admission: Admission, clock: Clock, gap_s: float, times: int = 100) -> None:
    """Requests one after the other, each beside the next, so that none is ever alone."""
    with ExitStack() as before:
        before.enter_context(admission.enter(budget(clock)))
        for _ in range(times):
            now = ExitStack()
            now.enter_context(admission.enter(budget(clock)))
            clock.now_s += gap_s
            before.close()
            before.push(now.pop_all())
        clock.now_s += gap_s


def fill(admission: Admission, clock: Clock, stack: ExitStack, count: int) -> list[float]:
    return [stack.enter_context(admission.enter(budget(clock))).share for _ in range(count)]


def test_who_is_alone_waits_for_others_most_of_the_time(clock: Clock) -> None:
    """Of 20 ms a second one would have added 8. Pauses, in which nobody is here, say nothing."""
    admission = Admission(OBJECTIVE_S, MOST_S, clock)
    assert admission.expected_s == 0
    for _ in range(100):
        with admission.enter(budget(clock)):
            clock.now_s += 0.020
        clock.now_s += 3.0
    assert admission.expected_s == pytest.approx(0.008)
    assert pytest.approx(0.4) == LONE


def test_who_is_followed_by_another_was_not_alone(clock: Clock) -> None:
    """Nor was the other one: 10 ms until the first leaves, 10 more until the second."""
    admission = Admission(OBJECTIVE_S, MOST_S, clock)
    leave_every(admission, clock, 0.010)
    assert admission.expected_s == pytest.approx(0.010)


def test_a_batch_is_let_in_by_a_service_that_had_single_requests(clock: Clock) -> None:
    """Sixteen at once after a calm time of 20 ms each: all are let in, with fewer candidates."""
    admission = Admission(OBJECTIVE_S, MOST_S, clock)
    for _ in range(50):
        with admission.enter(budget(clock)):
            clock.now_s += 0.020
        clock.now_s += 0.080
    with ExitStack() as stack:
        shares = fill(admission, clock, stack, 16)
    assert shares[:6] == [1.0] * 6
    assert shares[-1] == pytest.approx(OBJECTIVE_S / (16 * 0.008))


def test_together_they_take_as_long_as_they_are_many(clock: Clock) -> None:
    """Ten under way that leave every five milliseconds: the eleventh after fifty-five."""
    admission = Admission(OBJECTIVE_S, MOST_S, clock)
    for _ in range(20):
        entered = [admission.enter(budget(clock)) for _ in range(5)]
        for one in entered:
            one.__enter__()
        for one in entered:
            clock.now_s += 0.005
            one.__exit__(None, None, None)
    with ExitStack() as stack:
        fill(admission, clock, stack, 10)
        assert admission.expected_s == pytest.approx(0.055, rel=0.01)


def test_a_full_service_looks_at_fewer_candidates(clock: Clock) -> None:
    """In proportion to what is too much, but never at less than a quarter."""
    admission = Admission(OBJECTIVE_S, MOST_S, clock)
    leave_every(admission, clock, 0.020)
    with ExitStack() as stack:
        shares = fill(admission, clock, stack, ALWAYS)
    assert shares[:CALM] == [1.0] * CALM
    assert shares[3] == pytest.approx(OBJECTIVE_S / (4 * 0.020))
    assert shares == sorted(shares, reverse=True)
    leave_every(admission, clock, 1.0)
    with ExitStack() as stack:
        assert fill(admission, clock, stack, CALM + 1)[-1] == LEAST_SHARE


def test_what_would_be_late_is_refused_with_a_hint(clock: Clock) -> None:
    """And whoever has more time is let in."""
    admission = Admission(OBJECTIVE_S, MOST_S, clock)
    leave_every(admission, clock, 0.025)
    with ExitStack() as stack:
        fill(admission, clock, stack, ALWAYS)
        with pytest.raises(Overloaded) as caught, admission.enter(budget(clock)):
            raise AssertionError("was let in")
        assert caught.value.retry_s == pytest.approx((ALWAYS + 1) * 0.025)
        assert admission.under_way == ALWAYS
        stack.enter_context(admission.enter(budget(clock, 10.0)))
    assert admission.under_way == 0


def test_the_service_is_not_as_patient_as_its_callers(clock: Clock) -> None:
    """Who would wait for a minute is refused where the answer would take most of a second."""
    admission = Admission(OBJECTIVE_S, MOST_S, clock)
    leave_every(admission, clock, 0.020)
    patient = budget(clock, 60.0)
    with ExitStack() as stack:
        for _ in range(39):
            stack.enter_context(admission.enter(patient))
        assert admission.expected_s <= MOST_OF_BUDGET * MOST_S
        stack.enter_context(admission.enter(patient))
        with pytest.raises(Overloaded), admission.enter(patient):
            raise AssertionError("was let in")


def test_it_mends_after_a_stall(clock: Clock) -> None:
    """A few are always let in, and tell how long it takes now."""
    admission = Admission(OBJECTIVE_S, MOST_S, clock)
    leave_every(admission, clock, 2.0)
    leave_every(admission, clock, 0.005)
    with ExitStack() as stack:
        assert fill(admission, clock, stack, ALWAYS + 1)[-1] == 1.0


def test_who_fails_leaves_too(clock: Clock) -> None:
    """An error of ours does not fill the service up."""
    admission = Admission(OBJECTIVE_S, MOST_S, clock)
    with pytest.raises(ZeroDivisionError), admission.enter(budget(clock)):
        raise ZeroDivisionError
    assert admission.under_way == 0


def test_who_stands_aside_is_not_counted(clock: Clock) -> None:
    """Nor is the time of it taken for time that the others would have waited."""
    admission = Admission(OBJECTIVE_S, MOST_S, clock)
    leave_every(admission, clock, 0.010)
    with admission.enter(budget(clock)) as waits:
        with waits.aside():
            assert admission.under_way == 0
            assert admission.expected_s == pytest.approx(0.010)
            clock.now_s += 30.0
            with admission.enter(budget(clock)):
                clock.now_s += 0.025  # alone: another one would have added 10 ms
        assert admission.under_way == 1
        clock.now_s += 0.025
    assert admission.under_way == 0
    assert admission.expected_s == pytest.approx(0.010)


def test_who_fails_while_standing_aside_leaves_too(clock: Clock) -> None:
    """Callers hang up while they wait."""
    admission = Admission(OBJECTIVE_S, MOST_S, clock)
    with pytest.raises(ZeroDivisionError), admission.enter(budget(clock)) as waits, waits.aside():
        raise ZeroDivisionError
    assert admission.under_way == 0


def test_no_hint_is_longer_than_some_seconds(clock: Clock) -> None:
    """A process that stood for a minute takes itself for far slower than it is."""
    admission = Admission(OBJECTIVE_S, MOST_S, clock)
    leave_every(admission, clock, 60.0)
    with ExitStack() as stack:
        fill(admission, clock, stack, ALWAYS)
        with pytest.raises(Overloaded) as caught, admission.enter(budget(clock)):
            raise AssertionError("was let in")
    assert caught.value.retry_s == MOST_RETRY_S
