"""The broker in memory: what it can do, so that the demo can lean on it."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiokafka
import pytest
import structlog
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from contracts.ids import partition_of
from contracts.kafka import client_config, producer_config
from contracts.settings import Settings
from contracts.topics import Topics
from placestream.stack.mock_kafka import LIMITS, MockKafka

TOPICS = Topics(prefix="mock", partitions=6)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockKafka]:
    """One for all tests here."""
    with MockKafka(tmp_path_factory.mktemp("mock"), TOPICS.all()) as mock:
        yield mock


@pytest.fixture
def mock_settings(broker: MockKafka) -> Settings:
    """Settings of an installation on it."""
    return Settings(
        _env_file=None,
        kafka_bootstrap=broker.bootstrap,
        topic_prefix=TOPICS.prefix,
        partitions=TOPICS.partitions,
    )


def test_it_has_the_topics_with_their_partitions(mock_settings: Settings) -> None:
    """Not the four partitions that the mock gives a topic at its first use."""
    known = AdminClient(client_config(mock_settings)).list_topics(timeout=10).topics
    assert {name: len(topic.partitions) for name, topic in known.items()} == {
        topic.name: topic.partitions for topic in TOPICS.all()
    }


def test_events_go_through_with_idempotence_keys_and_groups(mock_settings: Settings) -> None:
    """Our own producer's configuration, a group, its commits: each event once, where expected."""
    topic = TOPICS.interactions.name
    producer = Producer(producer_config(mock_settings))
    keys = [f"user-{number}" for number in range(2_000)]
    for key in keys:
        producer.produce(topic, b"{}", key=key)
    assert producer.flush(30) == 0

    seen = asyncio.run(_consume(mock_settings, topic, len(keys)))
    assert seen == {(key, partition_of(key, TOPICS.partitions)): 1 for key in keys}

    consumer = Consumer(client_config(mock_settings) | {"group.id": "readers", "log_level": 0})
    partitions = [TopicPartition(topic, number) for number in range(TOPICS.partitions)]
    committed = consumer.committed(partitions, timeout=20)
    assert sum(place.offset for place in committed) == len(keys)
    consumer.close()


async def _consume(settings: Settings, topic: str, count: int) -> Counter[tuple[str, int]]:
    """Read as Faust does, through aiokafka, in a group."""
    consumer = aiokafka.AIOKafkaConsumer(
        topic,
        bootstrap_servers=settings.kafka_bootstrap,
        group_id="readers",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    seen: Counter[tuple[str, int]] = Counter()
    while seen.total() < count:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            seen.update((record.key.decode(), record.partition) for record in records)
    await consumer.commit()
    await consumer.stop()
    return seen


def test_it_says_what_it_does_not_keep(tmp_path: Path) -> None:
    """Nobody takes it for Kafka by mistake."""
    with structlog.testing.capture_logs() as logs, MockKafka(tmp_path, ()):
        pass
    (warning,) = (line for line in logs if line["log_level"] == "warning")
    assert warning["limits"] == LIMITS


def test_it_is_gone_once_stopped(tmp_path: Path) -> None:
    """Its process ends, and cleanly."""
    with MockKafka(tmp_path, ()) as mock:
        (child,) = mock.children
        assert child.alive
    assert child.exit_code == 0
