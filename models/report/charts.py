"""Parts of a report: charts with what they say in words, and tables with bars in their rows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from models.bootstrap import Interval
from models.plots import ACCENT, INK, LINE, MUTED, SECOND

#: Colours of the plots as the style sheet of the page names them.
_NAMES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    ACCENT: "var(--accent)",
    SECOND: "var(--second)",
}


@dataclass(frozen=True)
class Bar:
    """Where a value and its interval lie, in per cent of the width of the column.

    Attributes:
        low, high: of the interval.
        value: of the value.
        zero: of 0, or of what else is compared with; `None` outside of the column.
        tone: "good", "bad", "warn", or "" where nothing is certain.
    """

    low: float
    high: float
    value: float
    zero: float | None
    tone: str = ""


@dataclass(frozen=True)
class Row:
    """Of a table: cells as text, and a bar, which stands after the first, if it has bars."""

    cells: tuple[str, ...]
    bar: Bar | None = None
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """Columns and rows; the first column names its row.

    Attributes:
        caption: what it is, in words.
        columns: titles, that of the bars, if there are any, as the second.
        rows: as many cells each as there are titles, but for that of the bar.
        folded: whether it is shown only when asked for.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    folded: bool = False

    @property
    def kind(self) -> str:
        """For the template."""
        return "table"


@dataclass(frozen=True)
class Chart:
    """A picture.

    Attributes:
        name: unique on its page, letters and dashes.
        title: what it is.
        says: what it shows, in words: read where the picture is not seen.
        svg: the picture.
        data: its values.
    """

    name: str
    title: str
    says: str
    svg: str
    data: Table | None = None

    @property
    def kind(self) -> str:
        """For the template."""
        return "chart"

    @property
    def inline(self) -> str:
        """The picture to be put into a page: themed, named, with ids of its own."""
        svg = self.svg[self.svg.index("<svg") :]
        for colour, name in _NAMES.items():
            svg = svg.replace(colour, name)
        svg = re.sub(r'\bid="([^"]+)"', rf'id="{self.name}-\1"', svg)
        svg = re.sub(r'href="#([^"]+)"', rf'href="#{self.name}-\1"', svg)
        svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{self.name}-\1)", svg)
        # Its own size is the largest; on a narrow screen it shrinks.
        width = re.search(r'width="([\d.]+)pt"', svg)
        most = f"{float(width.group(1)) * 4 / 3:.0f}px" if width else "100%"
        svg = re.sub(r'(width|height)="[\d.]+pt" ', "", svg, count=2)
        opening = f'<svg role="img" aria-labelledby="{self.name}-says" style="max-width:{most}"'
        return svg.replace("<svg", opening, 1).replace(' version="1.1"', "", 1)


@dataclass(frozen=True)
class Section:
    """A part of a page: a heading, some words, charts and tables, and sentences one by one."""

    title: str
    lead: str = ""
    parts: tuple[Chart | Table, ...] = ()
    says: tuple[str, ...] = ()


def bars(
    found: Sequence[Interval], *, zero: float | None = 0.0, tones: Sequence[str] = ()
) -> list[Bar]:
    """Bars on one scale, which reaches over all intervals and what they are compared with.

    Args:
        found: values with their intervals.
        zero: what they are compared with; `None`: nothing.
        tones: of each, if any has one.
    """
    marks = [] if zero is None else [zero]
    least = min([*(one.low for one in found), *marks], default=0.0)
    most = max([*(one.high for one in found), *marks], default=1.0)
    span = (most - least) or 1.0

    def at(value: float) -> float:
        return round(2 + 96 * (value - least) / span, 2)

    tones = tones or [""] * len(found)
    line = None if zero is None else at(zero)
    return [
        Bar(at(one.low), at(one.high), at(one.value), line, tone)
        for one, tone in zip(found, tones, strict=True)
    ]


def tone(difference: Interval) -> str:
    """ "good" or "bad" where an interval lies on one side of 0, else nothing."""
    if not difference.excludes_zero:
        return ""
    return "good" if difference.low > 0 else "bad"
