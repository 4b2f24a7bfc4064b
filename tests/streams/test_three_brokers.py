"""A Kafka of three brokers, one of which is killed while events flow."""

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from contracts.kafka import client_config, producer_config
from contracts.settings import Settings
from contracts.topics import create_topics
from placestream.stack.redis import RedisServer
from tests.kafka_cluster import BROKERS, ClusterBroker, bootstrap, kafka_cluster
from tests.streams.stream import (
    assert_equals_recompute,
    offsets,
    read_topic,
    send,
    wait_folded,
    worker,
)
from tests.streams.test_exactness import messy_stream


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClusterBroker]]:
    """Brokers of our own, since one is killed."""
    with kafka_cluster(tmp_path_factory.mktemp("three-brokers")) as three:
        yield three


@pytest.fixture
def replicated(brokers: list[ClusterBroker], redis_server: RedisServer, tmp_path: Path) -> Settings:
    """Every topic on three brokers; small batches, so that many are under way."""
    run = uuid.uuid4().hex[:10]
    settings = Settings(
        _env_file=None,
        kafka_bootstrap=bootstrap(brokers),
        replication=BROKERS,
        topic_prefix=f"three-{run}",
        partitions=6,
        redis_url=SecretStr(redis_server.url),
        key_prefix=f"k{run}",
        archive_dir=tmp_path / "archive",
        archive_flush_s=1,
        batch_max_events=100,
        stream_session_s=3,
        stream_metrics_port=0,
    )
    admin = AdminClient(client_config(settings))
    create_topics(admin, settings.topics.all(), replication=settings.replication)
    return settings


def _leader_of(settings: Settings, partition: int) -> int:
    """Number of the broker that leads a partition of the interactions."""
    name = settings.topics.interactions.name
    known = AdminClient(client_config(settings)).list_topics(name, timeout=30)
    return int(known.topics[name].partitions[partition].leader)


@pytest.mark.slow
def test_a_killed_broker_loses_nothing_and_doubles_nothing(
    replicated: Settings,
    brokers: list[ClusterBroker],
    redis_client: redis.Redis,
    tmp_path: Path,
) -> None:
    """SIGKILL while a producer sends and the worker folds: both go on with the two that are left,
    and the features equal a recompute of all that was sent; the broker comes back and catches up.
    """
    messages = messy_stream(11, time.time())
    third = len(messages) // 3
    topic = replicated.topics.interactions.name
    led_by = _leader_of(replicated, 0)
    (leader,) = [broker for broker in brokers if broker.number == led_by]
    with worker(replicated, tmp_path / "run") as supervisor:
        send(replicated, topic, messages[:third])
        wait_folded(redis_client, replicated, third // 2)
        killed = threading.Event()
        flowing = threading.Thread(
            target=_trickle, args=(replicated, topic, messages[third:], killed)
        )
        flowing.start()
        while offsets(redis_client, replicated, "i") < third + 100:
            time.sleep(0.005)
        leader.kill()
        killed.set()
        flowing.join()
        wait_folded(redis_client, replicated, len(messages), timeout_s=120)
        assert _leader_of(replicated, 0) != led_by
        assert len(read_topic(replicated, topic)) == len(messages)
        assert_equals_recompute(redis_client, replicated)
        supervisor.check()
    leader.start()


def _trickle(
    settings: Settings,
    topic: str,
    messages: list[tuple[str | None, bytes | None]],
    killed: threading.Event,
) -> None:
    """Send over some seconds by one producer; half of it only after the broker has died."""
    producer = Producer(producer_config(settings))
    for number, (key, value) in enumerate(messages):
        if number == len(messages) // 2:
            killed.wait()
        producer.produce(topic, key=key, value=value)
        producer.poll(0.05 if number % 50 == 0 else 0)
    producer.flush(120)
