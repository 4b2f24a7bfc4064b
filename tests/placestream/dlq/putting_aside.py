"""Dead letters to try the `dlq` commands on, and a way to run those."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from typer.testing import CliRunner, Result

from contracts.events import DeadLetter, encode
from contracts.kafka import consumer_config, producer_config
from contracts.settings import Settings
from contracts.topics import LARGEST_LETTER_BYTES, Topics
from placestream.cli import app
from placestream.dlq.letters import Letter, LetterId, TopicName
from placestream.stack.environment import environment

#: When the letters of the tests were put aside: one a minute from here on.
START = datetime(2025, 1, 31, 12, 0, tzinfo=UTC)
VISIT: dict[str, Any] = {
    "user_id": 7,
    "place_id": 3,
    "event_type": "visit",
    "timestamp": "2025-01-31T11:00:00Z",
}


def visit(**fields: Any) -> bytes:
    """A good interaction, with some fields changed."""
    return msgspec.json.encode(VISIT | fields)


def dead(name: str, offset: int, value: bytes | None, **fields: Any) -> DeadLetter:
    """A letter of the event at an offset of partition 1 of a topic, with some fields changed."""
    letter = DeadLetter(
        topic=name,
        partition=1,
        offset=offset,
        field="user_id",
        reason="sent to another partition than its own",
        code_version="0.1.0",
        received_at=START + timedelta(minutes=offset),
        key=b"7",
        value=value,
    )
    return msgspec.structs.replace(letter, **fields)


def letter(
    value: bytes | None, of: TopicName = TopicName.INTERACTIONS, offset: int = 0, **fields: Any
) -> Letter:
    """A letter as a reader yields it, of the default installation; its event has its offset."""
    name = of.of(Topics()).name
    return Letter(LetterId(of, 0, offset), dead(name, offset, value, **fields))


def put_aside(settings: Settings, topic: TopicName, letters: Sequence[DeadLetter | bytes]) -> None:
    """Write letters (or anything else) to the dead-letter topic, in this order."""
    name = settings.topics.dlq(topic.of(settings.topics)).name
    producer = Producer(producer_config(settings) | {"message.max.bytes": LARGEST_LETTER_BYTES})
    for entry in letters:
        producer.produce(name, entry if isinstance(entry, bytes) else encode(entry))
    assert producer.flush(30) == 0


def run(settings: Settings, *arguments: object, answer: str = "") -> Result:
    """Run `placestream dlq`; the terminal is wide, `answer` is typed into it."""
    root = logging.getLogger()
    before = (root.handlers, root.level)
    env = environment(settings) | {"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    try:
        return CliRunner(env=env).invoke(app, ["dlq", *map(str, arguments)], input=answer)
    finally:
        root.handlers, root.level = before
        structlog.reset_defaults()


def messages_of(settings: Settings, topic: str) -> list[Message]:
    """All messages of a topic with their headers, partition by partition."""
    consumer = Consumer(consumer_config(settings, "test-reader") | {"fetch.wait.max.ms": 10})
    try:
        found: list[Message] = []
        for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            start = TopicPartition(topic, partition, 0)
            ends = consumer.get_watermark_offsets(start, timeout=10)
            assert ends is not None
            consumer.assign([start])
            left = ends[1]
            while left:
                message = consumer.poll(1.0)
                if message is not None:
                    assert message.error() is None
                    found.append(message)
                    left -= 1
        return found
    finally:
        consumer.close()
