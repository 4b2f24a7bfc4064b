"""What a service takes on: fewer candidates when it fills up, then a refusal before it is late.

By Little's law, of n requests under way that leave one every `gap_s`, whoever comes now leaves
after (n + 1) * gap_s. What would come too late anyway is refused at once, with a hint when to try
again: it would only make the others late, too. However long a caller would wait, the service does
not: a queue of patient callers is a queue for all. Who waits for something else (`Admitted.aside`)
is in nobody's way, and does not count.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

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


#: No hint is longer: after a standstill of the process itself, the estimate is far too high.
MOST_RETRY_S = 5.0


class Overloaded(Exception):
    """An answer would come too late; `retry_s` is when to try again."""

    def __init__(self, expected_s: float) -> None:
        super().__init__(f"the service is busy; an answer would take {1e3 * expected_s:.0f} ms")
        self.retry_s = min(expected_s, MOST_RETRY_S)


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
    def enter(self, budget: Budget) -> Iterator["Admitted"]:
        """Let a request in, for the time of the body.

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
        admitted = Admitted(self, share)
        try:
            yield admitted
        finally:
            self.under_way -= 1
            self._leave(*admitted.came)

    def come(self) -> "Came":
        """Count a request in."""
        self._entered += 1
        self.under_way += 1
        return Came(self._clock(), self._entered, self.under_way > 1)

    def _leave(self, came_s: float, number: int, others: bool) -> None:
        now_s = self._clock()
        alone = not others and self._entered == number
        # The time in which nobody was here says nothing.
        gap_s = (now_s - max(self._left_s, came_s)) * (LONE if alone else 1.0)
        self._left_s = now_s
        self._gap_s += (NEWEST if self._gap_s else 1.0) * (gap_s - self._gap_s)


class Came(NamedTuple):
    """When a request came, as which, and whether others were under way."""

    at_s: float
    number: int
    others: bool


class Admitted:
    """A request that was let in.

    Attributes:
        share: of the candidates that it may look at, above 0 and up to 1.
        came: when it was last counted in.
    """

    def __init__(self, admission: Admission, share: float) -> None:
        self._admission = admission
        self.share = share
        self.came = admission.come()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """In the body it waits for what nothing here can hasten, and takes nothing from others."""
        self._admission.under_way -= 1
        try:
            yield
        finally:
            self.came = self._admission.come()
