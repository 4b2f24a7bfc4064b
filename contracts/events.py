"""The events as producers send them, and the ones that placestream's own parts exchange.

All are one JSON object a message. Unknown fields are allowed everywhere: decoding passes over
them, and the archive keeps the original bytes.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from contracts.ids import BadId, canonical_id

T = TypeVar("T")
EventType = Literal["view", "click", "visit", "rate"]
EVENT_TYPES: tuple[EventType, ...] = ("view", "click", "visit", "rate")
AGE_GROUPS = ("0-17", "18-24", "25-34", "35-44", "45-54", "55-64", "65+")

#: An event may be this far ahead of the time at which Kafka received it (clocks drift).
MAX_AHEAD_S = 300
#: Nothing that placestream recommends happened before this (2000-01-01).
EARLIEST_S = 946_684_800

#: A whole place, merged from however many updates: far below what Kafka takes in one message
#: (1 MB), since a document that Kafka refuses would stop the worker that must publish it.
MAX_PLACE_BYTES = 256 * 1_024
#: Dicts and lists in each other, in what a place's update says. Far below what Python's own stack
#: takes (1,000 calls).
MAX_NESTING = 32

#: A stay of a year: longer is no stay, and far below what single precision holds.
MAX_DWELL_S = 366 * 86_400
#: JSON's readers agree on integers up to here, and single precision holds them.
MAX_COUNT = 2**53
#: As the archive keeps it: an int32, and no answer is nearly as long.
MAX_POSITION = 2**31 - 1

Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Instant = Annotated[datetime, Meta(tz=True)]
ShortText = Annotated[str, Meta(max_length=512)]
#: Spans of one weekday.
Spans = Annotated[list[ShortText], Meta(max_length=48)]
#: How features lie in the bytes of a served place.
PACKED = np.dtype("<f4")


class BadEvent(ValueError):
    """An event that goes to the dead letters.

    Attributes:
        field: dotted path of the offending field, empty when the whole message is at fault.
        reason: what is wrong with it, for a person.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


class Location(Struct, frozen=True):
    """A point on the globe, degrees (WGS 84)."""

    lat: Latitude
    lng: Longitude


class InteractionContext(Struct, frozen=True):
    """Where and how an interaction happened; all of it optional."""

    search_query: ShortText | None = None
    location: Location | None = None
    device: ShortText | None = None
    session_id: ShortText | None = None


class Interaction(Struct, frozen=True):
    """A user did something with a place (topic `placestream.interactions.v1`, key `user_id`)."""

    user_id: int | str
    place_id: int | str
    event_type: EventType
    timestamp: Instant
    context: InteractionContext = InteractionContext()
    event_id: ShortText | None = None
    rating: Annotated[float, Meta(ge=1, le=5)] | None = None
    request_id: ShortText | None = None
    user_age_group: ShortText | None = None
    dwell_s: Annotated[float, Meta(ge=0, le=MAX_DWELL_S)] | None = None


class PlaceFields(Struct, frozen=True):
    """The fields of a place that placestream reads; others are kept and passed on."""

    name: ShortText | None = None
    category: ShortText | None = None
    location: Location | None = None
    price_level: Annotated[int, Meta(ge=1, le=4)] | None = None
    time_zone: ShortText | None = None
    rating: Annotated[float, Meta(ge=0, le=5)] | None = None
    review_count: Annotated[int, Meta(ge=0, le=MAX_COUNT)] | None = None
    #: Weekday (`mon`..`sun`) to spans of local time: `{"mon": ["09:00-12:00", "13:00-02:00"]}`.
    #: A weekday that is absent is closed; a place with no `business_hours`, or no `time_zone`,
    #: is unknown. `holiday` beside the weekdays has the hours of public holidays.
    business_hours: Annotated[dict[str, Spans], Meta(max_length=8)] | None = None
    #: Whose public holidays count: a country (ISO 3166-1), or a part of it (`US-NY`). On them a
    #: place that states no hours under `holiday` is unknown.
    holiday_calendar: ShortText | None = None
    #: Hours of single days, before all else: `{"2026-12-24": ["09:00-13:00"], "2026-12-25": []}`.
    special_hours: Annotated[dict[str, Spans | None], Meta(max_length=512)] | None = None
    attributes: Annotated[dict[str, Any], Meta(max_length=512)] | None = None
    region: ShortText | None = None


class PlaceUpdate(Struct, frozen=True):
    """A partial update of a place (topic `placestream.place-updates.v1`, key `place_id`)."""

    place_id: int | str
    updates: PlaceFields
    timestamp: Instant | None = None


class PlaceDocument(PlaceFields, frozen=True, kw_only=True):
    """A whole place after merging (topic `placestream.places.v1`, compacted, key `place_id`).

    `version` is the offset of the newest update in it: a reader keeps the highest.
    """

    place_id: str
    version: int = 0


class Weather(Struct, frozen=True):
    """Weather of a region; `temp` in degrees Celsius."""

    temp: Annotated[float, Meta(ge=-90, le=65)] | None = None
    condition: ShortText | None = None


class Traffic(Struct, frozen=True):
    """Traffic of a region; 0 is free, 1 is standstill."""

    congestion_level: Annotated[float, Meta(ge=0, le=1)] | None = None


class ContextUpdate(Struct, frozen=True):
    """What it is like outside (topic `placestream.context.v1`, key: the region's name)."""

    timestamp: Instant
    weather: Weather | None = None
    events: Annotated[list[ShortText], Meta(max_length=256)] = []
    traffic: Traffic | None = None


class ServedPlace(Struct, frozen=True):
    """One place of an answer as it was served.

    `propensity` is the chance with which this place was shown: 1 where the order left nothing to
    chance; where the service explores, the chance of getting any of the slots that do, not this one
    alone. `features` is what the ranker saw, by column: little-endian float32
    (base64 in JSON), a fifth of what they take as numbers, which earlier answers have. Read it as
    `values`. `parts` is what the candidate model told the ranker of it, packed the same; empty
    where it told nothing, and in earlier answers.
    """

    place_id: str
    position: Annotated[int, Meta(ge=0, le=MAX_POSITION)]
    score: float
    probability: float | None = None
    propensity: Annotated[float, Meta(gt=0, le=1)] = 1.0
    features: list[float] | bytes = b""
    parts: bytes = b""

    def __post_init__(self) -> None:
        if isinstance(self.features, bytes) and len(self.features) % PACKED.itemsize:
            raise ValueError("features are no whole number of float32 values")
        if len(self.parts) % PACKED.itemsize:
            raise ValueError("parts are no whole number of float32 values")

    @property
    def values(self) -> NDArray[np.float32]:
        """What the ranker saw, float32[columns]; empty where there was none."""
        if isinstance(self.features, bytes):
            return np.frombuffer(self.features, PACKED)
        return np.array(self.features, np.float32)

    @property
    def told(self) -> NDArray[np.float32]:
        """What the candidate model told, float32[parts]; empty where it told nothing."""
        return np.frombuffer(self.parts, PACKED)


#: The degradation of a request that ended in an error: its event has no places.
FAILED = "failed"


class Impression(Struct, frozen=True):
    """An answer that was served (topic `placestream.impressions.v1`, key `user_id`).

    `took_ms` is the time in all stages of the answer, `models_ms` that of its models. They tell of
    the service and not of the user: rollouts are judged by them, and the archive leaves them out.
    """

    request_id: str
    user_id: str
    timestamp: Instant
    location: Location
    variant: str
    degradation: str
    models: dict[str, Annotated[int, Meta(ge=-MAX_COUNT, le=MAX_COUNT)]]
    feature_set: str
    places: list[ServedPlace]
    took_ms: float | None = None
    models_ms: float | None = None


class Span(Struct, frozen=True):
    """From the oldest to the newest answer that something was judged by."""

    since: Instant
    until: Instant


class RetrainRequested(Struct, frozen=True):
    """Something asks for a new pair of models (topic `placestream.retrain.requested.v1`).

    Key: `audit_id`, which everything that it leads to carries. docs/drift.md tells the evidence
    field by field. Schema 2 added `window`; what it cannot be told of (age, by hand) has none.
    """

    audit_id: str
    reason: Literal["psi", "ks", "accuracy", "samples", "schedule", "manual"]
    requested_at: Instant
    evidence: dict[str, Any] = {}
    schema: int = 2
    window: Span | None = None


class RolloutStep(Struct, frozen=True):
    """One step of a model's way into service (topic `placestream.rollout.v1`, key `audit_id`).

    `evidence` of a `rejected` step: `refused_by` ("data" or "gate"), and what `failed`, in the
    shape of docs/retraining.md.
    """

    audit_id: str
    step: Literal["trained", "rejected", "shadow", "canary", "promoted", "rolled_back", "failed"]
    at: Instant
    versions: dict[str, int] = {}
    metrics: dict[str, float] = {}
    note: str = ""
    evidence: dict[str, Any] = {}
    schema: int = 1


class DeadLetter(Struct, frozen=True):
    """A message that could not be used, with all that is needed to mend and replay it.

    `key`, `value` and `headers` are the original bytes (base64 in JSON); Kafka allows each of
    them to be null.
    """

    topic: str
    partition: int
    offset: int
    field: str
    reason: str
    code_version: str
    received_at: Instant
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = []


encode = msgspec.json.Encoder().encode
_PATH = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]+)`")


def decode(decoder: msgspec.json.Decoder[T], value: bytes | None) -> T:
    """Decode one message.

    Raises:
        BadEvent: not JSON, or not of the decoder's type; names the field.
    """
    if value is None:
        raise BadEvent("", "the message has no value (a tombstone means nothing here)")
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise _bad_field(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadEvent("", f"not valid JSON: {error}") from error


def _bad_field(message: str) -> BadEvent:
    path = _PATH.search(message)
    field = path.group(1) if path else ""
    missing = _MISSING.search(message)
    if missing:
        field = f"{field}.{missing.group(1)}" if field else missing.group(1)
    return BadEvent(field, _PATH.sub("", message))


_INTERACTION = msgspec.json.Decoder(Interaction)


def read_interaction(value: bytes | None) -> Interaction:
    """Decode an interaction; what its fields say is checked by `checked_interaction`.

    Raises:
        BadEvent: not JSON, or not an interaction; names the field.
    """
    return decode(_INTERACTION, value)


def checked_interaction(event: Interaction, received_s: float) -> tuple[str, str, float]:
    """Return the canonical user and place of an interaction, and its time in Unix seconds.

    Raises:
        BadEvent: a bad id, an absurd time, or a rating that is missing; names the field.
    """
    user_id = checked_id("user_id", event.user_id)
    place_id = checked_id("place_id", event.place_id)
    time_s = checked_time_s("timestamp", event.timestamp, received_s)
    if event.event_type == "rate" and event.rating is None:
        raise BadEvent("rating", "an event of type rate needs a rating of 1 to 5")
    return user_id, place_id, time_s


def checked_id(field: str, value: int | str) -> str:
    """Return the canonical id, or raise `BadEvent` naming the field."""
    try:
        return canonical_id(value)
    except BadId as error:
        raise BadEvent(field, str(error)) from error


def checked_time_s(field: str, value: datetime, received_s: float) -> float:
    """Return a timestamp as Unix seconds, held between 2000 and five minutes after receipt.

    Args:
        field: name to blame.
        value: the event's own time, with a zone.
        received_s: Unix seconds at which Kafka received the message.

    Raises:
        BadEvent: the time is absurd.
    """
    time_s = value.timestamp()
    if time_s < EARLIEST_S:
        raise BadEvent(field, f"{value.isoformat()} lies before 2000-01-01")
    if time_s > received_s + MAX_AHEAD_S:
        received = datetime.fromtimestamp(received_s, UTC).isoformat()
        raise BadEvent(
            field, f"{value.isoformat()} lies over {MAX_AHEAD_S} s after its receipt at {received}"
        )
    return time_s
