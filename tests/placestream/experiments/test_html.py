"""The page about an experiment."""

from typing import Any

from models.report.charts import Table
from placestream.experiments.html import page_of
from placestream.experiments.reports import Report
from retrain.experiments import Entry, Experiment


def metric(scale: str, good: str, low: float | None, high: float | None) -> dict[str, Any]:
    """A row of a look."""
    middle = None if low is None or high is None else (low + high) / 2
    known = {"stable": 0.2, "canary": 0.21, "effect": middle, "low": low, "high": high, "p": 0.01}
    return {"scale": scale, "good": good, "margin": 0.05, "answers": 900} | known


LOOK = {
    "age_s": 129_600.0,
    "alpha_each": 0.01,
    "users": {"stable": 9_000, "canary": 1_000},
    "mismatch_p": 0.4,
    "strays": 12,
    "novelty": "effects may fade: people try what is new",
    "metrics": {
        "success": metric("relative", "more", 0.02, 0.08),
        "load": metric("relative", "less", 0.01, 0.03),
        "slow": metric("absolute", "less", -0.01, 0.01),
        "degraded": metric("absolute", "less", None, None),
    },
    "shadow": {"compared": 500, "failed": 2, "overlap": 0.8},
}


def page(report: dict[str, Any]) -> Any:
    """Of a canary with such a look at it."""
    one = Experiment(
        id="pair-12",
        audit_id="a-1",
        version=12,
        created_s=1.8e9,
        since_s=1.8e9,
        state="canary",
        baseline=11,
        note="looks <well>",
        report=report,
        metrics={"auc": 0.9},
    )
    return page_of(Report(one, [Entry(1.8e9, "shadow", "begun", 3)]))


def test_scales_are_apart_and_tones_follow_what_is_good() -> None:
    """More success is good, more load is bad, what may be either has no colour."""
    relative, absolute = (one.parts[0] for one in page(LOOK).sections[:2])
    assert isinstance(relative, Table)
    assert [(row.cells[0], row.bar.tone) for row in relative.rows if row.bar] == [
        ("success", "good"),
        ("load", "bad"),
    ]
    slow, degraded = absolute.rows
    assert slow.bar is not None
    assert slow.bar.tone == ""
    assert degraded.bar is None
    # With no bar a word stands in its column, so that the others keep theirs.
    assert degraded.cells[1] == "too few users"
    assert len(degraded.cells) == len(slow.cells) + 1


def test_all_that_is_known_is_in_the_page() -> None:
    """Level of the intervals, users, doubts, shadow, history; words of people are escaped."""
    html = page(LOOK).html()
    for part in (
        "canary: looks &lt;well&gt;",
        "99 % interval",
        "+2.00 to +8.00",
        "9,000",
        "1.50 days of canary",
        "12 answers were not given",
        "effects may fade",
        "80.0%",
        "2027-01-15 08:00:00",
        "begun",
    ):
        assert part in html, part


def test_an_experiment_that_waits_has_a_page_too() -> None:
    """Nothing was looked at yet: its history alone."""
    assert [one.title for one in page({}).sections] == ["Held-out metrics", "History"]
