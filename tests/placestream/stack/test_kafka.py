"""A real Kafka broker, killed and brought back."""

from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from contracts.topics import Topic, create_topics
from placestream.stack.child import StartError
from placestream.stack.kafka import KafkaBroker

EVENTS = Topic("events", 2)
COUNT = 500


def client(broker: KafkaBroker, **more: str | bool) -> dict[str, str | int | float | bool]:
    """Return a quiet configuration (a killed broker makes clients complain)."""
    return {"bootstrap.servers": broker.bootstrap, "log_level": 0, **more}


def send(broker: KafkaBroker, values: range) -> None:
    """Write the numbers and wait until the broker has them."""
    producer = Producer(client(broker, **{"enable.idempotence": True}))
    for value in values:
        producer.produce(EVENTS.name, str(value), key=str(value))
    assert producer.flush(30) == 0


def read(broker: KafkaBroker, count: int) -> set[int]:
    """Read that many messages, from wherever the group stands, and commit."""
    group = {"group.id": "g", "auto.offset.reset": "earliest"}
    consumer = Consumer(client(broker, **group))
    consumer.subscribe([EVENTS.name])
    values: set[int] = set()
    while len(values) < count:
        for message in consumer.consume(count, timeout=1):
            assert message.error() is None
            values.add(int(message.value() or b""))
        assert len(values) <= count
    consumer.commit(asynchronous=False)
    consumer.close()
    return values


@pytest.mark.slow
def test_data_and_offsets_survive_a_kill(tmp_path: Path) -> None:
    """What was acknowledged is there after SIGKILL, on the same port; groups go on where they were.

    A clean restart after it changes nothing either.
    """
    with KafkaBroker(tmp_path, short_lived=True) as broker:
        create_topics(AdminClient(client(broker)), [EVENTS], replication=1)
        send(broker, range(COUNT))
        assert read(broker, COUNT) == set(range(COUNT))
        send(broker, range(COUNT, 2 * COUNT))
        before = broker.bootstrap
        broker.kill()
        broker.start()
        assert broker.bootstrap == before
        assert read(broker, COUNT) == set(range(COUNT, 2 * COUNT))
        send(broker, range(2 * COUNT, 3 * COUNT))
        broker.restart()
        assert read(broker, COUNT) == set(range(2 * COUNT, 3 * COUNT))
    assert not any(child.alive for child in broker.children)
    with pytest.raises(KafkaException):
        AdminClient(client(broker)).list_topics(timeout=0.5)


def test_topics_are_not_made_by_accident(kafka: KafkaBroker) -> None:
    """A typo in a topic's name is an error, not a new topic with one partition."""
    producer = Producer(client(kafka, **{"topic.metadata.propagation.max.ms": "1000"}))
    failures: list[KafkaError | None] = []
    producer.produce("typo", b"", on_delivery=lambda error, _: failures.append(error))
    producer.flush(30)
    assert [error and error.name() for error in failures] == ["UNKNOWN_TOPIC_OR_PART"]
    assert "typo" not in AdminClient(client(kafka)).list_topics(timeout=10).topics


def test_groups_work_on_one_node(kafka: KafkaBroker) -> None:
    """The offsets topic needs no second replica."""
    consumer = Consumer(client(kafka, **{"group.id": "g"}))
    topic = Topic("commits", 1)
    create_topics(AdminClient(client(kafka)), [topic], replication=1)
    consumer.commit(offsets=[TopicPartition(topic.name, 0, 0)], asynchronous=False)
    (committed,) = consumer.committed([TopicPartition(topic.name, 0)], timeout=20)
    assert committed.offset == 0
    consumer.close()


def test_a_start_that_fails_shows_why(kafka: KafkaBroker, tmp_path: Path) -> None:
    """Here the port is taken: the error holds the broker's own words."""
    port = int(kafka.bootstrap.rpartition(":")[2])
    broker = KafkaBroker(tmp_path, port=port, short_lived=True)
    with pytest.raises(StartError, match="Address already in use"):
        broker.start()
    assert not any(child.alive for child in broker.children)
