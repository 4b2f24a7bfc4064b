"""A report on an experiment as a page."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.bootstrap import Interval
from models.report.charts import Row, Section, Table, bars
from models.report.page import Page
from placestream.experiments.reports import Report, moment, number, percent

_DAY_S = 86_400
#: What a shadow tells: title and format.
_SHADOW = {
    "compared": ("answers compared", "{:,.0f}"),
    "failed": ("answers that failed", "{:,.0f}"),
    "overlap": ("places shared", "{:.1%}"),
    "distance": ("footrule distance", "{:.3f}"),
    "same_top": ("same first place", "{:.1%}"),
    "stable_models_ms": ("models of the pair in service, ms", "{:.1f}"),
    "canary_models_ms": ("models of the new pair, ms", "{:.1f}"),
}


def page_of(report: Report) -> Page:
    """All that `placestream experiments show` tells."""
    one, look = report.experiment, report.experiment.report
    facts = {
        "state": one.state,
        "since (UTC)": moment(one.since_s),
        "version": str(one.version),
        "against": "" if one.baseline is None else str(one.baseline),
        "share of users": f"{one.share:.0%}",
        "audit id": one.audit_id,
    }
    if users := look.get("users"):
        facts |= {"users, canary": f"{users['canary']:,}", "users, stable": f"{users['stable']:,}"}
    return Page(
        title=f"Experiment {one.id}",
        lead=f"{one.state}: {one.note}" if one.note else one.state,
        facts=facts,
        sections=[
            *_metrics(look),
            *_doubts(look),
            *_shadow(look.get("shadow", {})),
            *_held_out(one.metrics),
            _history(report),
        ],
    )


def _metrics(look: Mapping[str, Any]) -> Iterator[Section]:
    """One table for each scale: per cent and points do not stand on one axis."""
    if "metrics" not in look:
        return
    level = 100 * (1 - look["alpha_each"])
    for scale, unit in (("relative", "per cent of stable"), ("absolute", "percentage points")):
        told = {name: row for name, row in look["metrics"].items() if row["scale"] == scale}
        if told:
            yield Section(
                f"Metrics, in {unit}",
                f"Effect of the canary with its {level:g} % interval, which holds however often "
                "one looks. Green: better for sure; red: worse for sure; the dashed line: no "
                "effect. The margin is what would be borne.",
                (_table(told, unit),),
            )


def _table(told: Mapping[str, Mapping[str, Any]], unit: str) -> Table:
    known = {
        n: row for n, row in told.items() if row["low"] is not None and row["high"] is not None
    }
    found = [Interval(row["effect"], row["low"], row["high"]) for row in known.values()]
    tones = [_tone(row) for row in known.values()]
    drawn = dict(zip(known, bars(found, tones=tones), strict=True))
    rows = tuple(
        Row(
            (
                name,
                *([] if name in drawn else ["too few users"]),
                number(row["stable"]),
                number(row["canary"]),
                percent(row["effect"]),
                f"{percent(row['low'])} to {percent(row['high'])}",
                f"{'-' if row['good'] == 'more' else '+'}{100 * row['margin']:g}",
                number(row["p"]),
            ),
            drawn.get(name),
        )
        for name, row in told.items()
    )
    columns = ("metric", "", "stable", "canary", "effect", "interval", "margin", "p")
    return Table(f"Effects in {unit}", columns, rows)


def _tone(row: Mapping[str, Any]) -> str:
    """As `models.report.charts.tone`, the other way round where less is good."""
    better, worse = row["low"] > 0, row["high"] < 0
    if row["good"] != "more":
        better, worse = worse, better
    return "good" if better else "bad" if worse else ""


def _doubts(look: Mapping[str, Any]) -> Iterator[Section]:
    if "metrics" not in look:
        return
    says = [
        f"{look['age_s'] / _DAY_S:.2f} days of canary.",
        f"The split of users fits the share with p = {look['mismatch_p']:.3g}: far below 0.001 "
        "something drops users of one side, and no metric can be trusted.",
        f"{look['strays']:,} answers were not given by the pair that the plan said, and left out.",
    ]
    if look["novelty"]:
        says.append(f"Novelty: {look['novelty']}.")
    yield Section("How far to trust it", says=tuple(says))


def _shadow(shadow: Mapping[str, float]) -> Iterator[Section]:
    if not shadow.get("compared"):
        return
    rows = tuple(
        Row((title, form.format(shadow[name])))
        for name, (title, form) in _SHADOW.items()
        if name in shadow
    )
    table = Table("The new pair's answers beside those given", ("", "mean"), rows)
    yield Section("Shadow", "Computed beside the answers that users got.", (table,))


def _held_out(metrics: Mapping[str, float]) -> Iterator[Section]:
    if metrics:
        rows = tuple(Row((name, f"{value:.4f}")) for name, value in metrics.items())
        table = Table("Of the training's held-out part", ("metric", "value"), rows, folded=True)
        yield Section("Held-out metrics", "", (table,))


def _history(report: Report) -> Section:
    rows = tuple(
        Row((moment(entry.at_s), entry.state, entry.note, str(entry.fence)))
        for entry in report.history
    )
    table = Table("Every step, in UTC", ("when", "state", "why", "fence"), rows)
    return Section("History", "", (table,))
