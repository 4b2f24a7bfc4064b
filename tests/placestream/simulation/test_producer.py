"""Sending a source to a real Kafka."""

import io
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import stamina
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from rich.console import Console

from contracts.events import encode
from contracts.ids import partition_of
from contracts.kafka import client_config, consumer_config
from contracts.settings import Settings
from contracts.topics import Topic, Topics, create_topics
from placestream.simulation import City, Message, Plan, messages
from placestream.simulation.producer import Backpressure, DeliveryFailed, Sender

ENDING_S = 1_718_000_000
Record = tuple[int, bytes, bytes]  # partition, key, value


def quiet() -> Console:
    """A console that nobody reads."""
    return Console(file=io.StringIO())


@stamina.retry(on=KafkaException, attempts=10)  # a new partition may have no leader yet
def read_all(settings: Settings, topic: Topic) -> list[Record]:
    """Every record of a topic, by partition and offset."""
    consumer = Consumer({**consumer_config(settings, "reader")})
    records: list[Record] = []
    try:
        for partition in range(topic.partitions):
            where = TopicPartition(topic.name, partition)
            _, end = consumer.get_watermark_offsets(where, timeout=10)
            consumer.assign([TopicPartition(topic.name, partition, 0)])
            for _ in range(end):
                record = consumer.poll(10)
                assert record is not None
                assert record.error() is None
                assert record.headers() is None
                records.append((partition, record.key() or b"", record.value() or b""))
    finally:
        consumer.close()
    return records


@pytest.fixture(scope="module")
def hamlet() -> City:
    """Some two thousand messages."""
    return City(Plan(users=60, places=50, days=5), ending_s=ENDING_S, seed=2)


def test_everything_arrives_by_key_and_in_order(
    settings: Settings, topics: Topics, hamlet: City
) -> None:
    """Each key's messages arrive whole, in order, in the partition that Java would choose."""
    sender = Sender(settings, console=quiet())
    sent = sender.send(messages(hamlet), total=hamlet.size, rate=None, title="history")
    assert sent.total == hamlet.size
    assert sent.events_s > 0
    by_stream = {
        "interactions": topics.interactions,
        "place_updates": topics.place_updates,
        "context": topics.context,
    }
    for stream, topic in by_stream.items():
        records = read_all(settings, topic)
        wanted = [m for m in messages(hamlet) if m.stream == stream]
        assert Counter(v for _, _, v in records) == Counter(encode(m.event) for m in wanted)
        for partition, key, _ in records:
            assert partition == partition_of(key.decode(), topic.partitions)
        for name in {m.key for m in wanted}:
            mine = [value for _, key, value in records if key == name.encode()]
            assert mine == [encode(m.event) for m in wanted if m.key == name]


def test_a_full_queue_is_waited_for(settings: Settings, topics: Topics, hamlet: City) -> None:
    """With room for ten messages only, none is lost."""

    def narrow(config: dict[str, Any]) -> Producer:
        return Producer({**config, "queue.buffering.max.messages": 10})

    sender = Sender(settings, console=quiet(), make_producer=narrow)
    sender.send(messages(hamlet), total=hamlet.size, rate=None, title="history")
    arrived = sum(len(read_all(settings, topic)) for topic in topics.inputs())
    assert arrived == hamlet.size


def test_a_message_that_the_broker_refuses_is_an_error_with_its_topic(
    settings: Settings, hamlet: City
) -> None:
    """The broker's refusal ends the sending."""
    interactions, places, context = settings.topics.inputs()
    small = replace(context, config={"max.message.bytes": "10"})
    admin = AdminClient({**client_config(settings)})
    create_topics(admin, [interactions, places, small], replication=1)
    with pytest.raises(DeliveryFailed, match=context.name) as caught:
        Sender(settings, console=quiet()).send(
            messages(hamlet), total=hamlet.size, rate=None, title="history"
        )
    assert caught.value.topic == context.name


def test_a_message_too_large_to_hand_over_is_one_too(settings: Settings, topics: Topics) -> None:
    """librdkafka's own limit is reported alike."""
    huge = Message("context", "town", {"timestamp": "x" * 2_000_000})
    with pytest.raises(DeliveryFailed, match=topics.context.name):
        Sender(settings, console=quiet()).send([huge], total=1, rate=None, title="one")


def test_a_missing_topic_is_named_at_once(settings: Settings, hamlet: City) -> None:
    """Without topics nothing is sent."""
    with pytest.raises(DeliveryFailed, match="no such topic"):
        Sender(settings, console=quiet(), probe_s=1.0).send(
            messages(hamlet), total=hamlet.size, rate=None, title="history"
        )


class Clock:
    """Seconds that pass only while someone sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_a_rate_is_kept_on_average(settings: Settings, topics: Topics, hamlet: City) -> None:
    """At 200 messages a second the last goes out when the one before it is 5 ms old."""
    clock = Clock()
    sender = Sender(settings, clock=clock, sleep=clock.sleep, console=quiet())
    sent = sender.send(messages(hamlet), total=hamlet.size, rate=200.0, title="history")
    # Turns of 10 messages: the last turn begins after all before it.
    assert sent.seconds == pytest.approx((hamlet.size - 1) // 10 * 10 / 200.0)


def test_backpressure_holds_the_producer(settings: Settings, topics: Topics, hamlet: City) -> None:
    """While readers are behind nothing more is sent, and it goes on once they caught up."""
    clock = Clock()
    looks: list[float] = []

    def unprocessed() -> int:
        looks.append(clock.now_s)
        return 11 if clock.now_s < 2.0 else 3

    sender = Sender(
        settings,
        clock=clock,
        sleep=clock.sleep,
        backpressure=Backpressure(unprocessed, limit=10),
        console=quiet(),
    )
    sent = sender.send(messages(hamlet), total=hamlet.size, rate=None, title="history")
    assert sent.seconds == pytest.approx(2.0, abs=0.11)
    assert len(looks) > 20
    assert sent.total == hamlet.size


def test_a_rate_of_nothing_is_refused(settings: Settings) -> None:
    """Zero would wait for ever."""
    with pytest.raises(ValueError, match="rate"):
        Sender(settings, console=quiet()).send([], total=0, rate=0.0, title="none")


def test_a_missing_broker_is_waited_for_then_named() -> None:
    """Nobody listens there: the wait ends with Kafka's own error."""
    settings = Settings(_env_file=None, kafka_bootstrap="127.0.0.1:9")
    with pytest.raises(KafkaException):
        Sender(settings, console=quiet(), probe_s=0.2).wait_for_kafka(wait_s=0.5)
