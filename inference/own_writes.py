"""Read your writes: the user's state once it holds what the caller has just sent, or says not.

The stream commits states and offset in one step (DESIGN.md, D2), so an offset that has passed the
event is the proof that the state holds it. The offset is read again and again, in one round trip
with the state: what is answered from is what was proven.
"""

import asyncio

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.course import Ask
from inference.deadline import Part, PartFailed
from inference.ports import Store
from online_features.reader import UserRead

#: Most of the budget that may go into waiting: the stages after it need the other half.
WAIT_SHARE = 0.5
#: Pauses between two looks grow with the time waited, so that a stream that stands still costs
#: the store some ten looks a request and not hundreds: 2, 3, 4.5, ... up to 50 ms.
FIRST_PAUSE_S, PAUSE_GROWTH, LONGEST_PAUSE_S = 0.002, 1.5, 0.050


class OwnWrites:
    """Waits for the events that a query names."""

    def __init__(self, store: Store, part: Part, timeout_s: float, most_s: float) -> None:
        """Join the parts.

        Args:
            store: is read.
            part: watches over it.
            timeout_s: of one look, seconds.
            most_s: nobody waits for longer, however patient the caller is, seconds.
        """
        self._store = store
        self._part = part
        self._timeout_s = timeout_s
        self._most_s = most_s

    async def user(self, ask: Ask) -> UserRead:
        """The asking user, once the shards are past `ask.query.written`, or when time is up.

        Notes in the course whether they were.

        Raises:
            PartFailed: the store could not be read even once.
        """
        course, budget = ask.course, ask.budget
        course.read_your_writes = pb.READ_YOUR_WRITES_NOT_SEEN
        latest_s = budget.clock() + budget.share_s(WAIT_SHARE, self._most_s)
        read, pause_s = None, FIRST_PAUSE_S
        while True:
            left_s = latest_s - budget.clock()
            try:
                read, seen = await self._look(ask, min(left_s, self._timeout_s))
            except PartFailed as failure:
                if read is None:
                    raise
                if left_s >= self._timeout_s or not _out_of_time(failure, left_s):
                    course.stood_in(failure)
                # Else only the wait has ended, perhaps a millisecond after the look began: the
                # store was not given the time that it may take, and has not failed.
                return read
            if seen:
                course.read_your_writes = pb.READ_YOUR_WRITES_SEEN
                return read
            if budget.clock() + pause_s >= latest_s:
                return read
            with ask.aside():
                await asyncio.sleep(pause_s)
            pause_s = min(PAUSE_GROWTH * pause_s, LONGEST_PAUSE_S)

    async def _look(self, ask: Ask, timeout_s: float) -> tuple[UserRead, bool]:
        partitions, newest = zip(*ask.query.written, strict=True)
        read, nexts = await self._part.call(
            lambda _: self._store.user_after(ask.query.user_id, partitions), timeout_s
        )
        return read, all(at > offset for at, offset in zip(nexts, newest, strict=True))


def _out_of_time(failure: PartFailed, left_s: float) -> bool:
    """Whether a look in what was left of the wait failed for want of time, not by an error."""
    return left_s <= 0 or isinstance(failure.__cause__, TimeoutError)
