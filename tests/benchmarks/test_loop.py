"""The parts of the loop's story: the poison, what is read of the detectors, figures, the plot.

The story itself, on real servers, is `tests/e2e/test_story.py`.
"""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks import loop_plot
from benchmarks.loop import figures_of
from benchmarks.loop_guests import Visit
from benchmarks.loop_poison import poison
from benchmarks.loop_readings import Reading, reading
from benchmarks.loop_story import Told, sped_up, two_cities
from contracts.events import RetrainRequested, RolloutStep
from online_features.archive import read_interactions
from online_features.archive_schema import INTERACTIONS
from placestream.audit.story import Story
from placestream.simulation import Plan
from streams.archive import write_whole
from tests.retrain.small_archive import write_archive

START_S = 1_800_000_000.0


def at(second: float) -> datetime:
    return datetime.fromtimestamp(START_S + second, UTC)


@pytest.fixture
def told() -> Told:
    """A change after 100 s; asked for at 150, a canary at 200, promoted at 250; ten guests a second
    who look at four places, and open two before, one between, three after."""
    visits = [
        Visit(START_S + s / 10, *_answered(s / 10), 4, 2 if s < 1_000 else 1 if s < 2_500 else 3, 0)
        for s in range(4_000)
    ]
    steps = [
        RolloutStep("a", step, at(second), versions={"ranker": 2})  # type: ignore[arg-type]
        for step, second in (("trained", 180), ("shadow", 185), ("canary", 200), ("promoted", 250))
    ]
    readings = [Reading(START_S + s, 0.85, 0.1 if s < 100 else 0.3, 0) for s in range(50, 400)]
    request = RetrainRequested("a", "psi", at(150))
    return Told(START_S + 100, Story("a", request, steps), None, 1, visits, readings)


def _answered(second: float) -> tuple[str, int]:
    canary = 200 <= second < 250 and int(second) % 2 == 0
    return ("canary", 2) if canary else ("stable", 2 if second >= 250 else 1)


def test_poison_changes_who_chose_and_nothing_else(tmp_path: Path) -> None:
    """Every place is visited as often, every user goes out as often, at the same times; but most
    visits lie elsewhere, name and hash alike, and looks are left alone."""
    write_archive(tmp_path)
    folder = next((tmp_path / INTERACTIONS).glob("day=*"))
    file = next(folder.glob("*.parquet"))
    table = pq.ParquetFile(file).read()
    looks = table.set_column(
        table.schema.get_field_index("kind"),
        table.schema.field("kind"),
        [np.zeros(table.num_rows, np.int8)],
    )
    moved = np.asarray(looks["offset"]) + 10**6
    write_whole(looks.set_column(1, table.schema.field(1), [moved]), folder)
    before = read_interactions(tmp_path)
    dealt = poison(sped_up(archive_dir=tmp_path))
    after = read_interactions(tmp_path)
    order = [np.lexsort((log.offset, log.time_s)) for log in (before, after)]
    before, after = before.take(order[0]), after.take(order[1])
    visits = before.kind == 2
    assert dealt == visits.sum()
    assert (after.user == before.user).all()
    assert (after.time_s == before.time_s).all()
    assert sorted(after.place_id) == sorted(before.place_id)
    assert (after.place[~visits] == before.place[~visits]).all()
    # Of some dozens of visits a file, few are dealt their own place again.
    assert (after.place[visits] != before.place[visits]).mean() > 0.5
    names = dict(zip(before.place_id, before.place, strict=True))
    assert all(
        names[name] == place for name, place in zip(after.place_id, after.place, strict=True)
    )


def test_a_reading_is_of_the_pair_in_service() -> None:
    """Of two versions on stable the newer one, of variants not the canary, of PSI the target."""
    page = """
placestream_served_quality_ratio{metric="accuracy",variant="stable",version="9"} 0.71
placestream_served_quality_ratio{metric="accuracy",variant="stable",version="10"} 0.82
placestream_served_quality_ratio{metric="accuracy",variant="canary",version="11"} 0.9
placestream_served_quality_ratio{metric="auc",variant="stable",version="12"} 0.5
placestream_drift_psi_ratio{feature="rating"} 3.0
placestream_drift_psi_ratio{feature="target"} 0.25
placestream_error_rises 2.0
"""
    assert reading(page, 5.0, "stable") == Reading(5.0, 0.82, 0.25, 2.0)
    assert reading("", 5.0, "stable") == Reading(5.0, None, None, None)


def test_figures_are_seconds_since_the_cause_and_shares_before_between_and_after(
    told: Told,
) -> None:
    """Two of four opened before, one between, three at the end."""
    figures = {figure.name: figure.median for figure in figures_of(told)}
    assert figures == {
        "to the request": 50, "to trained": 80, "to shadow": 85, "to canary": 100,
        "to promoted": 150, "click through before": 0.5, "click through between": 0.25,
        "click through at the end": 0.75,
    }  # fmt: skip


def test_the_plot_names_what_was_done(told: Told, tmp_path: Path) -> None:
    """Both variants, every step, and the same bytes again; no text became a path."""
    files = [tmp_path / name for name in ("one.svg", "two.svg")]
    for file in files:
        loop_plot.draw(told, file)
    one, other = (file.read_text() for file in files)
    assert one == other
    for name in ("stable", "canary", "people turn round", "asked: psi", "shadow", "promoted"):
        assert name in one
    # Five seconds apart: one text for both.
    assert "trained, shadow" in one


def test_it_is_afternoon_in_both_cities_and_only_what_people_weigh_differs() -> None:
    """Whatever the hour of this machine: half past two or so, before and after."""
    for hour in (0, 9, 17):
        now_s = START_S - START_S % 86_400 + hour * 3_600 + 1_800
        before, after = two_cities(Plan(50, 60, 1), now_s, seed=3)
        local_s = before.local.local_s(np.array([now_s]))[0]
        assert local_s % 86_400 == pytest.approx(14.5 * 3_600)
        assert before.places.names == after.places.names
        assert (before.users.home_lat == after.users.home_lat).all()
        assert after.plan.drift is not None
        assert (after.plan.drift.strength, after.plan.drift.reversal) == (0, 1)
