"""What a service takes on: fewer candidates when it fills up, then a refusal before it is late.

By Little's law, of n requests under way that leave one every `gap_s`, whoever comes now leaves
after (n + 1) * gap_s. What would come too late anyway is refused at once, with a hint when to try
again: it would only make the others late, too. However long a caller would wait, the service does
not: a queue of patient callers is a queue for all.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from inference.deadline import Budget, Clock

#: So few requests are never refused and get all candidates: the estimate must be able to mend.
CALM = 2
ALWAYS = 8
#: Of its time, a request may expect to need so much.
MOST_OF_BUDGET = 0.8
#: At the least so much of the candidates.
LEAST_SHARE = 0.25
#: Weight of the newest gap in the mean.
NEWEST = 0.1
#: Of the time of a request that was alone, what another one beside it would have added. The rest
#: it waits for Redis, models and the network, and others can be worked on (`benchmarks.recommend`
#: processor time of the busiest process at 100 requests/s, 5.5 ms, of 14.5 ms alone).
LONE = 0.4


class Overloaded(Exception):
    """An answer would come too late; `retry_s` is when to try again."""

    def __init__(self, retry_s: float) -> None:
        super().__init__(f"the service is busy; an answer would take {1e3 * retry_s:.0f} ms")
        self.retry_s = retry_s


class Admission:
    """Counts requests in and out.

    Args:
        objective_s: latency that is to be held, seconds.
        most_s: nobody waits for longer than `MOST_OF_BUDGET` of this, whatever the deadline.
        clock: seconds that only grow.
    """

    def __init__(self, objective_s: float, most_s: float, clock: Clock) -> None:
        self._objective_s = objective_s
        self._most_s = most_s
        self._clock = clock
        self._gap_s = 0.0
        self._left_s = clock()
        self._entered = 0
        self.under_way = 0

    @property
    def expected_s(self) -> float:
        """How long a request that comes now is expected to take, seconds."""
        return (self.under_way + 1) * self._gap_s

    @contextmanager
    def enter(self, budget: Budget) -> Iterator[float]:
        """Let a request in, for the time of the body.

        Yields:
            Which share of the candidates it may look at, above 0 and up to 1.

        Raises:
            Overloaded: it would not end within its budget.
        """
        expected_s = self.expected_s
        patience_s = MOST_OF_BUDGET * min(budget.left_s(), self._most_s)
        if self.under_way >= ALWAYS and expected_s > patience_s:
            raise Overloaded(expected_s)
        share = 1.0
        if self.under_way >= CALM and expected_s > self._objective_s:
            share = max(LEAST_SHARE, self._objective_s / expected_s)
        came_s, found = self._clock(), self.under_way
        self._entered += 1
        number = self._entered
        self.under_way += 1
        try:
            yield share
        finally:
            self.under_way -= 1
            self._leave(came_s, alone=not found and self._entered == number)

    def _leave(self, came_s: float, *, alone: bool) -> None:
        now_s = self._clock()
        # The time in which nobody was here says nothing.
        gap_s = (now_s - max(self._left_s, came_s)) * (LONE if alone else 1.0)
        self._left_s = now_s
        self._gap_s += (NEWEST if self._gap_s else 1.0) * (gap_s - self._gap_s)
