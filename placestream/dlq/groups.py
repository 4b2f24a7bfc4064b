"""Counts dead letters by what is wrong with them, in bounded memory."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

#: Kinds of fault that are told apart; a producer that makes more is told from them alone.
MOST_GROUPS = 500
OTHERS = "(other reasons)"
#: What differs from one event to the next in a reason: what it quotes, numbers, moments.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_NUMBER = re.compile(r"-?\d[\d.:+\-TZ]*")
Kind = tuple[str, str, str, str]


@dataclass
class Group:
    """Letters with the same fault.

    Attributes:
        topic: short name of their topic.
        field: dotted path of what is wrong.
        reason: as the newest of them puts it.
        code_version: of the code that refused them.
        letters: how many.
        first, last: when the first and the last of them were put aside.
    """

    topic: str
    field: str
    reason: str
    code_version: str
    letters: int
    first: datetime
    last: datetime


class Groups:
    """Groups of letters; reasons that differ only in a value that they quote are one."""

    def __init__(self) -> None:
        self._groups: dict[Kind, Group] = {}

    def add(self, topic: str, field: str, reason: str, code_version: str, at: datetime) -> None:
        """Count one letter."""
        kind = (topic, field, _NUMBER.sub("#", _QUOTED.sub("''", reason)), code_version)
        if kind not in self._groups and len(self._groups) >= MOST_GROUPS:
            kind, field, reason, code_version = (topic, "", OTHERS, ""), "", OTHERS, ""
        group = self._groups.setdefault(kind, Group(topic, field, reason, code_version, 0, at, at))
        group.letters += 1
        group.first = min(group.first, at)
        if at >= group.last:
            group.last, group.reason = at, reason

    @property
    def letters(self) -> int:
        """How many were counted."""
        return sum(group.letters for group in self._groups.values())

    def largest_first(self) -> list[Group]:
        """All groups."""
        return sorted(self._groups.values(), key=lambda group: -group.letters)


def groups_table(groups: Iterable[Group]) -> Table:
    """A line for each group."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("letters", justify="right", no_wrap=True)
    for heading in ("topic", "field", "reason", "code", "first", "last"):
        table.add_column(heading, overflow="fold")
    for g in groups:
        cells = (g.topic, g.field, g.reason, g.code_version, moment(g.first), moment(g.last))
        table.add_row(f"{g.letters:,}", *(Text(printable(cell)) for cell in cells))
    return table


def moment(at: datetime) -> str:
    """A time as it is shown: UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def printable(text: str) -> str:
    """The text with what a terminal would obey written as an escape.

    Anyone who can send an event would else move the cursor of who looks at it.
    """
    if text.isprintable():
        return text
    shown = (c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    return "".join(shown)
