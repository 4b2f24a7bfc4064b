"""Answers as they were logged: which may be compared, and under what names their values stand."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import msgspec
import numpy as np
import stamina
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from numpy.typing import NDArray

from contracts.events import BadEvent, Impression, decode
from contracts.kafka import QUIET, consumer_config, silence
from contracts.settings import Settings
from contracts.topics import Topic
from models.served_columns import served_columns
from online_features.definitions import FEATURE_SET
from online_features.erased import Erased
from online_features.request import RANKING_COLUMNS
from placestream.rebuild.kafka import passes

TIMEOUT_S = 10.0
SILENCE_S = 30.0
_DECODER = msgspec.json.Decoder(Impression)


class Unreadable(RuntimeError):
    """Kafka does not answer, or lacks a topic."""


@dataclass(frozen=True)
class Logged:
    """One answer.

    Attributes:
        time_s: the moment that it was made for, Unix seconds.
        request_id, user_id: of the request.
        lat, lng: of the request, degrees.
        place_ids: n of them, as answered.
        columns: names of the f logged features.
        values: float64[n, f].
        current: whether it was made with the definitions that this code has.
    """

    time_s: float
    request_id: str
    user_id: str
    lat: float
    lng: float
    place_ids: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    current: bool


class AnswerLog:
    """Reads answers from Kafka; joins no group and commits nothing.

    Attributes:
        passed_over: how many answers cannot be compared, by cause.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # The stream's own group, only asked how far it has come: nothing is subscribed.
        self._consumer = Consumer(
            consumer_config(settings, f"{settings.topic_prefix}-stream") | QUIET
        )
        self._erased = Erased.read(settings.archive_dir)
        self.passed_over: Counter[str] = Counter()
        self._columns = cache(lambda version: served_columns(settings.models_dir, version))

    def close(self) -> None:
        """Let Kafka go."""
        self._consumer.close()

    def newest(self, since_s: float, until_s: float, limit: int) -> list[Logged]:
        """The newest answers of a span of time, at most so many, in order of time.

        Raises:
            Unreadable: Kafka does not answer.
        """
        found = []
        for message in self._messages(self._settings.topics.impressions, since_s, until_s, limit):
            answer = self._read(message)
            if answer is not None and since_s <= answer.time_s < until_s:
                found.append(answer)
        return sorted(found, key=lambda answer: answer.time_s)[-limit:]

    def archived_until_s(self) -> float:
        """All that Kafka received before this moment is in the archive.

        The stream commits an offset to Kafka when all before it is on disk.

        Raises:
            Unreadable: Kafka does not answer.
        """
        until_s = float("inf")
        for topic in self._settings.topics.inputs():
            try:
                for where, low, high in self._committed(topic):
                    first = max(where.offset, low)
                    if first < high:
                        until_s = min(until_s, self._stamp_s(where.topic, where.partition, first))
            except KafkaException as error:
                raise self._unreadable(error) from error
        return until_s

    @stamina.retry(on=passes, attempts=8, wait_initial=0.1)
    def _committed(self, topic: Topic) -> list[tuple[TopicPartition, int, int]]:
        """The stream's position in each partition, and where that begins and ends."""
        asked = [TopicPartition(topic.name, p) for p in range(topic.partitions)]
        committed = self._consumer.committed(asked, timeout=TIMEOUT_S)
        return [(where, *self._span(topic, where.partition)) for where in committed]

    def _span(self, topic: Topic, partition: int) -> tuple[int, int]:
        """First offset and end of a partition."""
        where = TopicPartition(topic.name, partition)
        span = self._consumer.get_watermark_offsets(where, timeout=TIMEOUT_S)
        if span is None:
            raise Unreadable(f"Kafka does not say where {topic.name} ends") from silence()
        return span

    def _offsets_at(self, topic: Topic, time_s: float, ends: dict[int, int]) -> dict[int, int]:
        """First offset of each partition stamped since a moment; its end if there is none."""
        stamp_ms = max(int(1_000 * time_s), 0)
        asked = [TopicPartition(topic.name, p, stamp_ms) for p in ends]
        found = self._consumer.offsets_for_times(asked, timeout=TIMEOUT_S)
        return {w.partition: w.offset if w.offset >= 0 else ends[w.partition] for w in found}

    def _stamp_s(self, topic: str, partition: int, offset: int) -> float:
        self._consumer.assign([TopicPartition(topic, partition, offset)])
        try:
            message = self._consumer.poll(TIMEOUT_S)
            if message is None or message.error() is not None:
                raise Unreadable(
                    f"Kafka does not give {topic} {partition} at offset {offset}"
                ) from silence()
            return message.timestamp()[1] / 1_000
        finally:
            self._consumer.unassign()

    def _messages(
        self, topic: Topic, since_s: float, until_s: float, limit: int
    ) -> Iterator[Message]:
        """Messages of a topic, stamped in a span of time; of each partition the newest."""
        try:
            ends = {p: self._span(topic, p)[1] for p in range(topic.partitions)}
            firsts, stops = (self._offsets_at(topic, at_s, ends) for at_s in (since_s, until_s))
        except KafkaException as error:
            raise self._unreadable(error) from error
        self.passed_over["not_archived_yet"] += sum(ends.values()) - sum(stops.values())
        starts = {p: max(first, stops[p] - limit) for p, first in firsts.items()}
        left = {p for p, start in starts.items() if start < stops[p]}
        self._consumer.assign([TopicPartition(topic.name, p, starts[p]) for p in left])
        silent_s = 0.0
        try:
            while left:
                messages = self._consumer.consume(500, timeout=1.0)
                silent_s = 0.0 if messages else silent_s + 1.0
                if silent_s >= SILENCE_S:
                    raise Unreadable(f"Kafka sends nothing more of {topic.name}") from silence()
                for message in messages:
                    partition, offset = _position(message)
                    if offset < stops[partition]:
                        yield message
                    if offset >= stops[partition] - 1:
                        left.discard(partition)
        finally:
            self._consumer.unassign()

    def _read(self, message: Message) -> Logged | None:
        try:
            said = decode(_DECODER, message.value())
        except BadEvent:
            self.passed_over["unreadable"] += 1
            return None
        if self._erased.has(said.user_id, said.timestamp.timestamp()):
            self.passed_over["erased"] += 1  # the archive knows nothing of them any more
            return None
        if said.degradation != "none":
            self.passed_over["degraded"] += 1  # their features may be those of the unknown
            return None
        rows = [place.values for place in said.places]
        if not rows or not all(map(len, rows)):
            self.passed_over["without_features"] += 1
            return None
        values = np.array(rows, np.float64)
        current = said.feature_set == FEATURE_SET
        columns = self._names(said, values.shape[1], current)
        if columns is None:
            self.passed_over["columns_unknown"] += 1
            return None
        return Logged(
            time_s=said.timestamp.timestamp(),
            request_id=said.request_id,
            user_id=said.user_id,
            lat=said.location.lat,
            lng=said.location.lng,
            place_ids=tuple(place.place_id for place in said.places),
            columns=columns,
            values=values,
            current=current,
        )

    def _names(self, said: Impression, width: int, current: bool) -> tuple[str, ...] | None:
        """Names of the logged values: of the ranker that was asked, else of this code."""
        columns = self._columns(said.models.get("ranker", -1))
        if columns is None and current:
            columns = RANKING_COLUMNS
        return columns if columns is not None and len(columns) == width else None

    def _unreadable(self, error: KafkaException) -> Unreadable:
        return Unreadable(f"Kafka at {self._settings.kafka_bootstrap}: {error.args[0].str()}")


def _position(message: Message) -> tuple[int, int]:
    error, partition, offset = message.error(), message.partition(), message.offset()
    if error is not None or partition is None or offset is None:
        raise Unreadable(f"Kafka: {error}")
    return partition, offset
