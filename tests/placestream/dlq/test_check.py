"""Whether a letter would be taken today, and under which key and time it is sent."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from contracts.events import BadEvent
from contracts.settings import Settings
from placestream.dlq.check import Check, Ready
from placestream.dlq.letters import Letter, LetterId, TopicName
from tests.placestream.dlq.putting_aside import START, dead, letter, visit

NOW_S = (START + timedelta(days=400)).timestamp()
CHECK = Check(Settings(_env_file=None))
PLACE, CONTEXT = TopicName.PLACE_UPDATES, TopicName.CONTEXT


def ready(one: Letter, *, named: bool = False, now_s: float = NOW_S) -> Ready:
    """What would be sent."""
    return CHECK.ready(one, now_s, named=named)


def fault(one: Letter, **options: Any) -> tuple[str, str]:
    """Why a letter would come back: field and reason."""
    with pytest.raises(BadEvent) as caught:
        ready(one, **options)
    return caught.value.field, caught.value.reason


def update(**fields: Any) -> bytes:
    """A good place update, with some fields changed."""
    return msgspec.json.encode({"place_id": 5, "updates": {"rating": 4.5}} | fields)


@pytest.mark.parametrize("key", [None, b"", b"8", b"\xff", b"7"])
@pytest.mark.parametrize(
    ("user_id", "canonical"), [(7, b"7"), ("7", b"7"), ("zoë", "zoë".encode())]
)
def test_an_interaction_goes_to_its_user_whatever_key_it_had(
    key: bytes | None, user_id: int | str, canonical: bytes
) -> None:
    """The bytes stay as they were; the time is that of the sending."""
    value = visit(user_id=user_id)
    assert ready(letter(value, key=key)) == Ready(canonical, value, None)


def test_what_is_still_bad_is_named() -> None:
    """By today's decoder, not by what the letter says."""
    assert fault(letter(visit(place_id=1.5), field="other", reason="other"))[0] == "place_id"
    assert fault(letter(visit(event_type="rate")))[0] == "rating"
    assert fault(letter(b'{"user'))[1].startswith("not valid JSON")
    assert fault(letter(None)) == ("", "the message has no value (a tombstone means nothing here)")
    assert fault(letter(msgspec.json.encode({"timestamp": "x"}), CONTEXT))[0] == "timestamp"
    assert fault(letter(update(updates={"version": 1}), PLACE))[0] == "updates.version"


def test_an_event_from_the_future_is_good_once_its_time_has_come() -> None:
    """What counts is the receipt, and a replayed event is received anew."""
    value = visit(timestamp=(START + timedelta(days=1)).isoformat())
    assert fault(letter(value), now_s=START.timestamp())[0] == "timestamp"
    assert ready(letter(value), now_s=(START + timedelta(days=1)).timestamp()).value == value


@pytest.mark.parametrize("key", [None, b"6", b"5"])
def test_a_place_update_goes_to_its_place_whatever_key_it_had(key: bytes | None) -> None:
    """As the value names it."""
    value = update(timestamp="2025-01-30T00:00:00Z")
    assert ready(letter(value, PLACE, key=key)) == Ready(b"5", value, None)


def test_a_place_update_without_a_time_keeps_that_of_its_receipt() -> None:
    """Sent as news of today, it would overwrite what came since."""
    assert ready(letter(update(), PLACE, offset=3)).at == START + timedelta(minutes=3)


def test_a_tombstone_must_be_asked_for_by_its_id() -> None:
    """It has no time to be held against what came since."""
    assert "name the letter" in fault(letter(None, PLACE))[1]
    assert ready(letter(None, PLACE), named=True) == Ready(b"7", None, None)
    assert fault(letter(None, PLACE, key=None), named=True)[0] == "key"


def test_a_measurement_keeps_its_region() -> None:
    """Which only the key names."""
    value = msgspec.json.encode({"timestamp": "2025-01-30T00:00:00Z"})
    assert ready(letter(value, CONTEXT, key=b"nyc")) == Ready(b"nyc", value, None)
    for key in (None, b"", b"\xff", b"x" * 129):
        assert fault(letter(value, CONTEXT, key=key))[0] == "key"


def test_a_letter_goes_only_to_the_topic_that_it_is_a_letter_of() -> None:
    """Whatever it says: anyone who can write to a dead-letter topic could else write anywhere."""
    elsewhere = letter(visit(), topic="placestream.rollout.v1")
    assert fault(elsewhere) == ("", "it is a letter of another topic: placestream.rollout.v1")


def test_a_places_share_of_an_event_is_not_sent_again() -> None:
    """Its shard would pass over it; the reason says what helps."""
    assert "rebuild" in fault(letter(b"\x90", TopicName.BY_PLACE))[1]


def test_what_is_no_letter_is_not_sent() -> None:
    """It has no event in it."""
    itself = dead("placestream.interactions.v1.dlq", 4, visit(), reason="not a dead letter: odd")
    one = Letter(LetterId(TopicName.INTERACTIONS, 0, 4), itself, readable=False)
    assert fault(one) == ("", "not a dead letter: odd")


def test_a_served_answer_goes_to_its_user() -> None:
    """And one that is still bad names its field."""
    answer = {
        "request_id": "r",
        "user_id": "zoë",
        "timestamp": "2025-01-30T00:00:00Z",
        "location": {"lat": 1.0, "lng": 2.0},
        "variant": "stable",
        "degradation": "none",
        "models": {},
        "feature_set": "f",
        "places": [],
    }
    value = msgspec.json.encode(answer)
    assert ready(letter(value, TopicName.IMPRESSIONS, key=b"7")) == Ready("zoë".encode(), value)
    late = msgspec.json.encode(answer | {"timestamp": "1970-01-01T00:00:00Z"})
    assert fault(letter(late, TopicName.IMPRESSIONS))[0] == "timestamp"
