"""Driving a real `stream` worker: send events, wait, compare what Redis holds with a recompute."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from contracts.ids import id64
from contracts.kafka import consumer_config, producer_config
from contracts.settings import Settings
from online_features.definitions import PLACE, USER
from online_features.feature_set import FeatureSet
from online_features.keys import Keys, ShardKind
from online_features.replay import fold_all
from placestream.stack.environment import environment
from placestream.stack.supervisor import Supervisor
from streams.decode import Interactions, decode_interactions


class Sent(msgspec.Struct):
    """A message as it lies in Kafka, in the shape that the worker's own decoder takes."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@contextmanager
def worker(settings: Settings, run_dir: Path) -> Iterator[Supervisor]:
    """A supervisor with one `stream` worker that can be killed and started again."""
    with Supervisor(run_dir, environment(settings)) as supervisor:
        supervisor.start("stream")
        yield supervisor


def interaction(rng: np.random.Generator, number: int, now_s: float) -> dict[str, Any]:
    """One random good event, up to forty days old; ids are integers and strings."""
    kind = str(rng.choice(["view", "click", "visit", "rate"]))
    at = datetime.fromtimestamp(now_s - float(rng.integers(40 * 86_400)), UTC)
    user = int(rng.integers(60))
    event: dict[str, Any] = {
        "user_id": user if user % 2 else f"user-{user}",
        "place_id": int(rng.zipf(1.5)) % 40,
        "event_type": kind,
        "timestamp": at.isoformat(),
        "context": {"location": {"lat": 40.7, "lng": -74.0}},
        "event_id": f"e{number}",
        "later_field": {"kept": True},
    }
    return event | ({"rating": int(rng.integers(1, 6))} if kind == "rate" else {})


def send(
    settings: Settings, topic: str, messages: Sequence[tuple[str | None, bytes | None]]
) -> None:
    """Send (key, value) pairs and wait until the broker has them all."""
    producer = Producer(producer_config(settings))
    for key, value in messages:
        producer.produce(topic, key=key, value=value)
        producer.poll(0)
    assert producer.flush(30) == 0


def read_topic(settings: Settings, topic: str) -> list[Sent]:
    """All messages of a topic, by partition and offset."""
    consumer = Consumer(consumer_config(settings, "test-reader"))
    try:
        found = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        parts = [TopicPartition(topic, p, OFFSET_BEGINNING) for p in found]
        ends = {p.partition: consumer.get_watermark_offsets(p, timeout=10)[1] for p in parts}
        consumer.assign(parts)
        messages: list[Sent] = []
        while len(messages) < sum(ends.values()):
            for m in consumer.consume(1_000, timeout=1.0):
                assert m.error() is None
                partition, offset, stamp = m.partition(), m.offset(), m.timestamp()[1]
                assert partition is not None
                assert offset is not None
                messages.append(Sent(partition, offset, stamp, m.key(), m.value()))
        return sorted(messages, key=lambda m: (m.partition, m.offset))
    finally:
        consumer.close()


def offsets(client: redis.Redis, settings: Settings, kind: ShardKind) -> int:
    """Sum of the stored offsets of all shards of a kind."""
    keys = Keys.of(settings)
    stored = [client.hget(keys.shard(kind, p), "offset") for p in range(settings.partitions)]
    return sum(int(s or 0) for s in stored)


def wait_folded(
    client: redis.Redis, settings: Settings, sent: int, *, timeout_s: float = 90
) -> None:
    """Wait until the user shards have folded `sent` messages and the place shards all of theirs."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if offsets(client, settings, "i") >= sent:
            by_place = len(read_topic(settings, settings.topics.by_place.name))
            if offsets(client, settings, "b") >= by_place:
                return
        time.sleep(0.2)
    raise AssertionError(
        f"folded {offsets(client, settings, 'i')} of {sent} within {timeout_s} s, "
        f"places at {offsets(client, settings, 'b')}"
    )


def good_interactions(settings: Settings) -> Interactions:
    """What lies in the interactions topic, decoded; bad messages left out."""
    sent: Any = read_topic(settings, settings.topics.interactions.name)
    return decode_interactions(sent, settings.partitions)


def assert_equals_recompute(client: redis.Redis, settings: Settings) -> None:
    """Every state in Redis equals, byte for byte, a batch recompute of the topic."""
    good = good_interactions(settings)
    users, user_states, places, place_states = fold_all(good.folded())
    _compare(client, settings, USER, "i", set(good.user_id), users, user_states)
    _compare(client, settings, PLACE, "b", set(good.place_id), places, place_states)


def _compare(
    client: redis.Redis,
    settings: Settings,
    features: FeatureSet,
    kind: ShardKind,
    ids: set[str],
    hashes: np.ndarray,
    expected: np.ndarray,
) -> None:
    keys = Keys.of(settings)
    ordered = sorted(ids)
    stored: Any = client.mget([keys.entity(kind, entity_id) for entity_id in ordered])
    assert None not in stored
    rows = np.searchsorted(hashes, np.array([id64(i) for i in ordered], np.uint64))
    wanted = dict(zip(ordered, features.pack(expected[rows]), strict=True))
    assert dict(zip(ordered, stored, strict=True)) == wanted
    written = sum(1 for _ in client.scan_iter(f"{settings.key_prefix}:*{{{kind}*}}*"))
    shards = sum(client.exists(keys.shard(kind, p)) for p in range(settings.partitions))
    assert written == len(ordered) + shards, "states of entities that nobody sent"
