"""Messages that cannot be used go to a topic of their own, whole, with the reason."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version

from aiokafka import ConsumerRecord

from contracts.events import BadEvent, DeadLetter, encode
from contracts.settings import Settings
from contracts.topics import Topic
from streams.emitter import Emitter
from streams.metrics import EVENTS

CODE_VERSION = version("placestream")


class DeadLetters:
    """Sends dead letters of the topics that the stream reads."""

    def __init__(self, settings: Settings, emitter: Emitter, clock: Callable[[], float]) -> None:
        topics = settings.topics
        self._dlq: dict[str, Topic] = {t.name: topics.dlq(t) for t in topics.read()}
        self._emitter = emitter
        self._clock = clock

    def send(self, record: ConsumerRecord, cause: BadEvent) -> None:
        """Queue a dead letter; the caller waits for the emitter before it commits."""
        letter = DeadLetter(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            field=cause.field,
            reason=cause.reason,
            code_version=CODE_VERSION,
            received_at=datetime.fromtimestamp(self._clock(), UTC),
            key=record.key,
            value=record.value,
            headers=[(name, value) for name, value in record.headers],
        )
        self._emitter.send(self._dlq[record.topic].name, record.key, encode(letter))
        EVENTS.labels(record.topic, "dead_letter").inc()
