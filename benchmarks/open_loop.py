"""Load that does not wait for answers.

Requests are due at moments drawn beforehand, whatever becomes of those before them, and latency
counts from the moment a request was due, not from when it could be sent. A service that stalls
then shows the wait of all who came meanwhile; a client that waits for answers before it asks
again would hide it ("coordinated omission", Gil Tene, "How NOT to Measure Latency").
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc
import grpc.aio
import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

#: Load before the measured part, at the same rate: caches, connections and clocks of the cores.
LEAD_IN_S = 1.0
GAVE_UP = "GAVE_UP"


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request of a schedule; moments are seconds of the event loop's clock.

    Attributes:
        due_s: when it was due.
        sent_s: when the client came round to it.
        done_s: when it was answered, refused or given up.
        answer: what was answered; None if nothing was.
        error: gRPC's status code or `GAVE_UP`; empty if it was answered.
    """

    due_s: float
    sent_s: float
    done_s: float
    answer: T | None
    error: str

    @property
    def latency_ms(self) -> float:
        """From the moment it was due, errors as well: who waits in vain waits too."""
        return 1_000 * (self.done_s - self.due_s)


@dataclass(frozen=True)
class Slice(Generic[T]):
    """One stretch of load at one rate, without its lead-in.

    Attributes:
        calls: all that were due in it.
        answered_per_s: answers that arrived in it, a second, whenever they were due.
    """

    calls: tuple[Call[T], ...]
    answered_per_s: float

    @property
    def answers(self) -> list[T]:
        """What was answered."""
        return [call.answer for call in self.calls if call.answer is not None]

    @property
    def errors(self) -> list[str]:
        """What the others ended with."""
        return [call.error for call in self.calls if call.error]

    @property
    def latencies_ms(self) -> list[float]:
        """Of all calls."""
        return [call.latency_ms for call in self.calls]

    @property
    def lags_ms(self) -> list[float]:
        """How late each was sent: the client's own share of the latency."""
        return [1_000 * (call.sent_s - call.due_s) for call in self.calls]


def arrivals(rate_per_s: float, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Moments of a Poisson process, ascending, in seconds from 0 to `seconds`.

    Given their number, such moments are independent and uniform; the number is fixed here to
    what the rate says, so that every round offers the same load.
    """
    return np.sort(rng.uniform(0, seconds, max(1, round(rate_per_s * seconds))))


async def offer(
    ask: Callable[[int], Awaitable[T]], due_after_s: Sequence[float]
) -> tuple[float, list[Call[T]]]:
    """Call `ask(i)` at the i-th moment, each in a task of its own, and wait for all.

    Returns:
        The moment the schedule counts from, and the calls.

    Raises:
        Whatever `ask` raises, but for gRPC's errors and time-outs, which are part of the calls.
    """
    loop = asyncio.get_running_loop()
    start_s = loop.time()

    async def one(i: int, due_s: float) -> Call[T]:
        sent_s, answer, error = loop.time(), None, ""
        try:
            answer = await ask(i)
        except grpc.aio.AioRpcError as status:
            error = status.code().name
        except TimeoutError:
            error = GAVE_UP
        return Call(due_s, sent_s, loop.time(), answer, error)

    async with asyncio.TaskGroup() as group:
        tasks = []
        for i, after_s in enumerate(due_after_s):
            due_s = start_s + after_s
            if (early_s := due_s - loop.time()) > 0:
                await asyncio.sleep(early_s)
            tasks.append(group.create_task(one(i, due_s)))
    return start_s, [task.result() for task in tasks]


async def load(
    ask: Callable[[int], Awaitable[T]],
    rate_per_s: float,
    seconds: float,
    rng: np.random.Generator,
    *,
    lead_in_s: float = LEAD_IN_S,
) -> Slice[T]:
    """Offer a rate for a lead-in and then `seconds`, and report on the latter."""
    due_after_s = np.concatenate(
        [
            arrivals(rate_per_s, lead_in_s, rng),
            lead_in_s + arrivals(rate_per_s, seconds, rng),
        ]
    )
    start_s, calls = await offer(ask, due_after_s.tolist())
    from_s = start_s + lead_in_s
    answered = sum(not c.error and from_s <= c.done_s < from_s + seconds for c in calls)
    return Slice(tuple(c for c in calls if c.due_s >= from_s), answered / seconds)


def precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop that wakes within microseconds of the moment asked for.

    The usual selector (epoll) rounds up to whole milliseconds, which would be added to every
    latency.
    """
    return asyncio.SelectorEventLoop(selectors.SelectSelector())
