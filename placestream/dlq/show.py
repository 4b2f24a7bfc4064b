"""`placestream dlq show`: all that is known of one dead letter."""

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from placestream.dlq.groups import moment, printable
from placestream.dlq.letters import Letter

#: Characters of a value that are shown: two screens.
MOST_SHOWN = 4_000
MOST_OF_A_KEY = 500


def as_text(letter: Letter) -> RenderableType:
    """For a terminal: its facts, then the value of the event."""
    dead = letter.dead
    facts = {
        "letter": str(letter.id),
        "event": f"{dead.topic}, partition {dead.partition}, offset {dead.offset}",
        "put aside": f"{moment(dead.received_at)} by code version {dead.code_version}",
        "field": dead.field or "(the whole message)",
        "reason": dead.reason,
        "key": shown_bytes(dead.key),
    }
    facts |= {f"header {name}": shown_bytes(value) for name, value in dead.headers}
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", overflow="fold", max_width=30)
    table.add_column(overflow="fold")
    for name, fact in facts.items():
        table.add_row(Text(printable(name)), Text(printable(fact)))
    size = "none" if dead.value is None else f"{len(dead.value):,} bytes"
    title = Text(f"\nvalue ({size})", style="bold")
    if dead.value is None:
        return Group(table, title)
    return Group(table, title, Text(shown_value(dead.value), overflow="fold"))


def shown_bytes(value: bytes | None) -> str:
    """A key or a header: text if it is UTF-8, else hexadecimal; cut."""
    if value is None:
        return "(none)"
    text, note = _text(value)
    return _cut(text, MOST_OF_A_KEY, [note], "")


def shown_value(value: bytes) -> str:
    """A value: JSON on several lines, other text as it is, else hexadecimal; cut."""
    text, note = _text(value)
    if not note:
        try:
            text = msgspec.json.format(text, indent=2)
        except (msgspec.DecodeError, RecursionError):
            note = "not JSON"
    return _cut(text, MOST_SHOWN, [note], "--raw FILE writes all")


def _text(value: bytes) -> tuple[str, str]:
    """Bytes as text, and what there is to say about it."""
    try:
        return value.decode(), ""
    except UnicodeDecodeError:
        return value.hex(" "), "not UTF-8, so in hexadecimal"


def _cut(text: str, most: int, notes: list[str], advice: str) -> str:
    """The beginning of a text, with what there is to say about it."""
    if len(text) > most:
        notes += [f"the first {most:,} of {len(text):,} characters", advice]
    said = "; ".join(filter(None, notes))
    return printable(text[:most]) + (f"  ({said})" if said else "")
