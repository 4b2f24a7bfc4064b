"""What a rebuild asks Kafka: where topics begin and end, and whether workers are at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from contracts.kafka import QUIET, client_config, consumer_config, silence
from contracts.settings import Settings
from contracts.topics import Topic

TIMEOUT_S = 10.0
#: Clocks of the machines that stamp events lie at most so far apart.
CLOCKS_APART_S = 600.0


_PASSING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    }
)


def passes(error: Exception) -> bool:
    """Whether an error passes by itself, like a partition that is choosing its leader."""
    return isinstance(error, KafkaException) and (
        error.args[0].retriable() or error.args[0].code() in _PASSING
    )


class KafkaSilent(RuntimeError):
    """Kafka does not answer, or lacks a topic."""


class KafkaFacts:
    """Asks one broker; joins no group."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer = Consumer(
            consumer_config(settings, f"{settings.topic_prefix}-rebuild") | QUIET
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close()

    def spans(self, topic: Topic) -> list[tuple[int, int]]:
        """First offset and end of each partition.

        Raises:
            KafkaSilent: Kafka does not answer, or has no such topic.
        """
        with self._named():
            return [self._span(topic, p) for p in range(topic.partitions)]

    def offsets_at(self, topic: Topic, time_s: float) -> list[int]:
        """For each partition the first offset stamped at or after a moment; its end if there is
        none.

        Raises:
            KafkaSilent: Kafka does not answer.
        """
        stamp_ms = max(int(1_000 * time_s), 0)
        asked = [TopicPartition(topic.name, p, stamp_ms) for p in range(topic.partitions)]
        with self._named():
            found = self._consumer.offsets_for_times(asked, timeout=TIMEOUT_S)
        ends = self.spans(topic)
        return [t.offset if t.offset >= 0 else ends[t.partition][1] for t in found]

    def workers(self) -> int:
        """How many `stream` workers are at work, of whatever version.

        Raises:
            KafkaSilent: Kafka does not answer.
        """
        group = f"{self._settings.topic_prefix}-stream"
        with self._named():
            admin = AdminClient(client_config(self._settings) | QUIET)
            asked = admin.describe_consumer_groups([group], request_timeout=TIMEOUT_S)
            return len(asked[group].result(TIMEOUT_S).members)

    @stamina.retry(on=passes, attempts=8, wait_initial=0.1)
    def _span(self, topic: Topic, partition: int) -> tuple[int, int]:
        where = TopicPartition(topic.name, partition)
        found = self._consumer.get_watermark_offsets(where, timeout=TIMEOUT_S)
        if found is None:
            raise KafkaSilent(f"Kafka does not say where {topic.name} ends") from silence()
        return found

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            server = self._settings.kafka_bootstrap
            raise KafkaSilent(f"Kafka at {server}: {error.args[0].str()}") from error
