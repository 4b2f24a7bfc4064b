"""`python -m benchmarks.stream`: events a second from Kafka to features in Redis, on one core.

In one run, on one real Kafka and one real Redis: placestream's worker (user and place features,
re-key, archive); stock Faust, which only counts the same messages; and a bare confluent-kafka
loop around the worker's own feature code. Each gets one core; Kafka, Redis and the rest share
the others. `--sweep`: placestream against itself with two workers, more users, a hot place.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from benchmarks.cores import pin, pinned, split
from benchmarks.events import events_of
from benchmarks.report import Figure, publish, ratio
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


def produce(settings: Settings, events: int, entities: int, seed: int, hot: float = 0.0) -> None:
    """Fill the interactions topic: see `benchmarks.events`."""
    create_topics(AdminClient(client_config(settings)), settings.topics.all(), replication=1)
    producer = Producer(producer_config(settings))
    for key, value in events_of(events, entities, seed, hot):
        while True:
            try:
                producer.produce(settings.topics.interactions.name, key=key, value=value)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush(60)


def folded(client: redis.Redis, settings: Settings) -> int:
    """Interactions in user features and in place features, on average.

    Not the lesser of the two: the users' side runs ahead, and the places' side would seem to do
    the rest of the work in no time.
    """
    keys = Keys.of(settings)
    pipe = client.pipeline(transaction=False)
    kinds: tuple[ShardKind, ShardKind] = ("i", "b")
    for kind in kinds:
        for partition in range(settings.partitions):
            pipe.hget(keys.shard(kind, partition), "offset")
    offsets = [int(offset or 0) for offset in pipe.execute()]
    return sum(offsets) // 2


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


def folding_rate(
    commands: Sequence[str],
    settings: Settings,
    client: redis.Redis,
    events: int,
    cores: Sequence[set[int]],
) -> float:
    """Rate of processes that fold together, each on its cores."""
    with ExitStack() as stack:
        for command, its_cores in zip(commands, cores, strict=True):
            stack.enter_context(running(command.split(), settings, its_cores))
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


@dataclass(frozen=True)
class Contender:
    """What is measured: a command, or several that share the work, on some load."""

    name: str
    commands: tuple[str, ...] = ("placestream stream",)
    users: int | None = None
    hot: float = 0.0


PLACESTREAM = Contender("placestream")
STOCK = Contender("stock Faust that counts", ("benchmarks.stock_faust",))
BARE = Contender("bare loop, same code", ("benchmarks.bare_loop",))
VERSUS = (PLACESTREAM, STOCK, BARE)
#: placestream against itself: more workers, more entities, a place with a tenth of all events.
SWEEP = (
    PLACESTREAM,
    Contender("two workers", ("placestream stream", "placestream stream")),
    Contender("100,000 users", users=100_000),
    Contender("1,000,000 users", users=1_000_000),
    Contender("one place has 10 %", hot=0.1),
)


def measure(
    contender: Contender,
    settings: Settings,
    client: redis.Redis,
    events: int,
    users: int,
    seed: int,
) -> float:
    """Fill the topic anew, and return the contender's rate, events a second."""
    core, others = split()
    client.flushall()
    produce(settings, events, contender.users or users, seed, contender.hot)
    if contender is STOCK:
        return stock_rate(settings, events, core)
    cores = [core, others][: len(contender.commands)]
    return folding_rate(contender.commands, settings, client, events, cores)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="messages a round")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sweep", action="store_true", help="against itself on other loads")
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    options = parser.parse_args()
    _, others = split()
    contenders = SWEEP if options.sweep else VERSUS
    rates: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    with tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder:
        root = Path(folder)
        with KafkaBroker(root / "kafka") as kafka, RedisServer(root / "redis") as server:
            for child in (*kafka.children, *server.children):
                pin(child.process.pid, others)
            pin(os.getpid(), others)
            for round_ in range(options.rounds):
                for contender in contenders:
                    name = f"bench-{uuid.uuid4().hex[:8]}"
                    settings = Settings(
                        _env_file=None,
                        kafka_bootstrap=kafka.bootstrap,
                        redis_url=SecretStr(server.url),
                        topic_prefix=name,
                        archive_dir=root / name,
                        stream_metrics_port=0,
                        log_level="ERROR",
                    )
                    rates[contender.name].append(
                        measure(
                            contender,
                            settings,
                            server.client(),
                            options.events,
                            options.users,
                            round_,
                        )
                    )
    figures = {name: Figure(name, "events/s", tuple(values)) for name, values in rates.items()}
    first, *rest = figures.values()
    ratios = [
        ratio(f"{other.name} / placestream", other, first)
        if options.sweep
        else ratio(f"placestream / {other.name}", first, other)
        for other in rest
    ]
    publish(
        "Kafka to features in Redis, one worker on one core",
        [*figures.values(), *ratios],
        {"events_a_round": options.events, "users": options.users, "rounds": options.rounds},
    )


if __name__ == "__main__":
    main()
