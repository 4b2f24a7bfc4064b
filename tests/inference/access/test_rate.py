"""How often a client may ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.access.rate import TokenBucket


class Clock:
    """A clock that a test moves."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_burst_then_the_rate() -> None:
    """Three at once, then one each half second."""
    clock = Clock()
    bucket = TokenBucket(2.0, 3, clock)
    assert [bucket.take() for _ in range(3)] == [0, 0, 0]
    assert bucket.take() == 0.5
    clock.now_s += 0.25
    assert bucket.take() == 0.25
    clock.now_s += 0.25
    assert bucket.take() == 0
    assert bucket.take() == 0.5


def test_a_pause_saves_up_no_more_than_the_burst() -> None:
    """An hour of silence is no licence for an hour's requests at once."""
    clock = Clock()
    bucket = TokenBucket(2.0, 3, clock)
    clock.now_s += 3_600
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]


def test_less_than_one_a_second() -> None:
    """One each ten seconds."""
    clock = Clock()
    bucket = TokenBucket(0.1, 1, clock)
    assert bucket.take() == 0
    assert bucket.take() == pytest.approx(10)


def test_what_costs_many_takes_many_or_none() -> None:
    """Refused, it takes nothing; to look takes nothing either."""
    bucket = TokenBucket(2.0, 5, Clock())
    assert bucket.take(3) == 0
    assert bucket.take(4) == 1.0
    assert bucket.wait_s(2) == 0
    assert bucket.take(2) == 0
    assert bucket.wait_s() == 0.5


def test_more_than_the_burst_goes_when_full_and_is_owed() -> None:
    """Sixteen of a bucket of four: twelve are owed, and paid off before the next."""
    clock = Clock()
    bucket = TokenBucket(2.0, 4, clock)
    assert bucket.take(16) == 0
    assert bucket.take() == 6.5
    clock.now_s += 6.5
    assert bucket.take() == 0
    assert bucket.take(16) == 2.0


@given(
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 16)), max_size=60),
    st.floats(0.1, 50),
    st.integers(1, 20),
)
def test_batches_keep_to_the_rate_too(
    calls: list[tuple[float, int]], rate: float, burst: int
) -> None:
    """Over any stretch: what single requests may, and once what one batch has beyond the burst."""
    clock = Clock()
    bucket = TokenBucket(rate, burst, clock)
    let_through = 0
    for pause, cost in calls:
        clock.now_s += pause
        let_through += cost if bucket.take(cost) == 0 else 0
        assert let_through <= max(burst, 16) + rate * (clock.now_s - 100.0) + 1e-6


@given(st.lists(st.floats(0, 2), max_size=60), st.floats(0.1, 50), st.integers(1, 20))
def test_never_more_than_promised(pauses: list[float], rate: float, burst: int) -> None:
    """Over any stretch from the start, `burst + rate x time` requests at most."""
    clock = Clock()
    bucket = TokenBucket(rate, burst, clock)
    let_through = 0
    for pause in pauses:
        clock.now_s += pause
        let_through += bucket.take() == 0
        assert let_through <= burst + rate * (clock.now_s - 100.0) + 1e-6
