"""What the events that carry one audit id say together."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import confluent_kafka
import msgspec
from confluent_kafka import TopicPartition
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from contracts.events import BadEvent, RetrainRequested, RolloutStep, decode
from contracts.kafka import QUIET, consumer_config
from contracts.settings import Settings
from contracts.topics import Topic

E = TypeVar("E", RetrainRequested, RolloutStep)

_KAFKA_S = 10.0
#: After these nothing follows.
_ENDS = ("rejected", "promoted", "rolled_back", "failed")
_REQUEST = msgspec.json.Decoder(RetrainRequested)
_STEP = msgspec.json.Decoder(RolloutStep)


@dataclass(frozen=True)
class Story:
    """All events of one audit id.

    Attributes:
        audit_id: whole.
        request: what asked for it; None if Kafka has let go of that (28 days).
        steps: what came of it, in order, each told once.
    """

    audit_id: str
    request: RetrainRequested | None
    steps: list[RolloutStep]


def read(settings: Settings, audit_id: str) -> Story:
    """Collect the events of an audit id.

    Args:
        settings: of the installation.
        audit_id: or its first characters, as long as they fit only one.

    Raises:
        ValueError: no event carries it, or several ids begin so.
        ConnectionError: Kafka does not answer.
    """
    try:
        requests = list(_events(settings, settings.topics.retrain, _REQUEST))
        steps = list(_events(settings, settings.topics.rollout, _STEP))
    except confluent_kafka.KafkaException as error:
        raise _away(settings, error) from error
    ids = [request.audit_id for request in requests] + [step.audit_id for step in steps]
    newest_last = dict.fromkeys(ids)
    fitting = [known for known in newest_last if known.startswith(audit_id)]
    if audit_id in fitting:
        fitting = [audit_id]
    if not fitting:
        newest = ", ".join(list(newest_last)[-3:]) or "none"
        raise ValueError(f"no event carries the audit id {audit_id!r}; the newest: {newest}")
    if len(fitting) > 1:
        raise ValueError(f"{audit_id!r} fits {len(fitting)} ids: {', '.join(fitting[:5])}")
    (whole,) = fitting
    asked = [event for event in requests if event.audit_id == whole]
    # A step whose acknowledgement was lost is told twice.
    told = {step.step: step for step in steps[::-1] if step.audit_id == whole}
    return Story(whole, asked[0] if asked else None, sorted(told.values(), key=lambda s: s.at))


def requests(settings: Settings) -> list[RetrainRequested]:
    """All requests to retrain that Kafka still holds, in order.

    Raises:
        ConnectionError: Kafka does not answer.
    """
    try:
        asked = list(_events(settings, settings.topics.retrain, _REQUEST))
    except confluent_kafka.KafkaException as error:
        raise _away(settings, error) from error
    return sorted(asked, key=lambda request: request.requested_at)


def _away(settings: Settings, error: confluent_kafka.KafkaException) -> ConnectionError:
    return ConnectionError(f"Kafka at {settings.kafka_bootstrap}: {error.args[0].str()}")


def _events(settings: Settings, topic: Topic, decoder: msgspec.json.Decoder[E]) -> Iterator[E]:
    """All events of a topic that can be read."""
    consumer = confluent_kafka.Consumer(
        consumer_config(settings, f"{settings.topic_prefix}.audit") | QUIET
    )
    try:
        for partition in range(topic.partitions):
            at = TopicPartition(topic.name, partition, 0)
            first, end = consumer.get_watermark_offsets(at, timeout=_KAFKA_S)
            consumer.assign([TopicPartition(topic.name, partition, first)])
            while first < end:
                message = consumer.poll(_KAFKA_S)
                if message is None or message.error() is not None:
                    break
                first = (message.offset() or 0) + 1
                try:
                    yield decode(decoder, message.value())
                except BadEvent:
                    continue  # an event of a later version of this code
    finally:
        consumer.close()


def as_json(story: Story) -> str:
    """Every value of every event."""
    return msgspec.json.encode(story).decode()


def as_text(story: Story) -> RenderableType:
    """A line for each thing that happened."""
    lines = Table("when (UTC)", "what", "pair", "why")
    if story.request is not None:
        asked = story.request
        evidence = ", ".join(f"{name} {value}" for name, value in asked.evidence.items())
        lines.add_row(f"{asked.requested_at:%F %T}", f"asked for: {asked.reason}", "", evidence)
    for step in story.steps:
        pair = ", ".join(str(version) for version in sorted(set(step.versions.values())))
        lines.add_row(f"{step.at:%F %T}", step.step, pair, step.note)
    return Group(Text(f"audit id {story.audit_id}"), lines, Text(_end(story)))


def _end(story: Story) -> str:
    if any(step.step in _ENDS for step in story.steps):
        return f"ended: {story.steps[-1].step}"
    if any(step.step in ("shadow", "canary") for step in story.steps):
        return "under way: `placestream experiments list` shows how it stands"
    return "under way: the trainer is at work on it, or waits for its turn"
