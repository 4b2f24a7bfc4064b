"""One dead letter on a terminal: all of it, readable, and not more than fits."""

import pytest
from rich.console import Console

from placestream.dlq.letters import Letter
from placestream.dlq.show import MOST_OF_A_KEY, MOST_SHOWN, as_text, shown_bytes, shown_value
from tests.placestream.dlq.putting_aside import letter, visit


def shown(one: Letter) -> str:
    """What a wide terminal shows."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(as_text(one))
    return capture.get()


def test_everything_is_there() -> None:
    """Where it lies, where it comes from, why, when, by which code, key, headers, value."""
    text = shown(letter(visit(place_id=4), offset=17, headers=[("trace", b"t1"), ("null", None)]))
    facts = [" ".join(line.split()) for line in text.splitlines()]
    assert facts[:8] == [
        "letter interactions:0:17",
        "event placestream.interactions.v1, partition 1, offset 17",
        "put aside 2025-01-31T12:17:00Z by code version 0.1.0",
        "field user_id",
        "reason sent to another partition than its own",
        "key 7",
        "header trace t1",
        "header null (none)",
    ]
    assert f"value ({len(visit(place_id=4))} bytes)" in text
    assert '  "place_id": 4,' in text.splitlines()


def test_an_event_without_key_and_value() -> None:
    """Is shown as having none, not as having empty ones."""
    text = shown(letter(None, key=None, field=""))
    facts = [" ".join(line.split()) for line in text.splitlines()]
    assert "key (none)" in facts
    assert "field (the whole message)" in facts
    assert facts[-1] == "value (none)"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"a":[1]}', '{\n  "a": [\n    1\n  ]\n}'),
        (b'{"a": 12', '{"a": 12  (not JSON)'),
        (b"", "  (not JSON)"),
        ("tokyo 東京".encode(), "tokyo 東京  (not JSON)"),
        (b"\x00\xff", "00 ff  (not UTF-8, so in hexadecimal)"),
        (b'{"a":"\xff"}', "7b 22 61 22 3a 22 ff 22 7d  (not UTF-8, so in hexadecimal)"),
        (b"\x1b[2J", r"\x1b[2J  (not JSON)"),
        ('"\x9b2J"'.encode(), r'"\x9b2J"'),
    ],
)
def test_a_value_is_json_or_text_or_hexadecimal(value: bytes, expected: str) -> None:
    """In this order; what a terminal would obey is escaped even where JSON allows it."""
    assert shown_value(value) == expected


@pytest.mark.parametrize("value", [b"x" * 10_000, b'["' + b"y" * 10_000 + b'"]', b"\xff" * 5_000])
def test_a_long_value_is_cut_and_says_so(value: bytes) -> None:
    """With the way to see the rest."""
    text, note = shown_value(value).split("  (", 1)
    assert len(text) == MOST_SHOWN
    assert f"the first {MOST_SHOWN:,} of " in note
    assert note.endswith(" characters; --raw FILE writes all)")


def test_values_nested_without_end_are_text() -> None:
    """A producer cannot make the command fail."""
    assert shown_value(b"[" * 100_000).startswith("[[[[")


def test_a_long_key_is_cut_and_says_so() -> None:
    """Keys and headers are up to the producer, too."""
    assert (
        shown_bytes(b"k" * (MOST_OF_A_KEY + 1))
        == "k" * MOST_OF_A_KEY + "  (the first 500 of 501 characters)"
    )
    assert shown_bytes("é".encode() * MOST_OF_A_KEY) == "é" * MOST_OF_A_KEY
