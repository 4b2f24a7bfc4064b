"""A simulated city that goes on living in real time after its history."""

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from placestream.simulation.sessions import MOST_EVENTS, Events
from placestream.simulation.source import Event, Message
from placestream.simulation.walk import Walk
from placestream.simulation.weather import Sky

#: Sessions begin in turns of so many seconds; also the longest nap, so that Ctrl-C is heard.
TURN_S = 0.25
_MOST_OWED_S = 60.0  # after the machine slept, no more than this is made up for


class Life:
    """Begins sessions as time passes and lets each event out when its moment has come.

    Nothing is sped up: a visit follows its click minutes later, as in the history. A high rate
    means more sessions: users are busier than in life, in the end with several things at once.
    """

    def __init__(
        self,
        walk: Walk,
        sky: Sky,
        region: str,
        dicts: Callable[[Events], Iterable[Event]],
        rate: float,
    ) -> None:
        """Take the city's parts, and how many events there are in a second, on average."""
        self._walk, self._sky, self._region = walk, sky, region
        self._dicts, self._rate = dicts, rate
        self._owed = 0.0
        self._due: list[tuple[float, int, Event]] = []
        self._number = itertools.count()

    def messages(
        self,
        rest: Events,
        since_s: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> Iterator[Message]:
        """Yield messages for ever.

        Args:
            rest: what sessions of the history still lead to.
            since_s: Unix seconds at which the history ended.
            clock: Unix seconds.
            sleep: waits for so many seconds.
        """
        self._expect(rest)
        told_s, turn_s = since_s, clock()
        while True:
            now_s = clock()
            for update in self._sky.updates(told_s, now_s):
                yield Message("context", self._region, update)
            told_s = max(told_s, now_s)
            self._begin_sessions(now_s, now_s - turn_s)
            turn_s = now_s
            yield from self._ripe(now_s)
            sleep(TURN_S)

    def _begin_sessions(self, now_s: float, passed_s: float) -> None:
        """Begin as many sessions as bring the events that this stretch of time owes.

        At night sessions lead to less than by day, so events are counted, not sessions.
        """
        self._owed = min(self._owed + self._rate * passed_s, self._rate * _MOST_OWED_S)
        while self._owed > 0:
            users = self._walk.some_eager(1 + int(self._owed / MOST_EVENTS), now_s)
            events = self._walk.begin(users, np.full(len(users), now_s))
            self._owed -= len(events)
            self._expect(events)

    def _expect(self, events: Events) -> None:
        times_s = (events.time_ms / 1000).tolist()
        for time_s, event in zip(times_s, self._dicts(events), strict=True):
            heapq.heappush(self._due, (time_s, next(self._number), event))

    def _ripe(self, now_s: float) -> Iterator[Message]:
        while self._due and self._due[0][0] <= now_s:
            _, _, event = heapq.heappop(self._due)
            yield Message("interactions", str(event["user_id"]), event)
