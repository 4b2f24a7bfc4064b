"""`python -m benchmarks.capacity`: constants of `placestream plan`, and its simulation tested.

On a real Kafka and a real Redis, one `stream` worker. First it folds as fast as it can: processor
time of an event in the worker and in Redis, bytes of states, log and archive; of a served answer,
too, which the worker only archives. Then it folds a
steady load, and Redis stands still for some seconds, as while a shard fails over, twice: the first
tells how long a worker takes to go on, the second is foretold: the backlog at the worst moment and
the time until it is caught up with, beside what the simulation says from that and from the rate.
A ratio within 0.8 and 1.2 is what a large plan may be believed on.

Processor times hardly depend on what else the machine does; the rates do, and so does the test.
"""

import argparse
import os
import tempfile
import time
import tracemalloc
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import SecretStr

from benchmarks.capacity_answers import answers_cost, archive_bytes_per_row, kafka_bytes
from benchmarks.capacity_outage import (
    OUTAGE_S,
    STEADY_SHARE,
    Installation,
    foretold,
    through_outages,
)
from benchmarks.cores import pin, split
from benchmarks.cpu import used_s
from benchmarks.events import events_of
from benchmarks.report import Figure, publish, ratio
from benchmarks.stream import Places, folded, produce, rate_of, running, users_folded
from benchmarks.stream_parts import states_after
from contracts.settings import Settings
from online_features.archive import read_catalogue
from online_features.archive_schema import INTERACTIONS
from online_features.keys import Keys, ShardKind
from placestream.capacity.simulation import Backlog
from placestream.simulation.city import City
from placestream.simulation.plan import Plan
from placestream.simulation.to_archive import write_archive
from placestream.stack.kafka import KafkaBroker
from placestream.stack.redis import RedisServer

READ_KEYS, READS = 200, 1_000
PLACES = 5_000


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
    topics = here.settings.topics
    found = {
        "kafka bytes/event": kafka_bytes(kafka_dir, topics.interactions) / events,
        "kafka bytes/event by place": kafka_bytes(kafka_dir, topics.by_place) / events,
        "archive bytes/event": archive_bytes_per_row(here.settings.archive_dir, INTERACTIONS),
    }
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=150_000, help="folded flat out")
    parser.add_argument("--answers", type=int, default=10_000, help="served, to be archived")
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
                first, second = through_outages(here, steady, per_s)
                costs.setdefault("resumes in s", []).append(first.resumed_s)
                measured.append(second.backlog)
                simulated.append(foretold(found["rate"], per_s, first, second))
                cost = answers_cost(kafka, server, root, core, given.answers)
                for name, value in cost.items():
                    costs.setdefault(name, []).append(value)
    costs["catalogue bytes/place"] = [catalogue_bytes()]
    publish("What a plan is reckoned from", *_figures(costs, measured, simulated, given))


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
    facts = {
        "events": given.events,
        "answers": given.answers,
        "users": given.users,
        "outage_s": OUTAGE_S,
    }
    return found, facts | {"steady_share": STEADY_SHARE, "rounds": given.rounds}


if __name__ == "__main__":
    main()
