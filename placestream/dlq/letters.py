"""Dead letters as they lie in Kafka: which topics, their ids, and what a letter holds."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from contracts.events import BadEvent, DeadLetter, decode
from contracts.topics import Topic, Topics

_DECODER = msgspec.json.Decoder(DeadLetter)


class TopicName(StrEnum):
    """The topics that the stream reads, by the short names that a person types."""

    INTERACTIONS = "interactions"
    PLACE_UPDATES = "place-updates"
    CONTEXT = "context"
    BY_PLACE = "interactions-by-place"
    IMPRESSIONS = "impressions"

    def of(self, topics: Topics) -> Topic:
        """The topic itself, in one installation."""
        return {
            TopicName.INTERACTIONS: topics.interactions,
            TopicName.PLACE_UPDATES: topics.place_updates,
            TopicName.CONTEXT: topics.context,
            TopicName.BY_PLACE: topics.by_place,
            TopicName.IMPRESSIONS: topics.impressions,
        }[self]


_ID = re.compile(rf"({'|'.join(TopicName)}):(\d{{1,9}}):(\d{{1,18}})")


@dataclass(frozen=True, order=True)
class LetterId:
    """Where a letter lies: the topic that it is a letter of, partition and offset in its `.dlq`."""

    topic: TopicName
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "LetterId":
        """Read `interactions:0:17`.

        Raises:
            ValueError: says what an id looks like.
        """
        match = _ID.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text!r} is not the id of a dead letter: they look like interactions:0:17, "
                f"and begin with {', '.join(TopicName)}"
            )
        return cls(TopicName(match[1]), int(match[2]), int(match[3]))


@dataclass(frozen=True)
class Letter:
    """A dead letter and where it lies.

    Attributes:
        id: where it lies.
        dead: what it says. For a message that is no dead letter: that message itself, with
            what is wrong with it as the reason.
        readable: whether it is one.
    """

    id: LetterId
    dead: DeadLetter
    readable: bool = True

    @property
    def origin(self) -> str:
        """Position of the event in its own topic, by which one event is told from another.

        Not the letter's: a worker that dies before its commit leaves two letters of one event.
        """
        return f"{self.dead.partition}:{self.dead.offset}"


@dataclass(frozen=True)
class Choice:
    """Which letters are meant.

    Attributes:
        topics: of these topics.
        reason: with this text in the field or the reason, in any case; empty: any.
        since: put aside at or after this moment.
    """

    topics: tuple[TopicName, ...] = tuple(TopicName)
    reason: str = ""
    since: datetime | None = None

    def takes(self, letter: Letter) -> bool:
        """Tell whether a letter is meant."""
        dead = letter.dead
        if letter.id.topic not in self.topics:
            return False
        if self.since is not None and dead.received_at < self.since:
            return False
        return self.reason.casefold() in f"{dead.field}: {dead.reason}".casefold()


def read_letter(
    letter_id: LetterId, topic: str, key: bytes | None, value: bytes | None, stamp_ms: int
) -> Letter:
    """Read one message of a dead-letter topic, whatever it holds."""
    try:
        return Letter(letter_id, decode(_DECODER, value))
    except BadEvent as error:
        itself = DeadLetter(
            topic=topic,
            partition=letter_id.partition,
            offset=letter_id.offset,
            field="",
            reason=f"not a dead letter: {error}",
            code_version="unknown",
            received_at=datetime.fromtimestamp(max(stamp_ms, 0) / 1_000, UTC),
            key=key,
            value=value,
        )
        return Letter(letter_id, itself, readable=False)
