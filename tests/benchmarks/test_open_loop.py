"""Load that does not wait for answers, on a clock that leaps."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from benchmarks.open_loop import GAVE_UP, Call, Slice, arrivals, load, offer, precise_loop
from tests.inference.leaping import leap


class OneAtATime:
    """A service that takes a second for each request, and one request at a time."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def __call__(self, i: int) -> int:
        async with self._lock:
            await asyncio.sleep(1)
            return i


def test_who_comes_while_the_service_stalls_is_seen_to_wait() -> None:
    """Due at 0, 0.1 and 0.2 s, served in 1 s each: they wait 1, 1.9 and 2.8 s."""

    async def main() -> list[Call[int]]:
        return (await offer(OneAtATime(), [0.0, 0.1, 0.2]))[1]

    calls = leap(main())
    assert [call.latency_ms for call in calls] == pytest.approx([1_000, 1_900, 2_800])
    assert [call.sent_s - call.due_s for call in calls] == pytest.approx([0, 0, 0])
    assert [call.answer for call in calls] == [0, 1, 2]


def test_failed_calls_keep_their_latency() -> None:
    """A refusal and a caller that gave up are errors, and count with the time they took."""

    async def ask(i: int) -> int:
        await asyncio.sleep(2)
        if i == 0:
            raise TimeoutError
        metadata = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, metadata, metadata)

    async def main() -> list[Call[int]]:
        return (await offer(ask, [0.0, 0.5]))[1]

    calls = leap(main())
    assert [call.error for call in calls] == [GAVE_UP, "UNAVAILABLE"]
    assert [call.latency_ms for call in calls] == pytest.approx([2_000, 2_000])
    assert [call.answer for call in calls] == [None, None]


def test_a_bug_in_what_is_asked_is_no_figure() -> None:
    """Anything that is not a failed call ends the run."""

    async def ask(_: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as raised:
        leap(offer(ask, [0.0]))
    assert raised.group_contains(ZeroDivisionError)


async def _after(seconds: float, i: int) -> int:
    await asyncio.sleep(seconds)
    return i


def _loaded(answer_s: float) -> Slice[int]:
    return leap(
        load(lambda i: _after(answer_s, i), 10, 4.0, np.random.default_rng(3), lead_in_s=2.0)
    )


def test_the_lead_in_is_left_out() -> None:
    """Of 2 s and then 4 s at 10 a second, the 40 calls of the latter remain."""
    done = _loaded(0.25)
    assert done.answers == list(range(20, 60))
    assert done.latencies_ms == pytest.approx([250.0] * 40)
    assert done.errors == []


def test_answers_that_come_after_the_end_are_no_throughput() -> None:
    """With answers after 5 s, only those to the lead-in of 2 s arrive within the 4 s after it."""
    rng = np.random.default_rng(3)
    due_s = np.concatenate([arrivals(10, 2.0, rng), 2 + arrivals(10, 4.0, rng)])
    arrived = ((due_s + 5 >= 2) & (due_s + 5 < 6)).sum()
    assert 0 < arrived < 20
    assert _loaded(5.0).answered_per_s == arrived / 4


def test_arrivals_are_those_of_a_poisson_process() -> None:
    """As many as the rate says, in order, and the gaps spread as much as their mean."""
    moments = arrivals(50, 100, np.random.default_rng(1))
    gaps = np.diff(moments)
    assert len(moments) == 5_000
    assert (gaps >= 0).all()
    assert moments[0] >= 0
    assert moments[-1] < 100
    assert gaps.std() / gaps.mean() == pytest.approx(1, abs=0.05)


def test_the_precise_loop_runs_grpc() -> None:
    """What the client runs on carries grpc.aio: a refused connection is an error of the call."""

    async def main() -> list[Call[bytes]]:
        async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
            call: Any = channel.unary_unary("/no/Method")

            async def ask(_: int) -> bytes:
                answer: bytes = await call(b"")
                return answer

            return (await offer(ask, [0.0]))[1]

    with asyncio.Runner(loop_factory=precise_loop) as runner:
        calls: list[Call[bytes]] = runner.run(main())
    assert [call.error for call in calls] == ["UNAVAILABLE"]
