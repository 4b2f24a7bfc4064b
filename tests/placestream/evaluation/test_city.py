"""`placestream evaluate --city`: regret and business figures, as tables and as JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from models.bootstrap import Interval
from placestream.cli import app
from placestream.evaluation import simulated
from placestream.evaluation.business import Business
from placestream.evaluation.city import report
from placestream.evaluation.simulated import Regret
from tests.placestream.evaluation.conftest import NEAREST

Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """With a pair that ranks the nearest first in the place of a training."""
    monkeypatch.setattr(simulated, "fitted", lambda *_: NEAREST)
    runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
    return lambda *arguments: runner.invoke(app, ["evaluate", *(str(a) for a in arguments)])


def test_the_command_tells_the_regret_against_the_best_possible(run: Run, tmp_path: Path) -> None:
    """Which is 0 for the best possible, and more for all others; with bounds, and as JSON."""
    out = tmp_path / "city.json"
    sizes = ("--city-users", 60, "--city-places", 80, "--city-days", 8)
    result = run("--city", *sizes, "--most", 40, "--json", out, "--html", out.with_suffix(".html"))
    assert result.exit_code == 0, result.output
    assert "regret of ten" in result.output
    assert "click-through" in result.output
    told = json.loads(out.read_text())
    assert (told["users"], told["places"], told["days"]) == (60, 80, 8)
    by_name = {row["name"]: row for row in told["shown"]}
    html = out.with_suffix(".html").read_text(encoding="utf-8")
    for name, row in by_name.items():
        assert name in html
        assert f"{row['of_ten']['low']:.3f} to {row['of_ten']['high']:.3f}" in html
    assert set(by_name) == {"placestream", "nearest open", "best possible"}
    assert by_name["best possible"]["first"] == {"value": 0, "low": 0, "high": 0}
    ours = by_name["placestream"]
    assert 0 < ours["first"]["low"] <= ours["first"]["value"] <= ours["first"]["high"]
    assert ours["click_through"]["value"] < by_name["best possible"]["click_through"]["value"]


@pytest.mark.parametrize("both", [True, False])
def test_a_file_or_a_city_and_not_both(run: Run, checkins: Path, both: bool) -> None:
    """Said in a line."""
    result = run(*(("--checkins", checkins, "--city") if both else ()))
    assert result.exit_code == 1
    assert "--checkins FILE" in result.output


def test_what_nobody_rated_is_null() -> None:
    """JSON knows no NaN."""
    one, none = Interval(1.0, 0.5, 1.5), Interval(float("nan"), float("nan"), float("nan"))
    (row,) = report({"ours": Regret(one, one, one, Business(one, one, none, one))})
    assert row["rating"] == {"value": None, "low": None, "high": None}
    assert row["conversion"] == {"value": 1.0, "low": 0.5, "high": 1.5}
