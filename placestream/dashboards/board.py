"""What a dashboard is made of: rows of panels, each of which asks Prometheus something."""

from dataclasses import dataclass, field
from typing import Literal

#: Grafana's names of units.
Unit = Literal[
    "short", "percentunit", "s", "ms", "µs", "reqps", "ops", "dateTimeFromNow", "none", "ratio"
]


@dataclass(frozen=True)
class Query:
    """A question in PromQL.

    Attributes:
        expr: with `$__rate_interval` where a range is Grafana's to choose.
        legend: of its series, with labels in double braces.
        rare: why an installation that is well may have no such series; empty: it always has. The
            panel shows this in their place.
    """

    expr: str
    legend: str = ""
    rare: str = ""


@dataclass(frozen=True)
class Panel:
    """Lines over time, or the newest number.

    Attributes:
        title: as runbooks name it.
        what: it shows, and how it should look.
        unit: of all of its queries.
        queries: at least one.
        kind: `lines` or `number`.
        width: of 24 columns.
        bad_above, bad_below: from where on a value is shown as bad, by an alert's mark.
    """

    title: str
    what: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Literal["lines", "number"] = "lines"
    width: int = 8
    bad_above: float | None = None
    bad_below: float | None = None

    @property
    def height(self) -> int:
        """In Grafana's rows."""
        return 4 if self.kind == "number" else 8


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Board:
    """A dashboard.

    Attributes:
        name: of its file, and the end of its address.
        title: as Grafana lists it.
        rows: from the top.
    """

    name: str
    title: str
    rows: tuple[Row, ...] = field(default=())

    @property
    def panels(self) -> list[Panel]:
        """All of them."""
        return [panel for row in self.rows for panel in row.panels]

    @property
    def queries(self) -> list[Query]:
        """All of them."""
        return [query for panel in self.panels for query in panel.queries]


def number(title: str, what: str, unit: Unit, expr: str, **marks: float | str) -> Panel:
    """A panel of one number; `rare` as in `Query`, other marks as in `Panel`."""
    rare = str(marks.pop("rare", ""))
    bad = {name: float(value) for name, value in marks.items()}
    return Panel(title, what, unit, (Query(expr, rare=rare),), "number", 4, **bad)


def quantiles(metric: str, by: str = "", where: str = "") -> tuple[Query, ...]:
    """Quantiles of a histogram, by a label or over all."""
    group, legend = (f"{by}, le", f"{{{{{by}}}}} ") if by else ("le", "")
    of = f"sum by ({group}) (rate({metric}_bucket{where}[$__rate_interval]))"
    return tuple(
        Query(f"histogram_quantile({q}, {of})", f"{legend}{name}")
        for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    )


def mean(metric: str, legend: str, rare: str = "") -> Query:
    """Mean of what a histogram saw lately; nothing where it saw nothing."""
    total, count = (f"sum(rate({metric}_{part}[$__rate_interval]))" for part in ("sum", "count"))
    return Query(f"{total} / ({count} > 0)", legend, rare)


def rate(metric: str, *by: str, rare: str = "") -> Query:
    """What a counter counts a second, by labels."""
    return _by(f"rate({metric}[$__rate_interval])", by, rare)


def counted(metric: str, *by: str, rare: str = "") -> Query:
    """What a counter counted within an hour, by labels."""
    return _by(f"increase({metric}[1h])", by, rare)


def _by(expr: str, by: tuple[str, ...], rare: str) -> Query:
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return Query(f"sum by ({', '.join(by)}) ({expr})", legend, rare)
