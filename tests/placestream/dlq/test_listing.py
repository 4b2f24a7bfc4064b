"""Counting dead letters: what is one kind, what is newest, and how much is held."""

import json
from datetime import timedelta

import msgspec
import pytest
from rich.console import Console

from contracts.events import BadEvent, Interaction, checked_time_s, decode
from placestream.dlq.groups import MOST_GROUPS, OTHERS, Groups, printable
from placestream.dlq.letters import Letter, TopicName
from placestream.dlq.listing import as_json, as_text, overview
from tests.placestream.dlq.putting_aside import START, letter, visit


def shown(letters: list[Letter], newest: int = 20) -> str:
    """What a wide terminal shows."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(as_text(overview(letters, newest)))
    return capture.get()


def real_reasons() -> list[tuple[str, str]]:
    """Pairs of reasons, made by the checks themselves, that differ only in a value."""
    decoder = msgspec.json.Decoder(Interaction)

    def of(value: bytes) -> str:
        with pytest.raises(BadEvent) as caught:
            checked_time_s("timestamp", decode(decoder, value).timestamp, START.timestamp())
        return caught.value.reason

    pairs = [
        (visit(event_type="teleport"), visit(event_type="don")),
        (visit(timestamp="1970-01-01T00:00:00Z"), visit(timestamp="1981-07-01T02:03:04.5Z")),
        (visit(timestamp="2030-01-01T00:00:00Z"), visit(timestamp="2031-01-01T00:00:00+01:00")),
        (b'{"user_id": x', b'{"user_id":     x'),
    ]
    return [(of(one), of(other)) for one, other in pairs]


@pytest.mark.parametrize(("one", "other"), real_reasons())
def test_reasons_that_differ_in_a_value_are_one_kind(one: str, other: str) -> None:
    """Else each event would be a kind of its own; the newest speaks for all."""
    groups = Groups()
    groups.add("interactions", "f", one, "1", START)
    groups.add("interactions", "f", other, "1", START + timedelta(minutes=1))
    (group,) = groups.largest_first()
    assert (group.letters, group.reason) == (2, other)
    assert (group.first, group.last) == (START, START + timedelta(minutes=1))


def test_topic_field_reason_and_code_version_tell_kinds_apart() -> None:
    """The largest stands first."""
    groups = Groups()
    kinds = [("a", "f", "r", "1"), ("b", "f", "r", "1"), ("a", "g", "r", "1"), ("a", "f", "s", "1")]
    kinds.append(("a", "f", "r", "2"))
    for kind in [*kinds, kinds[3]]:
        groups.add(*kind, START)
    found = [(g.topic, g.field, g.reason, g.code_version) for g in groups.largest_first()]
    assert sorted(found) == sorted(kinds)
    assert found[0] == kinds[3]
    assert groups.letters == len(kinds) + 1


def test_kinds_without_end_are_held_in_bounded_memory() -> None:
    """A producer may name a new field with every event."""
    groups = Groups()
    for n in range(MOST_GROUPS + 100):
        groups.add("interactions", f"field{n}", "odd", "1", START)
    largest = groups.largest_first()
    assert len(largest) == MOST_GROUPS + 1
    assert (largest[0].reason, largest[0].letters) == (OTHERS, 100)
    assert groups.letters == MOST_GROUPS + 100


def test_the_newest_are_kept_newest_first() -> None:
    """By when they were put aside, whatever the order in which they come."""
    letters = [letter(visit(), offset=n) for n in (3, 0, 4, 1, 2)]
    assert [line.id.offset for line in overview(letters, 3).newest] == [4, 3, 2]
    assert overview(letters, 0).newest == []
    assert overview(letters, 0).groups.letters == 5


def test_a_terminal_sees_counts_then_the_newest() -> None:
    """Times in UTC; what a producer wrote is text, not markup, and moves no cursor."""
    hostile = letter(None, TopicName.CONTEXT, offset=9, field="", reason="[red]\x1b[2J\u202e")
    text = shown([letter(visit()), letter(visit(), offset=1), hostile], newest=2)
    counts, newest = text.split("the newest 2")
    assert [line.split()[:3] for line in counts.splitlines()[1:3]] == [
        ["2", "interactions", "user_id"],
        ["1", "context", r"[red]\x1b[2J\u202e"],
    ]
    assert "2025-01-31T12:00:00Z  2025-01-31T12:01:00Z" in counts
    assert [line.split()[0] for line in newest.splitlines()[2:4]] == [
        "context:0:9",
        "interactions:0:1",
    ]
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_nothing_is_said_to_be_nothing() -> None:
    """Not an empty table."""
    assert shown([]) == "no dead letters\n"


def test_json_says_the_same() -> None:
    """With the position of the event, for a script that goes on from there."""
    found = json.loads(as_json(overview([letter(visit(), offset=1)], 20)))
    (group,), (line,) = found["groups"], found["newest"]
    assert found["letters"] == group["letters"] == 1
    assert (group["topic"], group["code_version"]) == ("interactions", "0.1.0")
    assert group["first"] == group["last"] == line["received_at"] == "2025-01-31T12:01:00+00:00"
    assert (line["id"], line["origin"]) == (
        "interactions:0:1",
        "placestream.interactions.v1:1:1",
    )
    assert line["reason"] == group["reason"]


@pytest.mark.parametrize("text", ["Café 東京", "two\nlines\tand a tab"])
def test_what_harms_no_terminal_is_shown_as_it_is(text: str) -> None:
    """Every script is."""
    assert printable(text) == text
