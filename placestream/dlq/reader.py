"""Reads dead-letter topics, one letter at a time, without moving anyone's offsets."""

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from contracts.kafka import QUIET, Config, consumer_config, silence
from contracts.settings import Settings
from placestream.dlq.letters import Letter, LetterId, TopicName, read_letter

TIMEOUT_S = 10.0
#: A broker that restarts comes back within this time.
SILENCE_S = 30.0
_POLL_S = 1.0
#: What a partition answers whose leader is being chosen: a topic just made, a broker just back.
_NEW_LEADER = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE}
_NEW_LEADER_S = 0.1


class NoSuchLetter(RuntimeError):
    """There is no letter with this id; the message says which there are."""


class Unreadable(RuntimeError):
    """Kafka does not answer, or has no such topic."""


class DeadLetterReader:
    """The letters that lay in some dead-letter topics when this was opened.

    It joins no group and commits nothing. What comes while it reads is left for the next time, so
    that a letter which is replayed, and comes back, does not go round in circles.
    """

    def __init__(self, settings: Settings, topics: Iterable[TopicName]) -> None:
        """Take a look at where the topics begin and end.

        Raises:
            Unreadable: Kafka does not answer, or has no such topic.
        """
        self._kafka = settings.kafka_bootstrap
        self._names = {t: settings.topics.dlq(t.of(settings.topics)).name for t in TopicName}
        with self._named_errors():
            self._consumer = Consumer(_config(settings))
        try:
            self._spans = {
                (topic, partition): span
                for topic in sorted(set(topics), key=list(TopicName).index)
                for partition, span in self._spans_of(self._names[topic]).items()
            }
        except BaseException:
            self._consumer.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close()

    def __iter__(self) -> Iterator[Letter]:
        """Yield every letter, topic by topic, in the order in which they were put aside.

        Raises:
            Unreadable: Kafka falls silent.
        """
        for (topic, partition), (start, end) in self._spans.items():
            yield from self._read(topic, partition, start, end)

    def get(self, letter_id: LetterId) -> Letter:
        """Read one letter.

        Raises:
            NoSuchLetter: there is none.
            Unreadable: Kafka falls silent.
        """
        start, end = self._spans.get((letter_id.topic, letter_id.partition), (0, 0))
        if start <= letter_id.offset < end:
            with closing(
                self._read(letter_id.topic, letter_id.partition, letter_id.offset, end)
            ) as found:
                letter = next(found, None)
            if letter is not None and letter.id == letter_id:
                return letter
        raise NoSuchLetter(
            f"there is no letter {letter_id}: {self._names[letter_id.topic]} "
            + self._held(letter_id, start, end)
        )

    def _held(self, letter_id: LetterId, start: int, end: int) -> str:
        partitions = [p for topic, p in self._spans if topic == letter_id.topic]
        if letter_id.partition not in partitions:
            return f"has no partition {letter_id.partition}"
        return f"holds offsets {start} to {end - 1}" if start < end else "is empty"

    def _read(self, topic: TopicName, partition: int, start: int, end: int) -> Generator[Letter]:
        """Yield the letters of one partition in [start, end)."""
        if start >= end:
            return
        name, silent_s = self._names[topic], 0.0
        self._consumer.assign([TopicPartition(name, partition, start)])
        try:
            while start < end:
                message = self._consumer.poll(_POLL_S)
                silent_s = silent_s + _POLL_S if message is None else 0.0
                if silent_s >= SILENCE_S:
                    raise Unreadable(
                        f"Kafka at {self._kafka} sends nothing more of {name}"
                    ) from silence()
                if message is None:
                    continue
                if (offset := self._offset(message)) is None or offset >= end:
                    return
                letter_id = LetterId(topic, partition, offset)
                stamp_ms = message.timestamp()[1]
                yield read_letter(letter_id, name, message.key(), message.value(), stamp_ms)
                start = offset + 1
        finally:
            self._consumer.unassign()

    def _offset(self, message: Message) -> int | None:
        """Offset of a message; `None` at the end of the partition."""
        error = message.error()
        if error is None:
            return message.offset()
        if error.code() == KafkaError._PARTITION_EOF:
            return None
        raise Unreadable(f"Kafka at {self._kafka}: {error.str()}") from KafkaException(error)

    def _spans_of(self, name: str) -> dict[int, tuple[int, int]]:
        """First offset and end of each partition."""
        with self._named_errors():
            found = self._consumer.list_topics(name, timeout=TIMEOUT_S).topics[name]
            if found.error is not None or not found.partitions:
                raise Unreadable(
                    f"Kafka at {self._kafka} has no topic {name}: `stream` creates it at its "
                    "start; is PLACESTREAM_TOPIC_PREFIX right?"
                )
            return {p: self._span(name, p) for p in sorted(found.partitions)}

    def _span(self, name: str, partition: int) -> tuple[int, int]:
        at, latest_s = TopicPartition(name, partition), time.monotonic() + TIMEOUT_S
        while True:
            try:
                ends = self._consumer.get_watermark_offsets(at, timeout=TIMEOUT_S)
                break
            except KafkaException as error:
                if error.args[0].code() not in _NEW_LEADER or time.monotonic() > latest_s:
                    raise
                time.sleep(_NEW_LEADER_S)
        if ends is None:
            raise Unreadable(
                f"Kafka at {self._kafka} does not say where {name} ends"
            ) from silence()
        return ends[0], ends[1]

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise Unreadable(f"Kafka at {self._kafka}: {error.args[0].str()}") from error


def _config(settings: Settings) -> Config:
    return (
        consumer_config(settings, f"{settings.topic_prefix}-dlq")
        | QUIET
        | {
            "enable.partition.eof": True,
            # A fetch that still waits for news holds up the next assignment (0.5 s by default).
            "fetch.wait.max.ms": 10,
            "queued.max.messages.kbytes": 16_384,  # what is read ahead; the default is 64 MB
        }
    )
