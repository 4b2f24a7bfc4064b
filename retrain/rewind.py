"""Where the monitor begins to read after a restart: before what it has read, within bounds.

Its windows and its join live in memory, and Kafka still has what they were made of. So reading
begins before the group's committed offsets; what lies before them fills the windows again, and is
counted no more. Until all partitions are where reading had come, those that are there wait: no
topic runs ahead of the other, and nothing is judged by half a window.

A partition that comes back from a twin is read from where it was left: the rest is in memory.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import confluent_kafka
import structlog
from confluent_kafka import TopicPartition

from contracts.settings import Settings
from models.outcomes import Windows

_log = structlog.get_logger(__name__)

#: After so many polls without a message there is nothing left that was read before.
EMPTY = 5
#: Shorter spans are not worth the looking.
LEAST_S = 1.0
_KAFKA_S = 10.0
#: Topic and number.
Partition = tuple[str, int]
Messages = list[confluent_kafka.Message]


def span_s(settings: Settings) -> float:
    """How far back reading begins: twice the time in which something may come of an answer.

    All that comes of the answers in the first half is there, so that shares of settled answers
    are known at once; of the second half it may still come.
    """
    return 2 * Windows.of(settings).longest_s + settings.outcome_hold_s


class Rewind:
    """Where each partition begins, and which messages were read before.

    Args:
        settings: of the installation; `monitor_rewind_messages` bounds what is read again.
        clock: Unix seconds, as Kafka's time stamps.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._most = settings.monitor_rewind_messages
        self._span_s = span_s(settings)
        self._clock = clock
        #: The first offset of each partition of ours that nobody had read when it was assigned.
        self._fresh: dict[Partition, int] = {}
        #: The next offset of all partitions that this process has ever read.
        self._next: dict[Partition, int] = {}
        self._behind: set[Partition] = set()
        self._waiting: Messages = []
        self._paused = False
        self._empty = 0

    @property
    def under_way(self) -> bool:
        """Whether some partition is still behind where reading had come."""
        return bool(self._behind)

    def assigned(self, consumer: confluent_kafka.Consumer, mine: list[TopicPartition]) -> None:
        """Begin to read partitions that the group gave us: `on_assign` of a consumer."""
        self._fresh, self._behind, self._waiting = {}, set(), []
        self._paused, self._empty = False, 0
        if not mine:
            return
        try:
            starts = consumer.committed(mine, timeout=_KAFKA_S)
            self._fresh = {_key(each): self._first_fresh(each) for each in starts}
            begins = self._begins(consumer)
        except confluent_kafka.KafkaException as error:
            _log.warning("windows_begin_anew", cause=str(error))
            return  # reading begins at the committed offsets
        for each in starts:
            each.offset = begins[_key(each)]
        self._behind = {key for key, begin in begins.items() if 0 <= begin < self._fresh[key]}
        consumer.assign(starts)
        self._paused = self.under_way
        if self._paused:
            consumer.pause([each for each in starts if _key(each) not in self._behind])
        _log.info("reading_again", messages=_count(begins, self._fresh))

    def _first_fresh(self, committed: TopicPartition) -> int:
        """Negative: nobody has read anything, and the consumer begins where it begins."""
        return max(committed.offset, self._next.get(_key(committed), committed.offset))

    def _begins(self, consumer: confluent_kafka.Consumer) -> dict[Partition, int]:
        """As early as `span_s` and the bound on messages allow; both topics at the same time."""
        span = self._span_s
        while self._most and span >= LEAST_S:
            begins = self._since(consumer, self._clock() - span)
            if _count(begins, self._fresh) <= self._most:
                return begins
            span /= 2
        return dict(self._fresh)

    def _since(self, consumer: confluent_kafka.Consumer, since_s: float) -> dict[Partition, int]:
        asked = [TopicPartition(*key, int(since_s * 1_000)) for key in self._fresh]
        begins = dict(self._fresh)
        for each in consumer.offsets_for_times(asked, timeout=_KAFKA_S):
            key = _key(each)
            if each.offset >= 0:  # negative: nothing has come since
                begins[key] = min(max(each.offset, self._next.get(key, 0)), self._fresh[key])
        return begins

    def taken(
        self, consumer: confluent_kafka.Consumer, messages: Sequence[confluent_kafka.Message]
    ) -> tuple[Messages, Messages]:
        """Part messages into those that were read before and those that were not.

        While it is under way the latter are kept back, and partitions that are there pause.
        """
        again: Messages = []
        for message in messages:
            key, offset = _position(message)
            fresh = self._fresh.get(key, 0)
            if offset < fresh:
                again.append(message)
                self._next[key] = offset + 1
            else:
                self._waiting.append(message)
            if offset + 1 >= fresh and key in self._behind:
                self._behind.remove(key)
                consumer.pause([TopicPartition(*key)])
        self._empty = 0 if messages else self._empty + 1
        if self._empty >= EMPTY:
            self._behind.clear()  # marks of transactions have offsets, and never come as messages
        return again, [] if self.under_way else self._released(consumer)

    def _released(self, consumer: confluent_kafka.Consumer) -> Messages:
        if self._paused:
            consumer.resume(consumer.assignment())
            self._paused = False
        waited, self._waiting = self._waiting, []
        for message in waited:
            key, offset = _position(message)
            self._next[key] = offset + 1
        return waited

    def reached(self) -> list[TopicPartition]:
        """Where our partitions have come, to be committed: never before where reading had come."""
        return [
            TopicPartition(*key, max(self._next[key], fresh))
            for key, fresh in self._fresh.items()
            if key in self._next
        ]


def _count(begins: Mapping[Partition, int], fresh: Mapping[Partition, int]) -> int:
    return sum(end - begins[key] for key, end in fresh.items() if begins[key] >= 0)


def _key(each: TopicPartition) -> Partition:
    return each.topic, each.partition


def _position(message: confluent_kafka.Message) -> tuple[Partition, int]:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise AssertionError("a consumed message has a position")
    return (topic, partition), offset
