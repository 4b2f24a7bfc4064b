"""`placestream dlq list`: how many dead letters of which kind, and the newest of them."""

import heapq
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from placestream.dlq.groups import Groups, groups_table, moment, printable
from placestream.dlq.letters import Letter, LetterId


@dataclass(frozen=True, order=True)
class Line:
    """What the list says of one letter; its value is left where it lies."""

    received_at: datetime
    id: LetterId
    field: str
    reason: str
    code_version: str
    origin: str


@dataclass
class Overview:
    """All letters counted, and the newest of them, newest first."""

    groups: Groups = field(default_factory=Groups)
    newest: list[Line] = field(default_factory=list)


def overview(letters: Iterable[Letter], newest: int) -> Overview:
    """Count letters; keep `newest` of them."""
    seen = Overview()
    for letter in letters:
        dead = letter.dead
        seen.groups.add(
            letter.id.topic, dead.field, dead.reason, dead.code_version, dead.received_at
        )
        line = Line(
            dead.received_at,
            letter.id,
            dead.field,
            dead.reason,
            dead.code_version,
            f"{dead.topic}:{letter.origin}",
        )
        if len(seen.newest) < newest:
            heapq.heappush(seen.newest, line)
        elif newest:
            heapq.heappushpop(seen.newest, line)
    seen.newest.sort(reverse=True)
    return seen


def as_text(seen: Overview) -> RenderableType:
    """For a terminal."""
    count = seen.groups.letters
    if not count:
        return Text("no dead letters")
    parts: list[RenderableType] = [groups_table(seen.groups.largest_first())]
    if seen.newest:
        title = f"\nthe newest {len(seen.newest)}" if len(seen.newest) < count else "\nall of them"
        parts += [Text(title, style="bold"), _newest(seen.newest)]
    return Group(*parts)


def _newest(lines: list[Line]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("id", no_wrap=True)
    table.add_column("put aside", no_wrap=True)
    for heading in ("field", "reason"):
        table.add_column(heading, overflow="fold")
    for line in lines:
        cells = (str(line.id), moment(line.received_at), line.field, line.reason)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def as_json(seen: Overview) -> str:
    """For programs: `letters`, `groups` and `newest`."""
    shown = {
        "letters": seen.groups.letters,
        "groups": [
            vars(group) | {"first": group.first.isoformat(), "last": group.last.isoformat()}
            for group in seen.groups.largest_first()
        ],
        "newest": [
            vars(line) | {"id": str(line.id), "received_at": line.received_at.isoformat()}
            for line in seen.newest
        ],
    }
    return json.dumps(shown, indent=2)
