"""The report of a training says what the training found."""

import re
from pathlib import Path

import numpy as np
import pytest

from contracts.settings import Settings
from models.comparison import LEAST_USERS, gains
from models.holdout import LISTED
from models.report.charts import Chart, Table
from models.report.page import Page
from models.report.training import page_of, report_path
from models.train import TrainedPair, export_pair


@pytest.fixture(scope="module")
def page(pair: TrainedPair, training: Settings) -> Page:
    """Of the pair as version 7, after it was compared with another."""
    slices = {"requests": 40, "users": 31, "new": 0.4, "in_service": 0.3}
    compared = [
        {"part": "overall", "slice": "overall", "difference": 0.1, "low": 0.05, "high": 0.15},
        {"part": "category", "slice": "category Bar", "difference": 0.0, "low": -1, "high": 1},
    ]
    card = pair.card | {"compared": [slices | part for part in compared]}
    return page_of(TrainedPair(**{**vars(pair), "card": card}), 7, training, pair.costs)


def tables(page: Page, section: str) -> list[Table]:
    """All tables of a section."""
    (found,) = [one for one in page.sections if one.title == section]
    return [part for part in found.parts if isinstance(part, Table)]


def chart(page: Page, section: str) -> Chart:
    """The first picture of a section."""
    (found,) = [one for one in page.sections if one.title == section]
    return next(part for part in found.parts if isinstance(part, Chart))


def test_metrics_stand_beside_nearest_first(page: Page, pair: TrainedPair) -> None:
    """Every metric of the pair, to four digits."""
    (table,) = tables(page, "Held-out metrics")
    assert {row.cells[0]: row.cells[1] for row in table.rows} == {
        name: f"{value:.4f}" for name, value in pair.metrics.items()
    }
    nearest = {row.cells[0]: row.cells[2] for row in table.rows if row.cells[2]}
    assert nearest == {name: f"{value:.4f}" for name, value in pair.nearest_first.items()}


def test_every_epoch_is_in_the_curves(page: Page, pair: TrainedPair) -> None:
    """As a picture, in words, and as a table."""
    shown = chart(page, "Training curves")
    epochs = pair.curves["candidates"]
    assert shown.data is not None
    assert [row.cells[2] for row in shown.data.rows] == [
        f"{epoch.validation_loss:.5f}" for epoch in epochs
    ]
    assert f"{min(epoch.validation_loss for epoch in epochs):.4f}, the least" in shown.says


def test_slices_begin_with_the_whole(page: Page, pair: TrainedPair) -> None:
    """Its NDCG@10 is that of the metrics; no slice has too few users."""
    (table,) = tables(page, "Slices")
    requests = len(pair.holdout.moments)
    gained = gains(pair.judged.ranked, pair.holdout.moments.place).mean()
    assert table.rows[0].cells[:2] == ("overall", f"{requests:,}")
    assert table.rows[0].cells[3] == f"{gained:.3f}" == f"{pair.metrics['ndcg_at_10']:.3f}"
    assert all(int(row.cells[2].replace(",", "")) >= LEAST_USERS for row in table.rows[1:])


def test_coverage_is_that_of_the_metrics(page: Page, pair: TrainedPair) -> None:
    """The share in words, and the map."""
    said = chart(page, "Coverage").says
    lists = pair.judged.ranked.rows[:, :LISTED]
    shown = len(np.unique(lists[lists >= 0]))
    places = int((~pair.holdout.catalogue.closed).sum())
    assert said.startswith(f"{shown} of {places} open places ({pair.metrics['coverage']:.1%})")


def test_the_comparison_and_the_importance_are_told(page: Page, pair: TrainedPair) -> None:
    """A sure gain is good, an unsure one neither; the most important input is first."""
    (gate,) = tables(page, "Against the pair in service")
    assert [row.bar.tone for row in gate.rows if row.bar] == ["good", ""]
    first, others = tables(page, "What the ranker leans on")
    names = [row.cells[0] for row in (*first.rows, *others.rows)]
    assert names == [one.name for one in pair.importances]
    assert others.folded


def test_each_picture_says_what_it_shows(page: Page) -> None:
    """A name for the eye, and words for who does not see it; figures and pictures match."""
    html = page.html()
    named = re.findall(r'role="img" aria-labelledby="([^"]+)"', html)
    assert len(named) == len(set(named)) == 4
    for name in named:
        assert re.search(rf'<p class="says" id="{name}">[^<]{{40,}}</p>', html)


def test_a_report_that_fails_costs_no_pair(
    pair: TrainedPair, training: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full: the version is there all the same, and tracked."""
    settings = training.model_copy(update={"models_dir": tmp_path})
    tracked: list[int] = []

    def full(*_: object) -> Path:
        raise OSError("no space left")

    monkeypatch.setattr("models.train.write_report", full)
    monkeypatch.setattr("models.train.export", lambda *_: 3)
    monkeypatch.setattr("models.train.tracking.record", lambda *told: tracked.append(told[1]))
    assert export_pair(pair, settings) == 3
    assert tracked == [3]
    assert not report_path(tmp_path, 3).exists()
