"""What every source of events offers, whether simulated or real."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from contracts.ids import canonical_id
from placestream.simulation.story import Story

#: One event as its producer sends it: a dict that encodes to a message of contracts.events.
Event = dict[str, Any]
Stream = Literal["place_updates", "context", "interactions"]


@dataclass(frozen=True)
class Description:
    """What a source holds.

    Attributes:
        kind: "simulated city" or "check-ins".
        region: name of the city; key of its context events.
        users: users with at least one interaction.
        places: places in the catalogue.
        interactions: number of interactions by event type.
        place_updates: number of place updates.
        context_updates: number of weather and traffic updates.
        first_s: Unix seconds of the first interaction.
        last_s: Unix seconds of the last interaction.
        notes: what a reader must know about this source, one sentence each.
    """

    kind: str
    region: str
    users: int
    places: int
    interactions: dict[str, int]
    place_updates: int
    context_updates: int
    first_s: float
    last_s: float
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """A history of events, each stream ordered by time and readable any number of times."""

    @property
    def region(self) -> str:
        """Name of the city, and the key of its context events."""

    @property
    def size(self) -> int:
        """Messages in all three streams."""

    def place_updates(self) -> Iterator[Event]:
        """Places (`contracts.events.PlaceUpdate`): the catalogue first, then changes."""

    def context_updates(self) -> Iterator[Event]:
        """Weather and traffic (`contracts.events.ContextUpdate`); may be empty."""

    def interactions(self) -> Iterator[Event]:
        """What users did (`contracts.events.Interaction`)."""

    def describe(self) -> Description:
        """Sizes, span of time and caveats."""

    def story(self, at_s: float) -> Story:
        """A user, a spot and three fresh events for a demonstration at `at_s` (Unix seconds)."""


@dataclass(frozen=True)
class Message:
    """One event on its way: which stream, its Kafka key, and the event."""

    stream: Stream
    key: str
    event: Event


def messages(source: Source) -> Iterator[Message]:
    """Merge the three streams by time; at equal times places come first, interactions last."""
    yield from heapq.merge(
        (Message("place_updates", canonical_id(e["place_id"]), e) for e in source.place_updates()),
        (Message("context", source.region, e) for e in source.context_updates()),
        (Message("interactions", canonical_id(e["user_id"]), e) for e in source.interactions()),
        key=_timestamp,
    )


def _timestamp(message: Message) -> str:
    # All sources write one format (`iso`), so that the strings sort as the times do.
    timestamp: str = message.event["timestamp"]
    return timestamp
