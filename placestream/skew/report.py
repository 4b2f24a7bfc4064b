"""What a comparison of logged with recomputed features found, column by column."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from placestream.skew.logged import Logged

#: Values nearer than this are equal whatever their size: what is left of sums in float32.
ABSOLUTE = 1e-6


@dataclass(frozen=True)
class Example:
    """The greatest difference of a column, and where it was."""

    difference: float
    logged: float
    recomputed: float
    request_id: str
    user_id: str
    place_id: str


@dataclass
class ColumnSkew:
    """Values of one column: each is counted once.

    Attributes:
        match: equal to what was recomputed, or to one of the ways in which it may have been.
        mismatch: unlike the one recomputed value.
        undecided: unlike the recomputed values, which differ by events in flight.
        missing: defined, but not logged.
        extra: logged, but not defined.
        worst: of the mismatches.
    """

    match: int = 0
    mismatch: int = 0
    undecided: int = 0
    missing: int = 0
    extra: int = 0
    worst: Example | None = None


@dataclass
class Skew:
    """The findings.

    Attributes:
        defined: columns of the definitions.
        tolerance: relative difference up to which values are equal.
        columns: by name, defined ones first.
        answers: how many were compared.
        other_definitions: how many were made with other state definitions: only their columns'
            names are compared.
        passed_over: answers that could not be compared, by cause.
    """

    defined: tuple[str, ...]
    tolerance: float
    columns: dict[str, ColumnSkew] = field(default_factory=dict)
    answers: int = 0
    other_definitions: int = 0
    passed_over: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.columns |= {name: ColumnSkew() for name in self.defined}

    def note(self, answer: Logged) -> None:
        """Count an answer and the columns that only one side has."""
        self.answers += 1
        self.other_definitions += not answer.current
        for name in self.defined:
            self.columns[name].missing += len(answer.place_ids) * (name not in answer.columns)
        for name in answer.columns:
            if name not in self.defined:
                extra = self.columns.setdefault(name, ColumnSkew())
                extra.extra += len(answer.place_ids)

    def compare(
        self, answer: Logged, positions: NDArray[np.int64], variants: Iterable[NDArray[np.float32]]
    ) -> None:
        """Compare some places of an answer: variants float32[n, defined] each."""
        both = [name for name in answer.columns if name in self.defined]
        at = [self.defined.index(name) for name in both]
        logged = answer.values[positions][:, [answer.columns.index(name) for name in both]]
        ways = np.stack([way[:, at] for way in variants]).astype(np.float64)
        equal = np.logical_or.reduce(self._close(ways, logged[None]), axis=0)
        certain = np.logical_and.reduce(self._close(ways, ways[:1]), axis=0)
        apart = np.abs(ways[0] - logged)
        wrong = ~equal & certain
        for j, name in enumerate(both):
            column = self.columns[name]
            column.match += int(equal[:, j].sum())
            column.mismatch += int(wrong[:, j].sum())
            column.undecided += int((~equal & ~certain)[:, j].sum())
            if wrong[:, j].any():
                i = int(np.argmax(np.where(wrong[:, j], apart[:, j], -1.0)))
                if column.worst is None or apart[i, j] > column.worst.difference:
                    column.worst = Example(
                        float(apart[i, j]),
                        float(logged[i, j]),
                        float(ways[0, i, j]),
                        answer.request_id,
                        answer.user_id,
                        answer.place_ids[int(positions[i])],
                    )

    def _close(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
        allowed = ABSOLUTE + self.tolerance * np.maximum(np.abs(a), np.abs(b))
        near: NDArray[np.bool_] = np.abs(a - b) <= allowed
        return near

    @property
    def decided(self) -> int:
        """Values that match or do not."""
        return sum(column.match + column.mismatch for column in self.columns.values())

    @property
    def mismatch_ratio(self) -> float:
        """Share of mismatches among the decided values; 0 if there are none."""
        wrong = sum(column.mismatch for column in self.columns.values())
        return wrong / self.decided if self.decided else 0.0


def as_json(skew: Skew) -> str:
    """For programs."""
    shown = {
        "answers": skew.answers,
        "other_definitions": skew.other_definitions,
        "passed_over": skew.passed_over,
        "tolerance": skew.tolerance,
        "decided": skew.decided,
        "mismatch_ratio": skew.mismatch_ratio,
        "columns": {name: asdict(column) for name, column in skew.columns.items()},
    }
    return json.dumps(shown, indent=2)


def as_text(skew: Skew) -> RenderableType:
    """For a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("feature", no_wrap=True)
    counts = ("match", "mismatch", "undecided", "missing", "extra")
    for heading in (*counts, "largest difference"):
        table.add_column(heading, justify="right")
    for name, column in skew.columns.items():
        worst = "" if column.worst is None else f"{column.worst.difference:.3g}"
        cells = (f"{getattr(column, count):,}" for count in counts)
        style = "red" if column.mismatch or column.missing or column.extra else ""
        table.add_row(Text(name), *cells, worst, style=style)
    lines = [f"\n{name}: {_told(c.worst)}" for name, c in skew.columns.items() if c.worst]
    return Group(table, *(Text(line) for line in lines), Text(f"\n{_summary(skew)}"))


def _told(worst: Example) -> str:
    return (
        f"logged {worst.logged:.7g}, recomputed {worst.recomputed:.7g} "
        f"(request {worst.request_id}, user {worst.user_id}, place {worst.place_id})"
    )


def _summary(skew: Skew) -> str:
    parts = [f"{skew.answers:,} answers"]
    if skew.other_definitions:
        parts.append(f"{skew.other_definitions:,} of them of other definitions (only names told)")
    parts += [f"{n:,} passed over: {cause}" for cause, n in sorted(skew.passed_over.items())]
    undecided = sum(column.undecided for column in skew.columns.values())
    parts.append(f"{skew.decided:,} values decided, {skew.mismatch_ratio:.4%} of them mismatches")
    parts.append(f"{undecided:,} undecided (events in flight)")
    return "; ".join(parts)
