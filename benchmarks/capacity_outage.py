"""Outages of Redis under a steady load: as they were, and as the simulation foretells them."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import redis
from confluent_kafka import Producer

from benchmarks.stream import hand_over, running, users_folded
from contracts.kafka import producer_config
from contracts.settings import Settings
from placestream.capacity.simulation import Backlog, Outage, behind
from placestream.stack.kafka import KafkaBroker
from placestream.stack.redis import RedisServer

#: Of the rate at which the worker folds alone.
STEADY_SHARE = 0.25
#: Before an outage, and the lengths of the first, which is learned from, and of the second.
LEAD_S, FIRST_OUTAGE_S, OUTAGE_S = 4.0, 1.5, 4.0
#: Caught up is who has no more events waiting than come in so long.
USUAL_S = 0.5
PATIENCE_S = 200


@dataclass(frozen=True)
class Installation:
    """The servers, the settings, and the core that the worker has."""

    kafka: KafkaBroker
    server: RedisServer
    settings: Settings
    core: set[int]

    @property
    def client(self) -> redis.Redis:
        """A client of Redis."""
        return self.server.client()

    @property
    def redis_pid(self) -> int:
        """Redis's process."""
        return int(self.server.children[0].process.pid)


class Sender(threading.Thread):
    """Sends messages at a steady rate, round and round, and knows how many are out."""

    def __init__(
        self, settings: Settings, messages: Sequence[tuple[str, bytes]], per_s: float
    ) -> None:
        super().__init__(daemon=True)
        self._producer = Producer(producer_config(settings))
        self._topic, self._messages = settings.topics.interactions.name, messages
        self._per_s, self._done = per_s, threading.Event()
        self.sent = 0

    def run(self) -> None:
        """Send until closed; what a pause of the machine held up is made up for at once."""
        began_s, known = time.monotonic(), len(self._messages)
        while not self._done.wait(0.005):
            due = int(self._per_s * (time.monotonic() - began_s))
            for number in range(self.sent, due):
                key, value = self._messages[number % known]
                hand_over(self._producer, self._topic, key, value)
            self.sent = due
            self._producer.poll(0)

    def close(self) -> None:
        """Send no more."""
        self._done.set()
        self.join()
        self._producer.flush(30)


@dataclass(frozen=True)
class Seen:
    """An outage as it was.

    Attributes:
        backlog: what it left behind.
        lasted_s: how long Redis stood still.
        resumed_s: from then on, until the worker folded again.
        usual: events that waited before it.
    """

    backlog: Backlog
    lasted_s: float
    resumed_s: float
    usual: int


def through_outages(
    here: Installation, messages: Sequence[tuple[str, bytes]], per_s: float
) -> list[Seen]:
    """A steady load that the worker keeps up with; Redis stands still for a while, twice.

    Raises:
        TimeoutError: the worker does not catch up.
    """
    client, settings, least = here.client, here.settings, USUAL_S * per_s
    already = users_folded(client, settings)
    with running(["placestream", "stream"], settings, here.core):
        sender = Sender(settings, messages, per_s)
        sender.start()

        def waiting() -> int:
            return sender.sent + already - users_folded(client, settings)

        try:
            seen = []
            for seconds in (FIRST_OUTAGE_S, OUTAGE_S):
                time.sleep(LEAD_S)
                until(lambda: already < users_folded(client, settings) and waiting() <= least)
                seen.append(_outage(here, waiting, seconds, least))
            return seen
        finally:
            sender.close()


def _outage(here: Installation, waiting: Callable[[], int], seconds: float, least: float) -> Seen:
    client, settings, usual = here.client, here.settings, waiting()
    began_s = time.monotonic()
    os.kill(here.redis_pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(here.redis_pid, signal.SIGCONT)
    ended_s, stood = time.monotonic(), users_folded(client, settings)
    most, resumed_s = waiting(), 0.0

    def caught_up() -> bool:
        nonlocal most, resumed_s
        now = waiting()
        most = max(most, now)
        if not resumed_s and users_folded(client, settings) > stood:
            resumed_s = time.monotonic() - ended_s
        return now <= least

    until(caught_up)
    backlog = Backlog(float(most), time.monotonic() - began_s)
    return Seen(backlog, ended_s - began_s, resumed_s, usual)


def until(true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline_s:
            raise TimeoutError("the worker does not keep up")
        time.sleep(0.02)


def foretold(rate: float, per_s: float, first: Seen, second: Seen) -> Backlog:
    """The second outage, foretold from the rate and from how the first one ended."""
    gone_s = second.lasted_s + first.resumed_s
    arrivals_s = np.arange(int(per_s * 4 * (LEAD_S + gone_s))) / per_s
    outage = Outage(LEAD_S, LEAD_S + gone_s)
    found = behind(arrivals_s, 1 / rate, outage, least=max(USUAL_S * per_s - second.usual, 1))
    return Backlog(found.most + second.usual, found.caught_up_s)
