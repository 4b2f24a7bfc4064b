"""Ids of dead letters, which of them are meant, and messages that are none."""

from datetime import UTC, timedelta

import pytest

from contracts.events import encode
from contracts.topics import Topics
from placestream.dlq.letters import Choice, LetterId, TopicName, read_letter
from tests.placestream.dlq.putting_aside import START, dead, letter

SOME_ID = LetterId(TopicName.CONTEXT, 0, 5)


@pytest.mark.parametrize("topic", TopicName)
def test_an_id_is_read_as_it_is_written(topic: TopicName) -> None:
    """So that what `list` prints can be pasted."""
    letter_id = LetterId(topic, 3, 10**17)
    assert LetterId.parse(str(letter_id)) == letter_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "interactions",
        "interactions:0",
        "interactions:0:-1",
        "interactions:0:1:2",
        "taxis:0:1",
        "interactions:0:1 ",
        "interactions:0:1e3",
        "interactions:0:" + "9" * 19,
    ],
)
def test_what_is_no_id_is_told_what_one_looks_like(text: str) -> None:
    """With the topics that there are."""
    with pytest.raises(ValueError, match=r"interactions:0:17.*place-updates"):
        LetterId.parse(text)


def test_every_topic_that_is_read_has_a_short_name() -> None:
    """Whatever the worker can put aside can be named."""
    topics = Topics()
    assert [name.of(topics) for name in TopicName] == list(topics.read())


def test_a_choice_looks_at_topic_time_and_text() -> None:
    """The text may stand in the field or the reason, in any case; the moment itself counts."""
    one = letter(b"{}", TopicName.CONTEXT, field="weather.temp", reason="Expected `float`")
    assert Choice().takes(one)
    assert Choice((TopicName.CONTEXT,)).takes(one)
    assert not Choice((TopicName.INTERACTIONS, TopicName.PLACE_UPDATES)).takes(one)
    assert all(Choice(reason=text).takes(one) for text in ("WEATHER", "expected", "temp: exp"))
    assert not Choice(reason="traffic").takes(one)
    assert Choice(since=START).takes(one)
    assert not Choice(since=START + timedelta(seconds=1)).takes(one)


def test_a_letter_is_read_whole() -> None:
    """All fields, bytes that are no text and null headers among them."""
    written = dead("t", 5, b"\xff\x00", key=None, headers=[("a", b"\xfe"), ("b", None)])
    found = read_letter(SOME_ID, "t.dlq", None, encode(written), 0)
    assert (found.dead, found.readable, found.origin) == (written, True, "1:5")


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\xff", b'{"topic": 1}'])
def test_a_message_that_is_no_letter_is_one_of_itself(value: bytes | None) -> None:
    """It can be listed and shown; nothing that reads the topic stumbles over it."""
    found = read_letter(SOME_ID, "t.dlq", b"k", value, 1_000)
    assert not found.readable
    assert (found.dead.topic, found.dead.offset, found.dead.value) == ("t.dlq", 5, value)
    assert found.dead.reason.startswith("not a dead letter: ")
    assert found.dead.received_at.astimezone(UTC).timestamp() == 1
