"""The worker's own feature code behind a bare confluent-kafka consumer: no Faust at all."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition
from faust.types import TP

from contracts.kafka import consumer_config
from contracts.settings import Settings
from online_features.redis_client import connect
from streams.app import build_parts
from streams.transport import Poll


@dataclass(frozen=True, slots=True)
class Record:
    """A message in the shape of aiokafka's."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Untold:
    """Stands where sinks expect Faust's consumer: nothing to commit, nothing to seek."""

    generation = 0

    def mark_durable(self, tp: TP, offset: int) -> None:
        """The store holds the offsets."""

    def durable(self, tp: TP) -> int:
        """Nothing is ever fetched again here."""
        return 0

    async def rewind(self, offsets: Mapping[TP, int]) -> None:
        """Nobody else owns a shard here."""
        raise AssertionError(f"rewound to {offsets}")


def _record(message: Message) -> Record:
    m: Any = message
    return Record(m.topic(), m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value())


async def main() -> None:
    """Fold interactions and their re-keyed records until killed."""
    settings = Settings()
    redis = connect(settings.redis_url.get_secret_value())
    parts = build_parts(settings, redis, time.time)
    topics = (settings.topics.interactions.name, settings.topics.by_place.name)
    tps = [TP(topic, p) for topic in topics for p in range(settings.partitions)]
    await parts.shards.assigned(tps)
    consumer = Consumer(consumer_config(settings, f"{settings.topic_prefix}-bare"))
    consumer.assign([TopicPartition(tp.topic, tp.partition, 0) for tp in tps])
    untold: Any = Untold()
    while True:
        messages = consumer.consume(settings.batch_max_events, timeout=0.02)
        polls: dict[str, dict[int, list[Any]]] = {}
        for message in messages:
            record = _record(message)
            polls.setdefault(record.topic, {}).setdefault(record.partition, []).append(record)
        for topic, records in polls.items():
            await parts.sinks[topic].process(Poll(topic, records, 0), untold)
        if parts.archive.due:
            await parts.archive.flush()


if __name__ == "__main__":
    asyncio.run(main())
