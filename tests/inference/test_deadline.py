"""One budget over all stages, and parts that may fail."""

import asyncio

import grpc
import pytest
from redis.exceptions import ConnectionError as RedisGone
from structlog.testing import capture_logs

from inference.deadline import (
    FAILURES_TO_REST,
    RESERVE_MAX_S,
    RESERVE_RATIO,
    REST_S,
    Budget,
    Part,
    PartFailed,
)
from inference.model_client import BadModelAnswer, ModelUnavailable
from tests.inference.leaping import leap, now_s


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


async def answer(_timeout_s: float) -> str:
    return "fine"


async def gone(_timeout_s: float) -> str:
    raise ModelUnavailable("ranker", grpc.StatusCode.UNAVAILABLE, "nobody listens")


async def hangs(_timeout_s: float) -> str:
    await asyncio.sleep(3_600)
    return "too late"


def test_the_callers_deadline_wins_over_our_own() -> None:
    """A caller that leaves one second gets one second, less the reserve."""
    clock = Clock()
    assert Budget.of(1.0, 0.2, clock).left_s() == pytest.approx(1.0 - RESERVE_MAX_S)
    assert Budget.of(None, 0.2, clock).left_s() == pytest.approx(0.2 - RESERVE_MAX_S)


def test_a_short_deadline_keeps_a_share_as_reserve() -> None:
    """Ten milliseconds of reserve would eat a deadline of twenty."""
    assert Budget.of(0.02, 0.2, Clock()).left_s() == pytest.approx(0.02 * (1 - RESERVE_RATIO))


def test_what_one_stage_uses_is_gone_for_the_next() -> None:
    """A share is of what is left, and nothing is left after the end."""
    clock = Clock()
    budget = Budget.of(2.0, 0.2, clock)
    left_s = 2.0 - RESERVE_MAX_S
    assert budget.share_s(0.5) == pytest.approx(left_s / 2)
    clock.now_s += 1.0
    assert budget.share_s(0.5) == pytest.approx((left_s - 1) / 2)
    assert budget.share_s(0.5, 0.05) == 0.05
    clock.now_s += 5.0
    assert budget.left_s() == budget.share_s(1.0) == 0.0


def test_a_slow_part_fails_at_its_time_limit() -> None:
    """The call ends exactly when its share does, and says who was slow."""

    async def main() -> None:
        started_s = now_s()
        with pytest.raises(PartFailed, match="the store gave no answer within 40 ms"):
            await Part("store", now_s).call(hangs, 0.04)
        assert now_s() - started_s == pytest.approx(0.04)

    leap(main())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ModelUnavailable("ranker", grpc.StatusCode.UNAVAILABLE, "10.1.2.3:8500"), "UNAVAILABLE"),
        (RedisGone("Error 111 connecting to 10.1.2.3:6379"), "ConnectionError"),
        (BadModelAnswer("ranker", "output 'score' holds NaN"), "ranker: output 'score' holds NaN"),
        (ValueError("a user state is of 9 bytes"), "a user state is of 9 bytes"),
        (RuntimeError("at 10.1.2.3"), "RuntimeError"),
    ],
)
async def test_an_error_of_a_part_becomes_its_cause(error: Exception, told: str) -> None:
    """The cause names the part, and not where it listens; the log has all that it said."""

    async def fails(_timeout_s: float) -> str:
        raise error

    with capture_logs() as logs, pytest.raises(PartFailed) as caught:
        await Part("ranker", Clock()).call(fails, 1.0)
    assert str(caught.value) == f"the ranker failed: {told}"
    assert [line["error"] for line in logs] == [str(error)]


async def test_no_time_left_is_no_call() -> None:
    """A part is not even asked when nothing is left."""
    with pytest.raises(PartFailed, match="no time was left for the ranker"):
        await Part("ranker", Clock()).call(answer, 0.0)


async def test_a_part_that_keeps_failing_rests_and_is_tried_again() -> None:
    """While it rests calls fail at once; after the rest one call tries, and success ends it."""
    clock = Clock()
    part = Part("ranker", clock)
    for _ in range(FAILURES_TO_REST):
        with pytest.raises(PartFailed, match="UNAVAILABLE"):
            await part.call(gone, 1.0)
    with pytest.raises(PartFailed, match=f"failed {FAILURES_TO_REST} times in a row"):
        await part.call(answer, 1.0)
    clock.now_s += REST_S + 0.001
    assert await part.call(answer, 1.0) == "fine"
    assert await part.call(answer, 1.0) == "fine"


def test_only_one_call_tries_a_resting_part() -> None:
    """Two calls after a rest: the first tries, the second does not wait for it."""

    async def main() -> None:
        part = Part("ranker", now_s)
        for _ in range(FAILURES_TO_REST):
            with pytest.raises(PartFailed):
                await part.call(gone, 1.0)
        await asyncio.sleep(REST_S + 0.001)
        trying = asyncio.create_task(part.call(hangs, 1.0))
        await asyncio.sleep(0.1)
        with pytest.raises(PartFailed, match="in a row"):
            await part.call(answer, 1.0)
        with pytest.raises(PartFailed, match="no answer within"):
            await trying

    leap(main())


def test_hurried_callers_do_not_put_a_part_to_rest() -> None:
    """A time-out after a millisecond says nothing about the part."""

    async def main() -> None:
        part = Part("ranker", now_s)
        for _ in range(3 * FAILURES_TO_REST):
            with pytest.raises(PartFailed, match="no answer within"):
                await part.call(hangs, 0.001)
        assert await part.call(answer, 1.0) == "fine"

    leap(main())


def test_a_part_that_answers_nobody_rests_for_hurried_callers_too() -> None:
    """Who has more time than they had may try it, and finds out for all."""

    async def main() -> None:
        part = Part("ranker", now_s, fair_s=0.05)
        assert await part.call(answer, 1.0) == "fine"
        await asyncio.sleep(REST_S)
        for _ in range(FAILURES_TO_REST):
            with pytest.raises(PartFailed, match="no answer within"):
                await part.call(hangs, 0.02)
        with pytest.raises(PartFailed, match="in a row"):
            await part.call(answer, 0.02)
        with pytest.raises(PartFailed, match="no answer within"):
            await part.call(hangs, 0.05)
        with pytest.raises(PartFailed, match="in a row"):
            await part.call(answer, 0.05)
        await asyncio.sleep(REST_S)
        assert await part.call(answer, 0.02) == "fine"

    leap(main())


def test_a_slow_part_is_tried_by_those_who_have_the_time() -> None:
    """It needs 30 ms: callers with 20 in a row give it a rest, which a caller with 50 ends."""

    async def slow(_timeout_s: float) -> str:
        await asyncio.sleep(0.03)
        return "fine"

    async def main() -> None:
        part = Part("ranker", now_s, fair_s=0.05)
        for _ in range(100):
            with pytest.raises(PartFailed):
                await part.call(slow, 0.02)
            await asyncio.sleep(0.01)
        assert await part.call(slow, 0.05) == "fine"
        assert await part.call(answer, 0.02) == "fine"

    leap(main())


def test_a_caller_that_leaves_is_no_failure_of_the_part() -> None:
    """Cancelling goes through, and is not held against the part."""

    async def main() -> None:
        part = Part("ranker", now_s)
        for _ in range(2 * FAILURES_TO_REST):
            task = asyncio.create_task(part.call(hangs, 10.0))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await part.call(answer, 1.0) == "fine"

    leap(main())
