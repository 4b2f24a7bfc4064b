"""Printing of figures: repeated measurements, ratios with their spread, one line of JSON."""

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One quantity, measured several times in one run."""

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    def text(self) -> str:
        """Median with the least and the greatest."""
        low, high = min(self.values), max(self.values)
        return f"{_number(self.median)} {self.unit} ({_number(low)} to {_number(high)})"


def ratio(name: str, above: Figure, below: Figure) -> Figure:
    """Ratio of two figures, round by round: rounds share the machine's mood."""
    pairs = zip(above.values, below.values, strict=True)
    return Figure(name, "ratio", tuple(a / b for a, b in pairs))


def publish(title: str, figures: Sequence[Figure], facts: Mapping[str, object]) -> None:
    """Print a table; with `--json` on the command line, a last line of JSON too."""
    console = Console(width=100)
    table = Table(title=title)
    table.add_column("figure")
    table.add_column("median (least to greatest)", justify="right")
    for figure in figures:
        table.add_row(figure.name, figure.text())
    console.print(table)
    for name, value in facts.items():
        console.print(f"{name}: {value}", highlight=False)
    if "--json" in sys.argv:
        print(json.dumps(as_json(figures, facts)))


def as_json(figures: Sequence[Figure], facts: Mapping[str, object]) -> dict[str, object]:
    """Every figure under keys that end in their unit."""
    result: dict[str, object] = dict(facts)
    for figure in figures:
        key = f"{figure.name.replace(' ', '_').replace('/', '_per_')}_{_unit_key(figure.unit)}"
        result[key] = figure.median
        result[f"{key}_min"], result[f"{key}_max"] = min(figure.values), max(figure.values)
    return result


def _unit_key(unit: str) -> str:
    return unit.replace("/", "_per_").replace(" ", "_").replace("%", "percent")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"
