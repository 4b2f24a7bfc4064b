"""`python -m benchmarks.capacity`: constants of `placestream plan`, and its simulation tested.

On a real Kafka and a real Redis, one `stream` worker. First it folds as fast as it can: processor
time of an event in the worker and in Redis, bytes of states, log and archive. Then it folds a
steady load, and Redis stands still for some seconds, as while a shard fails over: the backlog at
the worst moment and the time until it is caught up with, beside what the simulation says from the
rate that was just measured. A ratio within 0.8 and 1.2 is what a large plan may be believed on.

Processor times hardly depend on what else the machine does; the rates do, and so does the test.
"""

import argparse
import os
import signal
import tempfile
import threading
import time
import tracemalloc
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis
from confluent_kafka import Producer
from pydantic import SecretStr

from benchmarks.cores import pin, split
from benchmarks.cpu import used_s
from benchmarks.events import events_of
from benchmarks.report import Figure, publish, ratio
from benchmarks.stream import Places, folded, produce, rate_of, running, users_folded
from benchmarks.stream_parts import states_after
from contracts.kafka import producer_config
from contracts.settings import Settings
from online_features.archive import read_catalogue
from online_features.keys import Keys, ShardKind
from placestream.capacity.simulation import Backlog, Outage, behind
from placestream.simulation.city import City
from placestream.simulation.plan import Plan
from placestream.simulation.to_archive import write_archive
from placestream.stack.kafka import KafkaBroker
from placestream.stack.redis import RedisServer

#: Of the rate at which the worker folds alone.
STEADY_SHARE = 0.25
#: Before the outage, and its length.
LEAD_S, OUTAGE_S = 4.0, 3.0
#: Caught up is who has no more events waiting than come in so long.
USUAL_S = 0.5
READ_KEYS, READS = 200, 1_000
PLACES = 5_000
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


def flat_out(here: Installation, messages: Sequence[tuple[str, bytes]]) -> dict[str, float]:
    """Fold a full topic; what each event cost."""
    settings, client, events = here.settings, here.client, len(messages)
    produce(settings, {settings.topics.interactions.name: messages})
    places = Places(settings, client)
    with running(["placestream", "stream"], settings, here.core) as worker:
        while users_folded(client, settings) < events // 10:
            time.sleep(0.01)
        began = users_folded(client, settings)
        worker_s, redis_s = used_s([worker.pid]), used_s([here.redis_pid])
        rate = rate_of(
            lambda: folded(client, settings),
            lambda: users_folded(client, settings) >= events and places.done(),
            events,
        )
        worker_s, redis_s = used_s([worker.pid]) - worker_s, used_s([here.redis_pid]) - redis_s
        worker_gib = _resident_gib(worker.pid)
    places.close()
    return {
        "rate": rate,
        "worker us/event": 1e6 * worker_s / (events - began),
        "redis us/event": 1e6 * redis_s / (events - began),
        "worker GiB": worker_gib,
    }


def _resident_gib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


def stored_bytes(here: Installation, kafka_dir: Path, events: int) -> dict[str, float]:
    """Bytes of an event in Kafka and in the archive, of states with their keys, and of a place.

    States are those of users after 100 events at places all different, and of places after 200.
    """
    logs = sum(f.stat().st_size for f in kafka_dir.rglob("*.log") if f.is_file())
    files = sum(f.stat().st_size for f in here.settings.archive_dir.rglob("*.parquet"))
    found = {"kafka bytes/event": logs / events, "archive bytes/event": files / events}
    client, keys = here.client, Keys.of(here.settings)
    for _, features, states in states_after(100, 0):
        kind: ShardKind = "i" if features.entity == "user" else "b"
        sizes = []
        for number, value in enumerate(features.pack(states)):
            key = keys.entity(kind, f"measured-{number:08}")
            client.set(key, value, ex=features.ttl_s)
            size: Any = client.memory_usage(key)
            sizes.append(size)
            client.delete(key)
        found[f"{features.entity} bytes"] = float(np.mean(sizes))
    return found


def catalogue_bytes() -> float:
    """Memory of a place in the catalogue that `serve` holds."""
    with tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder:
        plan = Plan(users=50, places=PLACES, days=1)
        write_archive(City(plan, ending_s=1.75e9, seed=1), Path(folder))
        tracemalloc.start()
        catalogue = read_catalogue(Path(folder))
        catalogue.hash.sum()
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return held / len(catalogue)


def read_cost(here: Installation) -> dict[str, float]:
    """Redis's processor time of a read of one key, and of many."""
    client, keys = here.client, Keys.of(here.settings)
    pattern = keys.pattern("b", keys.version("b"))
    some = [key for key in client.scan_iter(pattern) if not key.endswith(b"#shard")][:READ_KEYS]

    def each_us(names: Sequence[bytes]) -> float:
        before_s = used_s([here.redis_pid])
        for _ in range(READS):
            client.mget(names)
        return 1e6 * (used_s([here.redis_pid]) - before_s) / READS

    one, many = each_us(some[:1]), each_us(some)
    per_key = max(many - one, 0.0) / max(len(some) - 1, 1)
    return {"redis us/command": max(one - per_key, 0.0), "redis us/key": per_key}


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
                self._producer.produce(self._topic, key=key, value=value)
            self.sent = due
            self._producer.poll(0)

    def close(self) -> None:
        """Send no more."""
        self._done.set()
        self.join()
        self._producer.flush(30)


def through_an_outage(
    here: Installation, messages: Sequence[tuple[str, bytes]], per_s: float
) -> Backlog:
    """A steady load that the worker keeps up with; then Redis stands still for a while.

    Raises:
        TimeoutError: the worker does not catch up.
    """
    client, settings, usual = here.client, here.settings, USUAL_S * per_s
    already = users_folded(client, settings)
    with running(["placestream", "stream"], settings, here.core):
        sender = Sender(settings, messages, per_s)
        sender.start()

        def waiting() -> int:
            return sender.sent + already - users_folded(client, settings)

        try:
            time.sleep(LEAD_S)
            _until(lambda: already < users_folded(client, settings) and waiting() <= usual)
            began_s = time.monotonic()
            os.kill(here.redis_pid, signal.SIGSTOP)
            time.sleep(OUTAGE_S)
            os.kill(here.redis_pid, signal.SIGCONT)
            most = waiting()

            def caught_up() -> bool:
                nonlocal most
                now = waiting()
                most = max(most, now)
                return now <= usual

            _until(caught_up)
            return Backlog(float(most), time.monotonic() - began_s)
        finally:
            sender.close()


def _until(true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline_s:
            raise TimeoutError("the worker does not keep up")
        time.sleep(0.02)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=150_000, help="folded flat out")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    given = parser.parse_args()
    core, others = split()
    costs: dict[str, list[float]] = {}
    measured: list[Backlog] = []
    simulated: list[Backlog] = []
    for round_ in range(given.rounds):
        with tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder:
            root = Path(folder)
            with KafkaBroker(root / "kafka") as kafka, RedisServer(root / "redis") as server:
                for process in (*kafka.children, *server.children):
                    pin(process.process.pid, others)
                pin(os.getpid(), others)
                settings = Settings(
                    _env_file=None,
                    kafka_bootstrap=kafka.bootstrap,
                    redis_url=SecretStr(server.url),
                    topic_prefix=f"bench-{uuid.uuid4().hex[:8]}",
                    archive_dir=root / "archive",
                    stream_metrics_port=0,
                    log_level="ERROR",
                )
                here = Installation(kafka, server, settings, core)
                found = flat_out(here, list(events_of(given.events, given.users, round_)))
                found |= stored_bytes(here, root / "kafka", given.events) | read_cost(here)
                for name, value in found.items():
                    costs.setdefault(name, []).append(value)
                per_s = STEADY_SHARE * found["rate"]
                steady = list(events_of(given.events, given.users, 1_000 + round_))
                measured.append(through_an_outage(here, steady, per_s))
                simulated.append(_simulated(found["rate"], per_s))
    costs["catalogue bytes/place"] = [catalogue_bytes()]
    publish("What a plan is reckoned from", *_figures(costs, measured, simulated, given))


def _simulated(rate: float, per_s: float) -> Backlog:
    arrivals_s = np.arange(int(per_s * (LEAD_S + OUTAGE_S * 4))) / per_s
    outage = Outage(LEAD_S, LEAD_S + OUTAGE_S)
    return behind(arrivals_s, 1 / rate, outage, least=USUAL_S * per_s)


def _figures(
    costs: dict[str, list[float]],
    measured: Sequence[Backlog],
    simulated: Sequence[Backlog],
    given: argparse.Namespace,
) -> tuple[list[Figure], dict[str, object]]:
    found = [Figure(name, "", tuple(values)) for name, values in costs.items()]
    for what, unit in (("most", "events"), ("caught_up_s", "s")):
        real = Figure(f"outage {what}", unit, tuple(getattr(b, what) for b in measured))
        said = Figure(f"outage {what} simulated", unit, tuple(getattr(b, what) for b in simulated))
        found += [real, said, ratio(f"outage {what} simulated / measured", said, real)]
    facts = {"events": given.events, "users": given.users, "outage_s": OUTAGE_S}
    return found, facts | {"steady_share": STEADY_SHARE, "rounds": given.rounds}


if __name__ == "__main__":
    main()
