"""One time budget over all stages, and the parts that may use it up.

A request has one deadline. Each call to another process gets a share of what is left of it, so
that a slow part costs its own stage, and never the answer. What a part does not deliver in its
share is stood in for, one step down the ladder (DESIGN.md, D6).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from redis.exceptions import RedisError

from inference.model_client import BadModelAnswer, ModelUnavailable

T = TypeVar("T")
Clock = Callable[[], float]

log = structlog.get_logger(__name__)

#: Kept back for our own work after the last call and for the way back to the caller:
#: a tenth of the budget, but never more than 10 ms.
RESERVE_RATIO = 0.1
RESERVE_MAX_S = 0.010

#: After so many failures in a row a part is not asked for a while: a part that hangs would
#: otherwise cost every request its whole share.
FAILURES_TO_REST = 5
REST_S = 0.5
#: A part that had less time than this is not to blame for a time-out (unless it says another).
FAIR_S = 0.020

_EXPECTED = (RedisError, OSError, ModelUnavailable, BadModelAnswer)


class PartFailed(Exception):
    """A part did not answer, too late, or with nonsense; `str()` is the cause for any caller."""


@dataclass(frozen=True)
class Budget:
    """The time that is left to a request.

    Attributes:
        ends_s: moment, on `clock`, at which the answer must be ready (the reserve is off).
        clock: monotonic seconds.
    """

    ends_s: float
    clock: Clock

    @classmethod
    def of(cls, caller_s: float | None, own_s: float, clock: Clock) -> "Budget":
        """A budget from the time the caller has left, or the service's own where it set none."""
        total_s = own_s if caller_s is None else caller_s
        reserve_s = min(RESERVE_MAX_S, RESERVE_RATIO * total_s)
        return cls(clock() + total_s - reserve_s, clock)

    def left_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.ends_s - self.clock())

    def share_s(self, ratio: float, most_s: float = float("inf")) -> float:
        """A share of what is left, at most `most_s` seconds."""
        return min(ratio * self.left_s(), most_s)


class Part:
    """Another process that an answer leans on, and what became of its last calls.

    A call either returns what the part said or raises `PartFailed`; it never takes longer than
    it may. A part that failed several times in a row rests for half a second at a time, in
    which calls to it fail at once; the first call after a rest tries it again. Only the change
    is logged: an outage under load is two lines, not two thousand.

    A time-out in less than `fair_s` is not held against a part that answers others. Where it has
    answered nobody for `REST_S`, it is, or a part that hangs would cost callers in a hurry their
    time for ever; but whoever has more time than those who failed may still try it.
    """

    def __init__(
        self, name: str, clock: Clock, *, fair_s: float = FAIR_S, most_s: float = float("inf")
    ) -> None:
        self.name = name
        self._most_s = most_s
        self._clock = clock
        self._fair_s = fair_s
        self._failures = 0
        self._rests_until_s = 0.0
        self._answered_s = clock()
        #: The longest that a call was waited for in vain since then.
        self._given_s = 0.0

    async def call(self, ask: Callable[[float], Awaitable[T]], timeout_s: float) -> T:
        """Ask the part, for at most `timeout_s` seconds; `ask` gets the same figure.

        No part is waited for longer than its own `most_s`, however patient the caller is.

        Raises:
            PartFailed: no answer in time, an error, or the part is resting.
        """
        timeout_s = min(timeout_s, self._most_s)
        if timeout_s <= 0:
            raise PartFailed(f"no time was left for the {self.name}")
        self._may_be_asked(timeout_s)
        started_s = self._clock()
        try:
            async with asyncio.timeout(timeout_s):
                answer = await ask(timeout_s)
        except Exception as error:
            if isinstance(error, TimeoutError):
                cause = f"the {self.name} gave no answer within {1_000 * timeout_s:.0f} ms"
            else:
                cause = f"the {self.name} failed: {_told(error)}"
            hurried = timeout_s < self._fair_s and self._clock() - started_s >= 0.9 * timeout_s
            if not hurried or self._clock() - self._answered_s > REST_S:
                given_s = timeout_s if hurried else self._fair_s
                self._failed(error, cause, given_s)
            raise PartFailed(cause) from error
        self._succeeded()
        return answer

    def _may_be_asked(self, timeout_s: float) -> None:
        if self._failures < FAILURES_TO_REST or timeout_s >= self._fair_s > self._given_s:
            return
        if self._clock() < self._rests_until_s:
            raise PartFailed(f"the {self.name} failed {self._failures} times in a row")
        # Only this call tries; those beside it fail at once until its outcome is known.
        self._rests_until_s = self._clock() + max(REST_S, timeout_s)

    def _failed(self, error: Exception, cause: str, given_s: float) -> None:
        self._failures += 1
        self._given_s = max(self._given_s, given_s)
        self._rests_until_s = self._clock() + REST_S
        if self._failures == 1:
            surprise = None if isinstance(error, _EXPECTED) else error
            log.warning(
                "part_failed", part=self.name, cause=cause, error=str(error), exc_info=surprise
            )

    def _succeeded(self) -> None:
        if self._failures:
            log.info("part_is_back", part=self.name, failures=self._failures)
        self._failures, self._given_s, self._answered_s = 0, 0.0, self._clock()


def _told(error: Exception) -> str:
    """What any caller may know of an error: not where our parts listen. The log has all of it."""
    if isinstance(error, ModelUnavailable):
        return error.code.name
    # These are our own words, of what a model or a stored state holds.
    ours = isinstance(error, BadModelAnswer | ValueError)
    return str(error) if ours else type(error).__name__
