"""Events as producers send them: what is taken, what is refused, and what is blamed for it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from contracts.events import (
    EARLIEST_S,
    MAX_AHEAD_S,
    BadEvent,
    ContextUpdate,
    DeadLetter,
    Interaction,
    PlaceDocument,
    PlaceUpdate,
    checked_id,
    checked_time_s,
    decode,
    encode,
)

INTERACTION = msgspec.json.Decoder(Interaction)
PLACE = msgspec.json.Decoder(PlaceUpdate)
CONTEXT = msgspec.json.Decoder(ContextUpdate)

#: The three examples of DESIGN.md.
VISIT: dict[str, Any] = {
    "user_id": 12345,
    "place_id": 67890,
    "event_type": "visit",
    "timestamp": "2024-01-15T10:30:00Z",
    "context": {
        "search_query": "italian restaurant",
        "location": {"lat": 37.7749, "lng": -122.4194},
        "device": "mobile",
        "session_id": "abc123",
    },
}
UPDATE: dict[str, Any] = {
    "place_id": 67890,
    "updates": {
        "rating": 4.3,
        "review_count": 847,
        "business_hours": {"mon": ["09:00-17:00"]},
        "attributes": {"wifi": True},
    },
}
OUTSIDE: dict[str, Any] = {
    "timestamp": "2024-01-15T10:30:00Z",
    "weather": {"temp": 22, "condition": "sunny"},
    "events": ["giants_game", "food_festival"],
    "traffic": {"congestion_level": 0.6},
}


def message(event: dict[str, Any], **changes: Any) -> bytes:
    """Return the event as JSON, with some of its fields changed."""
    return json.dumps(event | changes).encode()


def test_the_examples_of_the_design_are_understood() -> None:
    """An interaction, a place update and a context update as the design page shows them."""
    visit = decode(INTERACTION, message(VISIT))
    assert (visit.user_id, visit.place_id, visit.event_type) == (12345, 67890, "visit")
    assert visit.timestamp == datetime(2024, 1, 15, 10, 30, tzinfo=UTC)
    assert visit.context.location is not None
    assert visit.context.location.lat == 37.7749
    update = decode(PLACE, message(UPDATE))
    assert (update.updates.rating, update.updates.review_count) == (4.3, 847)
    outside = decode(CONTEXT, message(OUTSIDE))
    assert outside.traffic is not None
    assert outside.traffic.congestion_level == 0.6
    assert outside.events == ["giants_game", "food_festival"]


@pytest.mark.parametrize("event_type", ["view", "click", "visit", "rate"])
def test_every_kind_of_interaction(event_type: str) -> None:
    """The four kinds there are."""
    assert decode(INTERACTION, message(VISIT, event_type=event_type)).event_type == event_type


def test_unknown_fields_are_passed_over() -> None:
    """A producer may add fields before we know them."""
    context = VISIT["context"] | {"battery": 0.4}
    visit = decode(INTERACTION, message(VISIT, context=context, campaign={"id": 7}))
    assert visit.context.device == "mobile"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"user_id": None}, "user_id"),
        ({"user_id": 1.5}, "user_id"),
        ({"event_type": "fly"}, "event_type"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": 1_700_000_000}, "timestamp"),
        ({"timestamp": "2024-01-15T10:30:00"}, "timestamp"),  # no zone: which hour is it?
        ({"rating": 0}, "rating"),
        ({"rating": 5.1}, "rating"),
        ({"rating": "5"}, "rating"),
        ({"dwell_s": -1}, "dwell_s"),
        ({"dwell_s": 1e300}, "dwell_s"),  # no float32 holds it
        ({"context": []}, "context"),
        ({"context": {"location": {"lat": 90.01, "lng": 0}}}, "context.location.lat"),
        ({"context": {"location": {"lat": 0, "lng": -181}}}, "context.location.lng"),
        ({"context": {"location": {"lat": 0}}}, "context.location.lng"),
        ({"context": {"search_query": "a" * 513}}, "context.search_query"),
    ],
)
def test_a_bad_interaction_names_its_field(changes: dict[str, Any], field: str) -> None:
    """The reason in the dead letters says where to look."""
    with pytest.raises(BadEvent) as caught:
        decode(INTERACTION, message(VISIT, **changes))
    assert caught.value.field == field
    assert caught.value.reason


@pytest.mark.parametrize("field", ["user_id", "place_id", "event_type", "timestamp"])
def test_a_missing_field_is_named(field: str) -> None:
    """What an interaction cannot do without."""
    event = {name: value for name, value in VISIT.items() if name != field}
    with pytest.raises(BadEvent) as caught:
        decode(INTERACTION, message(event))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("updates", "field"),
    [
        ({"rating": 5.5}, "updates.rating"),
        ({"review_count": -1}, "updates.review_count"),
        ({"review_count": 10**40}, "updates.review_count"),  # no float32 holds it
        ({"review_count": 10**400}, "updates.review_count"),  # nor any float
        ({"price_level": 5}, "updates.price_level"),
        ({"location": {"lat": -91, "lng": 0}}, "updates.location.lat"),
        ({"business_hours": ["9-5"]}, "updates.business_hours"),
        ({"business_hours": {str(i): [] for i in range(9)}}, "updates.business_hours"),
        ({"business_hours": {"mon": ["09:00-17:00"] * 49}}, "updates.business_hours[...]"),
        ({"attributes": {str(i): i for i in range(513)}}, "updates.attributes"),
    ],
)
def test_a_bad_place_update_names_its_field(updates: dict[str, Any], field: str) -> None:
    """Also deep inside the updates."""
    with pytest.raises(BadEvent) as caught:
        decode(PLACE, message(UPDATE, updates=updates))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"weather": {"temp": 200}}, "weather.temp"),
        ({"traffic": {"congestion_level": 1.1}}, "traffic.congestion_level"),
        ({"events": "giants_game"}, "events"),
        ({"events": ["giants_game"] * 257}, "events"),
    ],
)
def test_a_bad_context_names_its_field(changes: dict[str, Any], field: str) -> None:
    """Weather and traffic have bounds too."""
    with pytest.raises(BadEvent) as caught:
        decode(CONTEXT, message(OUTSIDE, **changes))
    assert caught.value.field == field


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"not json",
        b"\xff\xfe",
        b'{"user_id": "\xff"}',
        b"[]",
        b"null",
        b"1",
        b"[" * 100_000,
        message(VISIT)[:-1],
        message(VISIT) + b"}",
    ],
)
def test_what_is_no_event_at_all_blames_the_whole(value: bytes) -> None:
    """Broken JSON, broken UTF-8, another type, absurd nesting: refused, and nothing worse."""
    with pytest.raises(BadEvent) as caught:
        decode(INTERACTION, value)
    assert caught.value.field == ""


def test_a_tombstone_is_no_interaction() -> None:
    """Only places can be closed by an empty message."""
    with pytest.raises(BadEvent, match="tombstone"):
        decode(INTERACTION, None)


def test_nan_and_infinity_are_no_numbers_in_json() -> None:
    """Python's own writer makes them; they must not reach a feature."""
    for number in (float("nan"), float("inf")):
        with pytest.raises(BadEvent):
            decode(CONTEXT, message(OUTSIDE, traffic={"congestion_level": number}))


def test_a_bad_id_is_blamed_by_name() -> None:
    """The id's own reason, with the field in front."""
    assert checked_id("user_id", 7) == "7"
    with pytest.raises(BadEvent, match="place_id: an id must not be empty") as caught:
        checked_id("place_id", "")
    assert caught.value.field == "place_id"


def test_times_are_held_between_2000_and_five_minutes_after_receipt() -> None:
    """Both bounds are inclusive; a moment beyond is refused."""
    received_s = datetime(2024, 1, 15, tzinfo=UTC).timestamp()
    first = datetime.fromtimestamp(EARLIEST_S, UTC)
    last = datetime.fromtimestamp(received_s + MAX_AHEAD_S, UTC)
    moment = timedelta(milliseconds=1)
    assert checked_time_s("timestamp", first, received_s) == EARLIEST_S
    assert checked_time_s("timestamp", last, received_s) == received_s + MAX_AHEAD_S
    for absurd in (first - moment, last + moment):
        with pytest.raises(BadEvent) as caught:
            checked_time_s("timestamp", absurd, received_s)
        assert caught.value.field == "timestamp"


def test_a_time_counts_in_its_own_zone() -> None:
    """Half past ten in Tokyo is half past one in Greenwich."""
    visit = decode(INTERACTION, message(VISIT, timestamp="2024-01-15T10:30:00+09:00"))
    assert visit.timestamp == datetime(2024, 1, 15, 1, 30, tzinfo=UTC)


def test_a_dead_letter_keeps_the_bytes() -> None:
    """Whatever they are, and through JSON, so that the message can be mended and sent again."""
    letter = DeadLetter(
        topic="placestream.interactions.v1",
        partition=3,
        offset=17,
        field="",
        reason="not valid JSON",
        code_version="0.1.0",
        received_at=datetime(2024, 1, 15, tzinfo=UTC),
        key=b"\x00\xff",
        value=bytes(range(256)),
        headers=[("trace", b"\xfe")],
    )
    assert msgspec.json.decode(encode(letter), type=DeadLetter) == letter


def test_a_place_document_goes_through_json() -> None:
    """It is what the compacted topic holds, with all fields of an update."""
    document = PlaceDocument(place_id="67890", name="Pho 79", price_level=2, version=12)
    assert msgspec.json.decode(encode(document), type=PlaceDocument) == document
