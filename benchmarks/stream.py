"""`python -m benchmarks.stream`: events a second from Kafka to features in Redis, on one core.

In one run, on one real Kafka and one real Redis: placestream's worker (user and place features,
re-key, archive); stock Faust, which only counts the same messages; and a bare confluent-kafka
loop around the worker's own feature code. Each gets one core; Kafka, Redis and the rest share
the others.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from benchmarks.cores import pin, pinned, split
from benchmarks.report import Figure, publish, ratio
from contracts.events import encode
from contracts.kafka import client_config, producer_config
from contracts.settings import Settings
from contracts.topics import create_topics
from online_features.keys import Keys, ShardKind
from placestream.stack.environment import environment
from placestream.stack.kafka import KafkaBroker
from placestream.stack.redis import RedisServer

#: The rate is taken from here on, so that no start-up is in it.
WARM_SHARE = 0.2
TIMEOUT_S = 300


def produce(settings: Settings, events: int, entities: int, seed: int) -> None:
    """Fill the interactions topic: `entities` users, half as many places, the last four weeks."""
    rng = np.random.default_rng(seed)
    create_topics(AdminClient(client_config(settings)), settings.topics.all(), replication=1)
    producer = Producer(producer_config(settings))
    users, places = rng.integers(entities, size=events), rng.integers(entities // 2, size=events)
    kinds = rng.choice(["view", "click", "visit", "rate"], size=events, p=[0.5, 0.25, 0.2, 0.05])
    ages_s = rng.integers(28 * 86_400, size=events)
    now_s = time.time()
    for i in range(events):
        event = {
            "user_id": int(users[i]),
            "place_id": int(places[i]),
            "event_type": str(kinds[i]),
            "timestamp": datetime.fromtimestamp(now_s - int(ages_s[i]), UTC).isoformat(),
            "event_id": f"{seed}-{i}",
            "context": {
                "location": {"lat": 40.7 + i % 100 / 1_000, "lng": -74.0},
                "device": "mobile",
                "session_id": f"s{i // 5}",
            },
        }
        if kinds[i] == "rate":
            event["rating"] = 4
        while True:
            try:
                producer.produce(
                    settings.topics.interactions.name, key=str(users[i]), value=encode(event)
                )
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush(60)


def folded(client: redis.Redis, settings: Settings) -> int:
    """Interactions whose user and place features are both in Redis."""
    keys = Keys.of(settings)
    pipe = client.pipeline(transaction=False)
    kinds: tuple[ShardKind, ShardKind] = ("i", "b")
    for kind in kinds:
        for partition in range(settings.partitions):
            pipe.hget(keys.shard(kind, partition), "offset")
    offsets = [int(offset or 0) for offset in pipe.execute()]
    return min(sum(offsets[: settings.partitions]), sum(offsets[settings.partitions :]))


def rate_of(done: Callable[[], int], events: int) -> float:
    """Events a second between the warm share and the end.

    Raises:
        TimeoutError: not done in time.
    """
    deadline_s = time.monotonic() + TIMEOUT_S
    warm: tuple[int, float] | None = None
    while time.monotonic() < deadline_s:
        count, now_s = done(), time.monotonic()
        if warm is None and count >= WARM_SHARE * events:
            warm = (count, now_s)
        if count >= events and warm is not None:
            return (events - warm[0]) / (now_s - warm[1])
        time.sleep(0.01)
    raise TimeoutError(f"{done()} of {events} within {TIMEOUT_S} s")


@contextmanager
def running(
    command: list[str], settings: Settings, core: set[int]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of ours on a core of its own, killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        env={**os.environ, **environment(settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=pinned(core),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def placestream_rate(settings: Settings, client: redis.Redis, events: int, core: set[int]) -> float:
    """Rate of the `stream` role."""
    with running(["placestream", "stream"], settings, core):
        return rate_of(lambda: folded(client, settings), events)


def bare_rate(settings: Settings, client: redis.Redis, events: int, core: set[int]) -> float:
    """Rate of the same feature code with no Faust."""
    with running(["benchmarks.bare_loop"], settings, core):
        return rate_of(lambda: folded(client, settings), events)


def stock_rate(settings: Settings, events: int, core: set[int]) -> float:
    """Rate at which stock Faust counts."""
    warm: tuple[int, float] | None = None
    with running(["benchmarks.stock_faust", str(events)], settings, core) as process:
        for line in process.stdout or ():
            if not line.startswith(b"counted "):
                continue
            count, now_s = int(line.split()[1]), float(line.split()[2])
            if warm is None and count >= WARM_SHARE * events:
                warm = (count, now_s)
            elif warm is not None and count >= events:
                return (count - warm[0]) / (now_s - warm[1])
    raise RuntimeError("stock Faust ended early")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, help="messages a round")
    parser.add_argument("--entities", type=int, default=10_000, help="users")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    options = parser.parse_args()
    core, others = split()
    rates: dict[str, list[float]] = {"placestream": [], "stock": [], "bare": []}
    with tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder:
        root = Path(folder)
        with KafkaBroker(root / "kafka") as kafka, RedisServer(root / "redis") as server:
            for child in (*kafka.children, *server.children):
                pin(child.process.pid, others)
            pin(os.getpid(), others)
            client = server.client()
            for round_ in range(options.rounds):
                for contender, measured in rates.items():
                    client.flushall()
                    settings = Settings(
                        _env_file=None,
                        kafka_bootstrap=kafka.bootstrap,
                        redis_url=SecretStr(server.url),
                        topic_prefix=f"bench-{uuid.uuid4().hex[:8]}",
                        archive_dir=root / f"archive-{contender}-{round_}",
                        stream_metrics_port=0,
                        log_level="ERROR",
                    )
                    produce(settings, options.events, options.entities, round_)
                    if contender == "placestream":
                        measured.append(placestream_rate(settings, client, options.events, core))
                    elif contender == "bare":
                        measured.append(bare_rate(settings, client, options.events, core))
                    else:
                        measured.append(stock_rate(settings, options.events, core))
    figures = {name: Figure(name, "events/s", tuple(values)) for name, values in rates.items()}
    publish(
        "Kafka to features in Redis, one worker on one core",
        [
            *figures.values(),
            ratio(
                "placestream / stock Faust that counts", figures["placestream"], figures["stock"]
            ),
            ratio("placestream / bare loop, same code", figures["placestream"], figures["bare"]),
        ],
        {"events_a_round": options.events, "users": options.entities, "rounds": options.rounds},
    )


if __name__ == "__main__":
    main()
