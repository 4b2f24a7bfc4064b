"""Reads what a canary is judged by, from Kafka: answers and outcomes since it began.

The evidence lives in memory and is made of Kafka alone. A controller that starts anew reads again
from the beginning of the canary and comes to the same sums; there is no state to keep or to lose.
"""

import confluent_kafka
import msgspec
import structlog
from confluent_kafka import TopicPartition

from contracts.events import BadEvent, Impression, checked_interaction, decode, read_interaction
from contracts.kafka import consumer_config
from contracts.settings import Settings
from models.outcomes import Windows
from retrain.evidence import Evidence
from retrain.outcome_join import Outcome, OutcomeJoin

_log = structlog.get_logger(__name__)

BATCH = 2_000
POLL_S = 0.2
#: After so many polls without a message there is none left.
EMPTY = 5
_KAFKA_S = 10.0
#: Answers that wait for their outcomes at once, some 2 KB each.
MOST_WAITING = 500_000
#: Topic and number.
Partition = tuple[str, int]


class CanaryFeed:
    """Fills the evidence of one canary.

    Args:
        settings: of the installation.
        evidence: to be filled.
        since_s: when the canary began, Unix seconds.
    """

    def __init__(self, settings: Settings, evidence: Evidence, since_s: float) -> None:
        self._evidence = evidence
        self._impressions = settings.topics.impressions.name
        self._join = OutcomeJoin(Windows.of(settings), MOST_WAITING, settings.outcome_hold_s)
        self._decoder = msgspec.json.Decoder(Impression)
        # It commits nothing and shares nothing: the group is a name that Kafka wants.
        self._consumer = confluent_kafka.Consumer(
            consumer_config(settings, f"{settings.topic_prefix}.retrain-canary")
            | {"enable.auto.commit": False}
        )
        topics = (settings.topics.impressions, settings.topics.interactions)
        asked = [
            TopicPartition(topic.name, partition, int(since_s * 1_000))
            for topic in topics
            for partition in range(topic.partitions)
        ]
        starts = self._consumer.offsets_for_times(asked, timeout=_KAFKA_S)
        #: The next offset of each partition.
        self._at: dict[Partition, int] = {}
        for start in starts:
            if start.offset < 0:  # nothing has come since
                start.offset = self._end_of(start)
            self._at[start.topic, start.partition] = start.offset
        self._consumer.assign(starts)

    def read(self, most: int = 50_000) -> bool:
        """Take in what had come when this was called; whether that was all.

        What comes meanwhile is for the next call: under a steady load there would be no end.

        Args:
            most: messages that are taken at most.

        Raises:
            confluent_kafka.KafkaException: Kafka is away.
        """
        ends = {each: self._end_of(TopicPartition(*each)) for each in self._at}
        left, empty = most, 0
        while left > 0 and any(self._at[each] < end for each, end in ends.items()):
            messages = self._consumer.consume(min(BATCH, left), POLL_S)
            empty = 0 if messages else empty + 1
            if empty == EMPTY:
                break  # marks of transactions have offsets, too, and never come as messages
            self._take(messages)
            left -= len(messages)
            self._advance(drained=False)
        if left <= 0:
            return False
        self._advance(drained=True)
        return True

    def _end_of(self, partition: TopicPartition) -> int:
        _, end = self._consumer.get_watermark_offsets(partition, timeout=_KAFKA_S)
        return int(end)

    def _advance(self, *, drained: bool) -> None:
        joined = self._join.advance(drained=drained)
        self._evidence.came(joined.clicks_over)

    def _take(self, messages: list[confluent_kafka.Message]) -> None:
        answers, outcomes = [], []
        for message in messages:
            error = message.error()
            if error is not None:
                _log.warning("canary_not_read", error=error.str())
                continue
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if topic is not None and partition is not None and offset is not None:
                self._at[topic, partition] = offset + 1
            try:
                if message.topic() == self._impressions:
                    answers.append(decode(self._decoder, message.value()))
                elif (outcome := _outcome(message)) is not None:
                    outcomes.append(outcome)
            except BadEvent:
                continue  # the stream puts it into the dead letters
        self._join.shown(self._evidence.shown(answers))
        self._join.happened(outcomes)

    def close(self) -> None:
        """Part from Kafka."""
        self._consumer.close()


def _outcome(message: confluent_kafka.Message) -> Outcome | None:
    """The click, visit or rating that a message tells of; a view is none.

    Raises:
        BadEvent: it cannot be read.
    """
    event = read_interaction(message.value())
    _, received_ms = message.timestamp()
    user_id, place_id, time_s = checked_interaction(event, received_ms / 1_000)
    if event.event_type == "view":
        return None
    return Outcome(
        time_s=time_s,
        user_id=user_id,
        place_id=place_id,
        kind=event.event_type,
        rating=event.rating,
        dwell_s=event.dwell_s,
        request_id=event.request_id,
    )
