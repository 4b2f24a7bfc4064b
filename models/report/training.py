"""The report of a training: curves, calibration, slices, importance, coverage, the gate."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contracts.settings import Settings
from models.bootstrap import Interval, intervals
from models.code_version import code_version
from models.comparison import LEAST_USERS, OVERALL, gains, slices
from models.costs import Cost, total
from models.holdout import LISTED
from models.plots import bins_of_pair, coverage_cells
from models.report.charts import Row, Section, Table, bars, tone
from models.report.page import Page, write
from models.report.shared import calibrated, coverage, curves, leaned_on
from models.scoring import RANKER

if TYPE_CHECKING:
    from models.train import TrainedPair

#: Beside a ranker's card.
FILE = "report.html"


def report_path(models_dir: Path, version: int) -> Path:
    """Where the report of a version lies."""
    return models_dir / RANKER / str(version) / FILE


def write_report(
    pair: "TrainedPair", version: int, settings: Settings, costs: Sequence[Cost] = ()
) -> Path:
    """Write the report of an exported pair beside it.

    Args:
        pair: as it was trained.
        version: as which it was exported.
        settings: of the training.
        costs: of all its stages.
    """
    out = report_path(settings.models_dir, version)
    write(page_of(pair, version, settings, costs), out)
    return out


def refused_page(pair: "TrainedPair", note: str, settings: Settings) -> str:
    """The report of a pair that the gate refused, HTML; `note` says why."""
    return page_of(pair, None, settings, refused=f"Refused: {note}. ").html()


def page_of(
    pair: "TrainedPair",
    version: int | None,
    settings: Settings,
    costs: Sequence[Cost] = (),
    refused: str = "",
) -> Page:
    """The report of a pair; see `write_report`, and `refused_page` for one without a version."""
    data, metrics = pair.card["data"], pair.metrics
    return Page(
        title="Training that was refused" if version is None else f"Training of version {version}",
        lead=(
            f"{refused}On {len(pair.holdout.moments):,} held-out choices the place that was chosen "
            f"is among the first ten in {metrics['recall_at_10']:.1%}; nearest first: "
            f"{pair.nearest_first['recall_at_10']:.1%}."
        ),
        facts={
            "trained in": f"{pair.training_s:,.0f} s",
            "interactions": f"{data['events']:,}",
            "users": f"{data['users']:,}",
            "places": f"{data['places']:,}",
            "from": _day(data["first_s"]),
            "until": _day(data["last_s"]),
            "candidate model": settings.candidate_model,
            "ranker": settings.ranker_model,
            "seed": str(settings.seed),
            "code": code_version(),
        },
        sections=[
            _metrics(pair),
            *curves(pair.curves),
            calibrated(
                bins_of_pair(pair),
                f"Expected calibration error on rows: {metrics['calibration_error']:.4f}.",
            ),
            _slices(pair, settings.seed),
            *_gate(pair.card.get("compared", [])),
            leaned_on(pair.importances),
            _coverage(pair),
            _costs([*costs] or [*pair.costs]),
            _limits(pair.card["limits"]["said"]),
        ],
    )


def _metrics(pair: "TrainedPair") -> Section:
    rows = [
        Row((name, f"{value:.4f}", _known(pair.nearest_first.get(name))))
        for name, value in pair.metrics.items()
    ]
    table = Table("Metrics of the held-out part", ("metric", "pair", "nearest first"), tuple(rows))
    return Section("Held-out metrics", "", (table,))


def _slices(pair: "TrainedPair", seed: int) -> Section:
    """NDCG@10 overall and of every slice that holds users enough to tell."""
    gained, user = gains(pair.judged.ranked, pair.holdout.moments.place), pair.holdout.moments.user
    named = [(OVERALL, np.arange(len(user)))]
    named += [(name, rows) for _, name, rows in slices(pair.holdout)]
    told = [
        part for part in named if len(np.unique(user[part[1]])) >= LEAST_USERS or part[0] == OVERALL
    ]
    found = [intervals(gained[rows, None], user[rows], seed=seed)[0] for _, rows in told]
    lines = zip(told, found, bars(found, zero=found[0].value), strict=True)
    rows = tuple(
        Row(
            (name, f"{len(of):,}", f"{len(np.unique(user[of])):,}", f"{it.value:.3f}", _span(it)),
            bar,
            strong=name == OVERALL,
        )
        for (name, of), it, bar in lines
    )
    columns = ("slice", "", "requests", "users", "NDCG@10", "95 %")
    left = len(named) - len(told)
    return Section(
        "Slices",
        f"Intervals hold for one slice each, users resampled. {left} slices with fewer than "
        f"{LEAST_USERS} users are left out.",
        (Table("NDCG@10 by slice; the dashed line is overall", columns, rows),),
    )


def _gate(compared: Sequence[Mapping[str, Any]]) -> Iterator[Section]:
    if not compared:
        return
    found = [Interval(part["difference"], part["low"], part["high"]) for part in compared]
    lines = zip(compared, found, bars(found, tones=[tone(one) for one in found]), strict=True)
    rows = tuple(
        Row(
            (
                part["slice"],
                f"{part['requests']:,}",
                f"{part['new']:.3f}",
                f"{part['in_service']:.3f}",
                f"{it.value:+.3f}",
                _span(it),
            ),
            bar,
            strong=part["part"] == OVERALL,
        )
        for part, it, bar in lines
    )
    columns = ("slice", "", "requests", "new", "in service", "difference", "interval")
    yield Section(
        "Against the pair in service",
        "On the same requests. Overall the interval holds in 95 %; those of the slices are "
        "widened so that all of them together do.",
        (Table("Difference in NDCG@10, new - in service", columns, rows),),
    )


def _coverage(pair: "TrainedPair") -> Section:
    catalogue = pair.holdout.catalogue
    lists = pair.judged.ranked.rows[:, :LISTED]
    shown = np.zeros(len(catalogue), bool)
    shown[lists[lists >= 0]] = True
    there = ~catalogue.closed
    cells = coverage_cells(catalogue.lat[there], catalogue.lng[there], shown[there])
    counts = int(shown[there].sum()), int(there.sum())
    return coverage(cells, *counts, requests=len(lists), listed=LISTED)


def _costs(costs: Sequence[Cost]) -> Section:
    rows = tuple(
        Row(
            (
                cost.stage,
                f"{cost.seconds:,.1f}",
                f"{cost.rows_per_s:,.0f}" if cost.rows else "",
                f"{cost.cpu_cores:.2f}",
                f"{cost.peak_rss_mb:,.0f}",
            ),
            strong=cost.stage == "total",
        )
        for cost in (*costs, total(costs))
    )
    columns = ("stage", "seconds", "rows/s", "cores", "peak MB")
    return Section("What it cost", "", (Table("Cost by stage", columns, rows),))


def _limits(said: Sequence[str]) -> Section:
    return Section("What these figures do not say", says=tuple(said))


def _span(interval: Interval) -> str:
    return f"{interval.low:.3f} to {interval.high:.3f}"


def _known(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _day(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d")
