"""What backends tell of their users over gRPC, as the very event that a producer would send."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contracts.events import BadEvent, checked_interaction, encode, read_interaction
from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.checks import OUT_OF_RANGE, REQUIRED, TOO_MANY, Checks
from online_features.duplicates import DEPTH

MAX_EVENTS = 100
#: A call may be repeated, and the stream knows so many of a user's events again by their ids: of
#: more, a repeated call would count every one twice.
MAX_OF_ONE_USER = DEPTH
BAD_EVENT = "BAD_EVENT"


@dataclass(frozen=True)
class Told:
    """An event that is good.

    Attributes:
        event_id: the caller's, or one that was made for it.
        user_id: canonical, the message's key.
        value: the message.
    """

    event_id: str
    user_id: str
    value: bytes


def parse_feedback(
    request: pb.FeedbackRequest, *, received_s: float, new_id: Callable[[], str]
) -> list[Told]:
    """Check what was told, by the rules that the stream has.

    Args:
        request: as it came.
        received_s: Unix seconds, now.
        new_id: makes the id of an event that brings none.

    Raises:
        BadRequest: names each field that is wrong.
    """
    checks = Checks()
    if not request.events:
        checks.blame("events", REQUIRED, "must not be empty")
    if len(request.events) > MAX_EVENTS:
        text = f"must hold at most {MAX_EVENTS} values, not {len(request.events)}"
        checks.blame("events", TOO_MANY, text)
        checks.done()
    told: list[Told] = []
    by_user: Counter[str] = Counter()
    for i, event in enumerate(request.events):
        event_id = event.event_id or new_id()
        try:
            value = encode(_as_sent(event, event_id, received_s))
            user_id, _, _ = checked_interaction(read_interaction(value), received_s)
        except BadEvent as error:
            field = f"events[{i}].{error.field}"
            reason = OUT_OF_RANGE if error.field == "timestamp" else BAD_EVENT
            checks.blame(field, reason, error.reason)
        else:
            told.append(Told(event_id, user_id, value))
            by_user[user_id] += 1
            if by_user[user_id] > MAX_OF_ONE_USER:
                text = f"is one of more than {MAX_OF_ONE_USER} of this user in one call"
                checks.blame(f"events[{i}].user_id", TOO_MANY, text)
    checks.done()
    return told


def _as_sent(event: pb.Interaction, event_id: str, received_s: float) -> dict[str, Any]:
    """The JSON object of an event; what is not known is left out."""
    said: dict[str, Any] = {
        "user_id": event.user_id,
        "place_id": event.place_id,
        "timestamp": _time(event, received_s),
        "event_id": event_id,
    }
    if event.event_type != pb.EVENT_TYPE_UNSPECIFIED:
        said["event_type"] = _word(event.event_type)
    if context := _context(event.context):
        said["context"] = context
    for name in ("rating", "dwell_s"):
        if event.HasField(name):
            said[name] = getattr(event, name)
            if not math.isfinite(said[name]):  # JSON would have null, as if it had not been said
                raise BadEvent(name, "must be a finite number")
    texts = ("request_id", "user_age_group")
    return said | {name: getattr(event, name) for name in texts if getattr(event, name)}


def _time(event: pb.Interaction, received_s: float) -> datetime:
    if not event.HasField("timestamp"):
        return datetime.fromtimestamp(received_s, UTC)
    try:
        return event.timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise BadEvent("timestamp", "is no time between the years 1 and 9999") from error


def _word(kind: int) -> str:
    """`EVENT_TYPE_VIEW` as events have it; a number that means nothing as itself."""
    if kind not in pb.EventType.values():
        return str(kind)
    return pb.EventType.Name(pb.EventType.ValueType(kind)).removeprefix("EVENT_TYPE_").lower()


def _context(context: pb.InteractionContext) -> dict[str, Any]:
    texts = ("search_query", "device", "session_id")
    said: dict[str, Any] = {
        name: getattr(context, name) for name in texts if getattr(context, name)
    }
    if context.HasField("location"):
        said["location"] = {"lat": context.location.lat, "lng": context.location.lng}
    return said
