"""Whether a dead letter would be taken today, and as which message it has to be sent."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from contracts.events import (
    BadEvent,
    ContextUpdate,
    DeadLetter,
    Interaction,
    PlaceUpdate,
    checked_id,
    checked_time_s,
    decode,
)
from contracts.ids import partition_of
from contracts.settings import Settings
from online_features.places import read_update
from placestream.dlq.letters import Letter, TopicName
from streams.decode import decode_interactions
from streams.impressions import decode_impressions

#: The place's watermark has passed the event: the shard would take it for a replayed one.
BY_PLACE = (
    "a place's share of an interaction, which its shard has gone past: "
    "once the code is mended, `placestream rebuild --force` counts it"
)
_INTERACTION = msgspec.json.Decoder(Interaction)
_PLACE = msgspec.json.Decoder(PlaceUpdate)
_CONTEXT = msgspec.json.Decoder(ContextUpdate)


@dataclass(frozen=True)
class Ready:
    """A message that the worker will take.

    Attributes:
        key: of whom or what it speaks, so that it lands in their partition.
        value: the event.
        at: the record's time, where not the moment of sending.
    """

    key: bytes
    value: bytes | None
    at: datetime | None = None


class _Record(msgspec.Struct):
    """A message as it would lie in Kafka, in the shape that the worker's own decoder takes."""

    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes | None


class Check:
    """Judges letters with the decoders of this version of the code."""

    def __init__(self, settings: Settings) -> None:
        self._topics = settings.topics
        self._partitions = settings.partitions

    def ready(self, letter: Letter, now_s: float, *, named: bool) -> Ready:
        """Return what to send.

        Args:
            letter: what was put aside.
            now_s: Unix seconds; the receipt that the event's own time will be held against.
            named: someone asked for this very letter.

        Raises:
            BadEvent: it would only come back.
        """
        dead, topic = letter.dead, letter.id.topic
        if not letter.readable:
            raise BadEvent("", dead.reason)
        if dead.topic != topic.of(self._topics).name:
            raise BadEvent("", f"it is a letter of another topic: {dead.topic}")
        if topic is TopicName.BY_PLACE:
            raise BadEvent("", BY_PLACE)
        if topic is TopicName.INTERACTIONS:
            return self._interaction(dead, now_s)
        if topic is TopicName.CONTEXT:
            return _context(dead, now_s)
        if topic is TopicName.IMPRESSIONS:
            return _impression(dead, now_s)
        return _place_update(dead, now_s, named)

    def _interaction(self, dead: DeadLetter, now_s: float) -> Ready:
        """Keyed by its user, whatever key it had: a wrong one may be all that was wrong."""
        user_id = checked_id("user_id", decode(_INTERACTION, dead.value).user_id)
        ready = Ready(user_id.encode(), dead.value)
        partition = partition_of(user_id, self._partitions)
        record = _Record(partition, dead.offset, int(now_s * 1_000), ready.key, ready.value)
        for _, error in decode_interactions([record], self._partitions).bad:
            raise error
        return ready


def _place_update(dead: DeadLetter, now_s: float, named: bool) -> Ready:
    """Keyed by its place. What states no time keeps that of its receipt, so that it is no news."""
    if dead.value is None:
        if not named:
            raise BadEvent(
                "", "closes its place, whatever came since: name the letter to replay it"
            )
        return Ready(_own_key(dead).encode(), None)
    place_id, _, _ = read_update(dead.value, now_s)
    undated = decode(_PLACE, dead.value).timestamp is None
    return Ready(place_id.encode(), dead.value, dead.received_at if undated else None)


def _context(dead: DeadLetter, now_s: float) -> Ready:
    """Keyed by its region, which only the key names."""
    region = _own_key(dead)
    checked_time_s("timestamp", decode(_CONTEXT, dead.value).timestamp, now_s)
    return Ready(region.encode(), dead.value)


def _impression(dead: DeadLetter, now_s: float) -> Ready:
    """Keyed by its user."""
    record = _Record(0, dead.offset, int(now_s * 1_000), b"", dead.value)
    served = decode_impressions([record])
    for _, error in served.bad:
        raise error
    return Ready(served.events[0].user_id.encode(), dead.value)


def _own_key(dead: DeadLetter) -> str:
    if not dead.key:
        raise BadEvent("key", "the message has no key")
    try:
        return checked_id("key", dead.key.decode())
    except UnicodeDecodeError as error:
        raise BadEvent("key", "the message's key is not UTF-8") from error
