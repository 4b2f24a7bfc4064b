"""Whether the stream lives, told by what it gets done, not by its process being there.

Each partition that has waiting events must move. One that stands still is named, and the worker
ends, so that its orchestrator starts it anew; what it held is repeated from the store. While the
stream waits for Redis nothing can move, and a new start would not help: then it only waits.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence

import structlog
from faust.types import TP

from streams.metrics import LAG_MESSAGES, STALLED
from streams.shards import Shard, redis_away

log = structlog.get_logger(__name__)
EXIT_STUCK = 70
#: Beyond the time that a partition may stand still: for a clean end, and for a slow machine.
GRACE_S = 15.0


class Stuck(RuntimeError):
    """Partitions that have waiting events do not move; names them."""


class Liveness:
    """Watches the offsets of each partition, from within the event loop and from outside of it."""

    def __init__(self, stall_s: float, clock: Callable[[], float]) -> None:
        """Take how long a partition may stand still, and a clock of seconds that only grows."""
        self._stall_s = stall_s
        self._clock = clock
        self._moved: dict[TP, tuple[int, float]] = {}
        self._observed_s = clock()

    def start(self) -> None:
        """Start the thread that ends the process when the event loop itself stands still."""
        self._observed_s = self._clock()
        threading.Thread(target=self._watch_loop, name="liveness", daemon=True).start()

    def observe(self, shards: Sequence[Shard], ends: Mapping[TP, int | None]) -> None:
        """Note where each shard stands, once a second.

        Args:
            shards: all that this worker owns.
            ends: end offset of each partition, `None` unknown.

        Raises:
            Stuck: a partition with waiting events has not moved for too long.
        """
        now_s = self._observed_s = self._clock()
        stalled = []
        for shard in shards:
            lag = max((ends.get(shard.tp) or 0) - shard.position, 0)
            LAG_MESSAGES.labels(shard.tp.topic, str(shard.tp.partition)).set(lag)
            position, since_s = self._moved.get(shard.tp, (-1, now_s))
            if position != shard.position or not lag or redis_away.is_set():
                self._moved[shard.tp] = (shard.position, now_s)
            elif now_s - since_s > self._stall_s:
                stalled.append(f"{shard.tp.topic}[{shard.tp.partition}] at {position}, lag {lag}")
        for tp in self._moved.keys() - {shard.tp for shard in shards}:
            del self._moved[tp]
        STALLED.set(len(stalled))
        if stalled:
            raise Stuck(f"no progress for {self._stall_s:.0f} s: {'; '.join(stalled)}")

    def _watch_loop(self) -> None:
        pause = threading.Event()
        while not pause.wait(1.0):
            idle_s = self._clock() - self._observed_s
            if idle_s > self._stall_s + GRACE_S:
                log.critical("the event loop stands still, ending", idle_s=round(idle_s))
                os._exit(EXIT_STUCK)
