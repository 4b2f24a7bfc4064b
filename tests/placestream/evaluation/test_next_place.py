"""The whole protocol on a small town, by its command."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.settings import Settings
from contracts.signatures import PARTS
from models.importance import PART
from models.progress import SILENT
from models.quality.metrics import METRICS
from models.quality.requests import Cuts
from models.report.charts import Table
from models.scoring import Scorer
from online_features.request import RANKING_COLUMNS
from placestream.cli import app
from placestream.evaluation import contestants, next_place
from placestream.evaluation.html import page_of
from placestream.evaluation.material import Material
from placestream.evaluation.next_place import Options, Outcome
from placestream.evaluation.tables import overview, slices

BASELINES = {
    "nearest",
    "popularity x distance",
    "history, recency and hour",
    "blend",
    "implicit ALS",
    "implicit BPR",
    "EASE x distance",
}


@pytest.fixture(scope="module")
def outcome(material: Material, settings: Settings, scorer: Scorer) -> Outcome:
    # Trained once for all tests, on the same town and cuts.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contestants, "fitted", lambda *_: scorer)
        return next_place.evaluate(material, Options(most=80), settings, SILENT)


@pytest.fixture(scope="module")
def report(outcome: Outcome, material: Material) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        json.dumps(next_place.report(outcome, material, Options(most=80)), allow_nan=False)
    )
    return found


def test_everybody_takes_part(report: dict[str, Any]) -> None:
    """Ours as served and in the ranker's order, and all baselines of the protocol."""
    names = {one["name"] for one in report["contestants"]}
    assert names == BASELINES | {"placestream", "placestream, ranker's order"}


def test_every_figure_has_bounds_that_hold_it(report: dict[str, Any]) -> None:
    """In both modes, on every slice that the report counts."""
    for one in report["contestants"]:
        for mode in ("frozen", "stream"):
            assert set(one[mode]) == set(report["requests"])
            for found in one[mode].values():
                assert set(found) == set(METRICS)
                for figure in found.values():
                    assert figure["low"] <= figure["value"] <= figure["high"]


def test_a_habit_beats_the_nearest_place_in_a_town_of_habits(report: dict[str, Any]) -> None:
    """Seven in ten visits are at four haunts a person: the report must show it."""
    by_name = {one["name"]: one["stream"]["all"] for one in report["contestants"]}
    history, nearest = by_name["history, recency and hour"], by_name["nearest"]
    assert history["ndcg_at_10"]["value"] > nearest["ndcg_at_10"]["value"] + 0.1


def test_the_candidate_stage_is_told_apart(report: dict[str, Any]) -> None:
    """Its recall bounds what the ranker can find."""
    ours = next(one for one in report["contestants"] if one["name"] == "placestream")
    for mode in ("frozen", "stream"):
        share = ours["candidates"][mode]
        assert 0 < share["recall_all"] <= 1
        assert ours[mode]["all"]["recall_at_100"]["value"] == pytest.approx(share["recall_all"])


def test_ours_meets_the_best_baseline_of_each_slice(report: dict[str, Any]) -> None:
    """By name, with the paired difference."""
    duels = report["against_the_best_baseline"]["placestream"]["stream"]
    assert {duel["slice"] for duel in duels} == set(report["requests"])
    assert {duel["baseline"] for duel in duels} <= BASELINES
    ours = next(one for one in report["contestants"] if one["name"] == "placestream")
    for duel in duels:
        best = next(one for one in report["contestants"] if one["name"] == duel["baseline"])
        apart = [one["stream"][duel["slice"]]["mrr"]["value"] for one in (ours, best)]
        by = duel["ours_is_higher_by"]["mrr"]["value"]
        assert by == pytest.approx(apart[0] - apart[1])


def test_the_tables_name_all(outcome: Outcome) -> None:
    """A row for each contestant and mode that differ, and one for each slice."""
    streaming = sum(2 if one.facts.get("streams", True) else 1 for one in outcome.judged)
    assert overview(outcome).row_count == streaming
    table = slices(outcome.verdict, outcome.ours[0], outcome.baselines)
    assert table.row_count == len(outcome.verdict.sizes)


def test_the_page_holds_what_the_report_says(report: dict[str, Any]) -> None:
    """Every contestant, every slice of ours and every duel, drawn; green where it is sure."""
    page = page_of({"file": "town", **report})
    sections = {section.title: section.parts for section in page.sections}
    every = sections["All requests"][0]
    assert isinstance(every, Table)
    assert {row.cells[0] for row in every.rows} == {one["name"] for one in report["contestants"]}
    (of_slices,) = sections["placestream by slice"]
    assert isinstance(of_slices, Table)
    assert {row.cells[0] for row in of_slices.rows} == set(report["requests"])
    (duels,) = sections["placestream against the best baseline of each slice"]
    assert isinstance(duels, Table)
    told = report["against_the_best_baseline"]["placestream"]["stream"]
    sure = [duel["ours_is_higher_by"]["ndcg_at_10"]["low"] > 0 for duel in told]
    assert [row.bar is not None and row.bar.tone == "good" for row in duels.rows] == sure
    assert page.html().count('role="img"') == 6  # recall twice, a curve of each model, and two more
    foremost, others = sections["What the ranker leans on"]
    assert isinstance(foremost, Table)
    assert isinstance(others, Table)
    told = report["contestants"][0]["importance"]
    assert [row.cells[0] for row in (*foremost.rows, *others.rows)] == [one["name"] for one in told]


def test_calibration_and_coverage_are_those_of_the_answers(
    report: dict[str, Any], material: Material
) -> None:
    """All candidates of all requests in bins; places of the town that anybody was shown."""
    ours = report["contestants"][0]
    shown = ours["coverage"]
    assert shown["requests"] == report["requests"]["all"]
    assert shown["places"] == len(material.catalogue)
    assert 0 < shown["shown"] == sum(cell["shown"] for cell in shown["cells"])
    assert sum(cell["places"] for cell in shown["cells"]) == shown["places"]
    chosen = sum(one["chosen"]["value"] * one["places"] for one in ours["calibration"])
    found = ours["candidates"]["stream"]["recall_all"] * shown["requests"]
    assert chosen == pytest.approx(found)


def test_importance_is_of_every_input_that_differs(report: dict[str, Any]) -> None:
    """Columns and parts, the greatest loss first, each within its interval; baselines have none."""
    first, *others = report["contestants"]
    told = first["importance"]
    losses = [one["loss"]["value"] for one in told]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > 0
    assert all(one["loss"]["low"] <= one["loss"]["value"] <= one["loss"]["high"] for one in told)
    names = {one["name"] for one in told}
    assert names <= {*RANKING_COLUMNS, *(PART + part for part in PARTS)}
    assert "distance_log_km" in names
    assert not [one for one in others if not one["ours"] and "importance" in one]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_report(material: Material, settings: Settings) -> None:
    """Training, drawing and resampling included; seconds differ."""
    options = Options(most=40, contestants="ours")
    reports = []
    for _ in range(2):
        outcome = next_place.evaluate(material, options, settings, SILENT)
        found = next_place.report(outcome, material, options)
        for one in found["contestants"]:
            del one["seconds"], one["training_seconds"]
        reports.append(found)
    assert reports[0] == reports[1]


def test_judging_validation_does_not_look_at_the_test(
    material: Material, settings: Settings
) -> None:
    """With another test part all figures are the same."""
    options = Options(part="validation", contestants="baselines", most=40)
    known = Cuts.of(len(material.visits), options.shares).known
    place = material.visits.place.copy()
    place[known:] = place[known:][::-1]
    other = material.with_visits(replace(material.visits, place=place))
    reports = []
    for one in (material, other):
        outcome = next_place.evaluate(one, options, settings, SILENT)
        assert outcome.verdict.requests.at.max() < known
        report = next_place.report(outcome, one, options)
        for contestant in report["contestants"]:
            del contestant["seconds"]
        reports.append(report)
    assert reports[0] == reports[1]


Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PLACESTREAM_TRAIN_EPOCHS", "1")
    runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
    return lambda *arguments: runner.invoke(app, ["evaluate", *(str(a) for a in arguments)])


def test_the_command_prints_a_table_and_writes_json(
    run: Run, checkins: Path, tmp_path: Path
) -> None:
    """Baselines alone, on thirty requests; and a page of the same figures."""
    out = tmp_path / "deep" / "report.json"
    few = ("--contestants", "baselines", "--most", 30)
    page = tmp_path / "deep" / "report.html"
    result = run("--checkins", checkins, "--json", out, "--html", page, *few)
    assert result.exit_code == 0, result.output
    assert "30 requests" in result.output
    assert "EASE x distance" in result.output
    report = json.loads(out.read_text())
    assert report["file"] == "town_checkins.csv"
    assert report["requests"]["all"] == 30
    html = page.read_text(encoding="utf-8")
    for one in report["contestants"]:
        figure = one["stream"]["all"]["ndcg_at_10"]
        assert f"{figure['low']:.3f} to {figure['high']:.3f}" in html


def test_a_bad_file_is_named_by_line_and_column(run: Run, checkins: Path, tmp_path: Path) -> None:
    """On one line, without a traceback."""
    lines = checkins.read_text().splitlines()
    lines[4] = lines[4].replace("40.", "140.", 1)
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join(lines))
    result = run("--checkins", bad)
    assert result.exit_code == 1
    assert "bad.csv, line 5: column lat" in result.output


@pytest.mark.parametrize(
    ("split", "said"),
    [("0.8,0.2", "three shares"), ("a,b,c", "three shares"), ("0.8,0.1,0.2", "sum to 1")],
)
def test_bad_shares_are_said(run: Run, checkins: Path, split: str, said: str) -> None:
    """What is wrong with them, and how they should look."""
    result = run("--checkins", checkins, "--split", split)
    assert result.exit_code == 1
    assert said in result.output


def test_a_file_that_is_too_small_is_said(run: Run, checkins: Path, tmp_path: Path) -> None:
    """Of ten check-ins by forty people nobody comes back."""
    small = tmp_path / "small.csv"
    small.write_text("\n".join(checkins.read_text().splitlines()[:11]))
    result = run("--checkins", small)
    assert result.exit_code == 1
    assert "has checked in before" in result.output
