"""Sends the trainer's events to Kafka, one at a time and acknowledged."""

from typing import Protocol

import confluent_kafka
from msgspec import Struct

from contracts.events import encode
from contracts.kafka import QUIET, producer_config, silence
from contracts.settings import Settings
from contracts.topics import Topic

TIMEOUT_S = 30.0


class NotPublished(RuntimeError):
    """Kafka did not acknowledge an event; it may or may not be in the topic."""


class Outbox(Protocol):
    """Where events are sent."""

    def send(self, topic: Topic, key: str, event: Struct) -> None:
        """Send one event and wait for its acknowledgement.

        Raises:
            NotPublished: it was refused or timed out.
        """


class Publisher:
    """A producer that returns only when the broker has the event.

    These events are few and each is a promise to whoever follows an audit id, so nothing is
    left in a buffer.
    """

    def __init__(self, settings: Settings, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._kafka = settings.kafka_bootstrap
        self._producer = confluent_kafka.Producer(
            producer_config(settings) | QUIET | {"message.timeout.ms": int(timeout_s * 1000)}
        )

    def send(self, topic: Topic, key: str, event: Struct) -> None:
        """As `Outbox.send`."""
        refused: list[confluent_kafka.KafkaError] = []

        def delivered(error: confluent_kafka.KafkaError | None, _: confluent_kafka.Message) -> None:
            if error is not None:
                refused.append(error)

        self._producer.produce(topic.name, encode(event), key=key.encode(), on_delivery=delivered)
        if self._producer.flush(self._timeout_s + 1):
            refused.append(silence().args[0])
        if refused:
            raise NotPublished(
                f"Kafka at {self._kafka} did not take {topic.name}: {refused[0].str()}"
            ) from confluent_kafka.KafkaException(refused[0])

    def close(self) -> None:
        """Part from Kafka."""
        self._producer.close()
