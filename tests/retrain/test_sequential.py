"""Always-valid intervals: their formula, clustering by user, and what small samples may not say."""

import math

import numpy as np
import pytest

from retrain.sequential import LEAST_EVENTS, LEAST_USERS, Arm, Metric, compare

CLICKS = Metric("success", "relative", "more", 0.05)
SLOW = Metric("slow", "absolute", "less", 0.01)

#: So few of 500 users had an event that a rate's logarithm says nothing.
FEW = (np.arange(500) < LEAST_EVENTS - 1).astype(np.float64)


def arm(users: int, answers: int, events: int) -> Arm:
    """Users of whom each has so many answers, and every second one twice so many events."""
    y = np.where(np.arange(users) % 2 == 0, 2.0 * events, 0.0)
    return Arm.of(np.full(users, float(answers)), y)


def test_sums_follow_a_user_who_comes_back() -> None:
    """Moving users one by one gives the same sums as counting all at once."""
    moved = Arm().moved((0, 0), (3, 1)).moved((0, 0), (1, 0)).moved((1, 0), (4, 2))
    assert moved == Arm.of(np.array([3.0, 4.0, 0.0]), np.array([1.0, 2.0, 0.0]))
    assert (moved.users, moved.n, moved.y) == (2, 7, 3)


def test_variance_is_that_of_a_mean_where_all_ask_alike() -> None:
    """With ten answers each the rate is a mean of per-user rates: s^2 / users."""
    some = arm(400, 10, 3)
    rates = np.where(np.arange(400) % 2 == 0, 0.6, 0.0)
    assert some.rate == pytest.approx(0.3)
    assert some.variance == pytest.approx(rates.var(ddof=1) / 400)


def test_answers_of_one_user_are_no_further_evidence() -> None:
    """The same people with ten times the answers and events: the same variance."""
    assert arm(400, 100, 30).variance == pytest.approx(arm(400, 10, 3).variance)


def test_no_event_is_not_certainty() -> None:
    """Of 1,000 users none had one: the rate may still be near 3 in 1,000."""
    none = Arm.of(np.full(1_000, 5.0), np.zeros(1_000))
    found = compare(SLOW, none, none, 0.05)
    assert found.estimate == 0
    assert 0.003 < found.high < 0.006


def test_interval_is_the_published_one() -> None:
    """Half width of theorem 2.2 (Waudby-Smith et al.) for t = users, rho = tau / sigma."""
    control, treated = arm(1_000, 10, 3), arm(1_000, 10, 3)
    found = compare(SLOW, control, treated, 0.05)
    t, sigma = 1_000, math.sqrt(1_000 * (control.variance + treated.variance))
    rho = SLOW.margin / sigma
    grown = t * rho**2 + 1
    half = sigma * math.sqrt(2 * grown / (t * rho) ** 2 * math.log(math.sqrt(grown) / 0.05))
    assert found.high - found.low == pytest.approx(2 * half)


def test_p_and_interval_say_the_same() -> None:
    """Where the p-value just reaches alpha the interval just touches "no effect"."""
    control, treated = arm(5_000, 10, 3), Arm.of(np.full(5_000, 10.0), np.full(5_000, 3.2))
    p = compare(CLICKS, control, treated, 0.05).p
    assert 1e-6 < p < 1
    edge = compare(CLICKS, control, treated, p)
    assert edge.low == pytest.approx(0, abs=1e-9)


def test_a_relative_effect_is_a_share_of_the_control() -> None:
    """0.33 against 0.30 is a tenth more."""
    assert compare(CLICKS, arm(500, 100, 30), arm(500, 100, 33), 0.05).estimate == pytest.approx(
        0.1
    )


@pytest.mark.parametrize(
    ("control", "treated"),
    [
        (arm(10_000, 10, 3), arm(LEAST_USERS - 2, 10, 3)),
        (arm(10_000, 10, 3), Arm.of(np.ones(500), FEW)),
        (Arm(), Arm()),
    ],
)
def test_too_little_says_nothing(control: Arm, treated: Arm) -> None:
    """Too few users, or too few of them with an event: every effect is possible."""
    found = compare(CLICKS, control, treated, 0.05)
    assert (found.low, found.high, found.p) == (-math.inf, math.inf, 1.0)
