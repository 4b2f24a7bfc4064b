"""`python -m benchmarks.scale_out`: workers come and go under a steady load, and catch up.

On a real Kafka and a real Redis, with the default settings. First one `stream` worker folds a full
topic alone: the rate that all else is held against. Then two workers keep up with a quarter of
that; one of them is killed, and later two more are started at once. Of each change: the events
waiting at the worst moment, how long that took, how long until they are caught up with, and the
rate meanwhile, arrivals included. All workers share one core, and Kafka, Redis and the load have
the others: this shows what a change costs, not what more machines bring.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.capacity import flat_out
from benchmarks.capacity_outage import (
    LEAD_S,
    PATIENCE_S,
    STEADY_SHARE,
    USUAL_S,
    Installation,
    Sender,
)
from benchmarks.cores import pin, split
from benchmarks.events import events_of
from benchmarks.report import Figure, publish, ratio
from benchmarks.stream import own_topics, running, users_folded
from placestream.stack.kafka import KafkaBroker
from placestream.stack.redis import RedisServer

#: For so long after a change more events may yet come to wait than did so far.
WATCH_S = 20.0
LOST, ADDED = "one of two lost", "two added to one"
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True)
class Change:
    """What a change of workers left behind.

    Attributes:
        most: events that waited at the worst moment.
        worst_s: from the change to that moment.
        caught_up_s: from the change until the usual number waited again.
        rate: events folded a second, from the worst moment until then.
    """

    most: float
    worst_s: float
    caught_up_s: float
    rate: float


@dataclass(frozen=True)
class Moment:
    """A look at the stream: when, how many events waited, how many were folded."""

    at_s: float
    waiting: int
    folded: int


def change_of(seen: list[Moment], usual: float) -> Change:
    """What a change left behind.

    Args:
        seen: looks in the order of time; the first is the change itself.
        usual: as many events may wait at any time.
    """
    worst = max(range(len(seen)), key=lambda i: seen[i].waiting)
    later = seen[worst:]
    caught = next((look for look in later if look.waiting <= usual), later[-1])
    began, took_s = seen[0].at_s, caught.at_s - seen[worst].at_s
    rate = (caught.folded - seen[worst].folded) / took_s if took_s > 0 else 0.0
    return Change(seen[worst].waiting, seen[worst].at_s - began, caught.at_s - began, rate)


def looks(look: Callable[[], Moment], usual: float) -> list[Moment]:
    """Looks until `WATCH_S` are over and no more than usual waits.

    Raises:
        TimeoutError: that does not come.
    """
    seen = [look()]
    while seen[-1].at_s - seen[0].at_s < PATIENCE_S:
        time.sleep(_LOOK_EVERY_S)
        seen.append(look())
        if seen[-1].at_s - seen[0].at_s > WATCH_S and seen[-1].waiting <= usual:
            return seen
    raise TimeoutError(f"the workers do not keep up: {seen[-1].waiting} events wait")


def changes(here: Installation, events: int, users: int, seed: int, per_s: float) -> list[Change]:
    """A worker is lost, then two are added, under a steady load."""
    settings, client, usual = here.settings, here.client, USUAL_S * per_s
    already = users_folded(client, settings)
    sender = Sender(settings, list(events_of(events, users, seed)), per_s)

    def look() -> Moment:
        folded, sent = users_folded(client, settings), sender.sent
        return Moment(time.monotonic(), already + sent - folded, folded)

    with ExitStack() as workers:

        def start() -> Callable[[], None]:
            return workers.enter_context(
                running(["placestream", "stream"], settings, here.core)
            ).kill

        kill_first, _ = start(), start()
        sender.start()
        workers.callback(sender.close)
        looks(look, usual)
        time.sleep(LEAD_S)
        kill_first()
        lost = change_of(looks(look, usual), usual)
        time.sleep(LEAD_S)
        start(), start()
        return [lost, change_of(looks(look, usual), usual)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, help="folded flat out by one worker")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    given = parser.parse_args()
    core, others = split()
    rates: list[float] = []
    seen: dict[str, list[Change]] = {LOST: [], ADDED: []}
    for seed in range(given.rounds):
        with (
            tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder,
            KafkaBroker(Path(folder) / "kafka") as kafka,
            RedisServer(Path(folder) / "redis") as server,
        ):
            for process in (*kafka.children, *server.children):
                pin(process.process.pid, others)
            pin(os.getpid(), others)
            settings = own_topics(kafka, server, Path(folder))
            here = Installation(kafka, server, settings, core)
            rate = flat_out(here, list(events_of(given.events, given.users, seed)))["rate"]
            rates.append(rate)
            its = changes(here, given.events, given.users, seed + 1_000, STEADY_SHARE * rate)
            for name, change in zip(seen, its, strict=True):
                seen[name].append(change)
    facts = {"events": given.events, "users": given.users, "rounds": given.rounds}
    silent_s = {"session_s": settings.stream_session_s, "steady_share": STEADY_SHARE}
    publish("Workers come and go under a steady load", _figures(rates, seen), facts | silent_s)


def _figures(rates: list[float], seen: dict[str, list[Change]]) -> list[Figure]:
    alone = Figure("one worker, a full topic", "events/s", tuple(rates))
    found = [alone]
    for name, its in seen.items():
        meanwhile = Figure(f"{name}: catches up at", "events/s", tuple(c.rate for c in its))
        found += [
            Figure(f"{name}: most waiting", "events", tuple(c.most for c in its)),
            Figure(f"{name}: worst after", "s", tuple(c.worst_s for c in its)),
            Figure(f"{name}: caught up after", "s", tuple(c.caught_up_s for c in its)),
            meanwhile,
            ratio(f"{name}: catching up / one worker", meanwhile, alone),
        ]
    return found


if __name__ == "__main__":
    main()
