"""`python -m benchmarks.stream`: events a second from Kafka to features in Redis, on one core.

In one run, on one real Kafka and one real Redis: placestream's worker (user and place features,
re-key, archive); stock Faust, which only counts the same messages; and a bare confluent-kafka
loop around the worker's own feature code. Each gets one core; Kafka, Redis and the rest share
the others. `--sweep`: placestream against itself with two workers, more users, a hot place, served
answers to archive beside.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from benchmarks.cores import pin, pinned, split
from benchmarks.counted import rate_told
from benchmarks.events import answers_of, events_of
from benchmarks.report import Figure, publish, ratio
from contracts.kafka import client_config, consumer_config, producer_config
from contracts.settings import Settings
from contracts.topics import create_topics
from online_features.keys import Keys
from placestream.stack.environment import environment
from placestream.stack.kafka import KafkaBroker
from placestream.stack.redis import RedisServer

#: The rate is taken from here on, so that no start-up is in it.
WARM_SHARE = 0.2
TIMEOUT_S = 300


def own_topics(kafka: KafkaBroker, server: RedisServer, root: Path) -> Settings:
    """Settings of one measurement: topics, keys and an archive that no other has."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    return Settings(
        _env_file=None,
        kafka_bootstrap=kafka.bootstrap,
        redis_url=SecretStr(server.url),
        topic_prefix=name,
        archive_dir=root / name,
        stream_metrics_port=0,
        log_level="ERROR",
    )


def produce(settings: Settings, messages: Mapping[str, Iterable[tuple[str, bytes]]]) -> None:
    """Fill topics, given by name: see `benchmarks.events`."""
    create_topics(AdminClient(client_config(settings)), settings.topics.all(), replication=1)
    producer = Producer(producer_config(settings))
    for topic, its_messages in messages.items():
        for key, value in its_messages:
            hand_over(producer, topic, key, value)
    producer.flush(60)


def hand_over(producer: Producer, topic: str, key: str, value: bytes) -> None:
    """Give a message to a producer, and wait while it has too many."""
    while True:
        try:
            producer.produce(topic, key=key, value=value)
            return
        except BufferError:
            producer.poll(0.1)


def folded(client: redis.Redis, settings: Settings) -> float:
    """Interactions in user features and in place features, on average.

    Not the lesser of the two: the users' side runs ahead, and the places' side would seem to do
    the rest of the work in no time. A place shard's mark of a source partition lies at the last
    event that it got of it, some events before the last that it will have got in the end.
    """
    keys = Keys.of(settings)
    pipe = client.pipeline(transaction=False)
    for partition in range(settings.partitions):
        pipe.hgetall(keys.shard("b", partition))
    shards: list[dict[bytes, bytes]] = pipe.execute()
    marks = [int(v) for shard in shards for k, v in shard.items() if k.startswith(b"w")]
    places = (sum(marks) + len(marks)) / settings.partitions
    return (users_folded(client, settings) + places) / 2


def users_folded(client: redis.Redis, settings: Settings) -> int:
    """Interactions in user features."""
    keys = Keys.of(settings)
    pipe = client.pipeline(transaction=False)
    for partition in range(settings.partitions):
        pipe.hget(keys.shard("i", partition), "offset")
    return sum(int(offset or 0) for offset in pipe.execute())


class Places:
    """Says when the place shards are at the end of what was passed on to them."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        self._settings = settings
        self._redis = client
        self._consumer = Consumer(consumer_config(settings, f"{settings.topic_prefix}-ends"))

    def close(self) -> None:
        """Let the broker go."""
        self._consumer.close()

    def done(self) -> bool:
        """Whether every message lies below its shard's stored offset."""
        keys, topic = Keys.of(self._settings), self._settings.topics.by_place.name
        for p in range(self._settings.partitions):
            stored: Any = self._redis.hget(keys.shard("b", p), "offset")
            _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=5)
            if int(stored or 0) < end:
                return False
        return True


def rate_of(count: Callable[[], float], done: Callable[[], bool], events: int) -> float:
    """Events a second between the warm share and the end.

    Args:
        count: events so far, nearly.
        done: whether that was the last; asked when the count is within a hundredth of it.
        events: how many there are.

    Raises:
        TimeoutError: not done in time.
    """
    deadline_s = time.monotonic() + TIMEOUT_S
    warm: tuple[float, float] | None = None
    while time.monotonic() < deadline_s:
        so_far, now_s = count(), time.monotonic()
        if warm is None and so_far >= WARM_SHARE * events:
            warm = (so_far, now_s)
        if warm is not None and so_far >= 0.99 * events and done():
            return (events - warm[0]) / (now_s - warm[1])
        time.sleep(0.01)
    raise TimeoutError(f"{count():.0f} of {events} within {TIMEOUT_S} s")


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
        places = Places(settings, client)
        stack.callback(places.close)
        return rate_of(
            lambda: folded(client, settings),
            lambda: users_folded(client, settings) >= events and places.done(),
            events,
        )


def stock_rate(settings: Settings, events: int, core: set[int]) -> float:
    """Rate at which stock Faust counts."""
    with running(["benchmarks.stock_faust", str(events)], settings, core) as process:
        return rate_told(process.stdout or (), events, WARM_SHARE)


@dataclass(frozen=True)
class Contender:
    """What is measured: a command, or several that share the work, on some load."""

    name: str
    commands: tuple[str, ...] = ("placestream stream",)
    users: int | None = None
    hot: float = 0.0
    bot: float = 0.0
    #: Served answers to be archived beside, as a share of the events.
    answers: float = 0.0


PLACESTREAM = Contender("placestream")
STOCK = Contender("stock Faust that counts", ("benchmarks.stock_faust",))
BARE = Contender("bare loop, same code", ("benchmarks.bare_loop",))
VERSUS = (PLACESTREAM, STOCK, BARE)
#: placestream against itself: more workers, more entities, a hot place, a bot, answers beside.
SWEEP = (
    PLACESTREAM,
    Contender("two workers", ("placestream stream", "placestream stream")),
    Contender("100,000 users", users=100_000),
    Contender("1,000,000 users", users=1_000_000),
    Contender("one place has 10 %", hot=0.1),
    # 10,000 events a minute beside 20,000 events a second.
    Contender("one user has 0.8 %", bot=0.008),
    # 5 KB each: half as many bytes as the events themselves.
    Contender("an answer to 50 events", answers=0.02),
)


def measure(
    contender: Contender,
    settings: Settings,
    client: redis.Redis,
    events: int,
    users: int,
    seed: int,
    cores: tuple[set[int], set[int]],
) -> float:
    """Fill the topic anew, and return the contender's rate, events a second.

    Args:
        cores: the core of what is measured, and the others.
    """
    core, others = cores
    client.flushall()
    entities, topics = contender.users or users, settings.topics
    answers = answers_of(round(contender.answers * events), entities, seed)
    interactions = events_of(events, entities, seed, contender.hot, contender.bot)
    produce(settings, {topics.impressions.name: answers, topics.interactions.name: interactions})
    if contender is STOCK:
        return stock_rate(settings, events, core)
    each = [core, others][: len(contender.commands)]
    return folding_rate(contender.commands, settings, client, events, each)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="messages a round")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sweep", action="store_true", help="against itself on other loads")
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    options = parser.parse_args()
    cores = split()  # once: from here on this process is kept to the others itself
    _, others = cores
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
                    settings = own_topics(kafka, server, root)
                    rates[contender.name].append(
                        measure(
                            contender,
                            settings,
                            server.client(),
                            options.events,
                            options.users,
                            round_,
                            cores,
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
