"""`placestream drift report` on an archive: the same judgement as the trainer's, to look at."""

import doctest
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from contracts.events import Impression, encode
from contracts.settings import Settings
from models.report.charts import Chart
from online_features.archive_schema import IMPRESSIONS
from placestream.cli import app
from placestream.drift import report
from placestream.drift.report import NothingToJudge, judge, page_of, summary
from placestream.stack.environment import environment
from retrain.archived_answers import archived_answers
from retrain.drift_watch import DriftWatch
from retrain.in_service import load_in_service
from streams.archive import by_day, write_whole
from streams.impressions import decode_impressions
from tests.retrain.drifting import COLUMNS, START_S, impressions, put_in_service
from tests.streams.stream import Sent

ANSWERS = 400
SHIFTED = {"rating": 1.5, "temperature": 2.0}


def archived(settings: Settings, answers: Sequence[Impression]) -> None:
    """Write answers as the stream archives them."""
    records: Any = [Sent(0, i, 4_000_000_000_000, b"", encode(a)) for i, a in enumerate(answers)]
    table = decode_impressions(records).table()
    for part, folder in by_day(table, settings.archive_dir / IMPRESSIONS):
        write_whole(part, folder)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Without a server: version 1 is in service; rating and temperature have moved."""
    settings = Settings(
        _env_file=None,
        archive_dir=tmp_path / "archive",
        models_dir=tmp_path / "models",
        model_config_file=tmp_path / "models" / "models.config",
        drift_min_answers=200,
        drift_window_answers=600,
    )
    put_in_service(settings, 1)
    archived(settings, impressions(1, ANSWERS, SHIFTED) + impressions(2, 50))
    return settings


def test_it_judges_as_the_trainer_does(settings: Settings) -> None:
    """The detectors on what Kafka would have brought say the same of every column."""
    found = judge(settings, None)
    watch = DriftWatch(settings, load_in_service(settings, 1), np.random.default_rng(0))
    watch.update(impressions(1, ANSWERS, SHIFTED))
    theirs = watch.judge()
    assert theirs is not None
    psi = dict(zip((*COLUMNS, "probability"), theirs.psi.tolist(), strict=True))
    assert {one.name: one.psi for one in found.columns} == pytest.approx(psi)
    assert (found.answers, found.users) == (ANSWERS, ANSWERS)


def test_what_drifted_is_named_and_the_sky_asks_for_nothing(settings: Settings) -> None:
    """Both columns moved; only one of them may ask for a training."""
    found = judge(settings, 1)
    assert [one.name for one in found.drifted] == ["rating"]
    assert "1 of 4 columns are beyond PSI 0.2 and chance: rating." in summary(found)
    page = page_of(found)
    (columns,) = [part for part in page.sections[0].parts if not isinstance(part, Chart)]
    verdicts = {
        row.cells[0]: (row.cells[-1], row.bar.tone if row.bar else "") for row in columns.rows
    }
    assert verdicts["rating"] == ("drifted", "bad")
    assert verdicts["temperature"] == ("by the clock or the sky", "")
    assert verdicts["probability"] == ("", "")


def test_the_picture_of_a_column_is_its_shares(settings: Settings) -> None:
    """They sum to one on either side; the bin that gained most is the highest one."""
    found = judge(settings, None)
    rating = next(one for one in found.columns if one.name == "rating")
    assert rating.served.sum() == pytest.approx(1)
    assert rating.expected.sum() == pytest.approx(1)
    drawn = page_of(found).sections[1].parts
    (chart,) = [one for one in drawn if isinstance(one, Chart) and one.title == "rating"]
    assert chart.says.startswith(
        f"PSI {rating.psi:.3f}. The bin that changed most is {rating.labels[-1]}"
    )


def test_only_the_newest_of_the_version_count(settings: Settings) -> None:
    """At most so many, and none of another version or of after `until`."""
    model = load_in_service(settings, 1)
    newest = archived_answers(settings.archive_dir, model, most=100)
    assert newest is not None
    assert len(newest) == 100
    every = archived_answers(settings.archive_dir, model, most=10**6)
    assert every is not None
    assert len(every) == ANSWERS
    np.testing.assert_array_equal(every.time_s[-100:], newest.time_s)
    np.testing.assert_array_equal(every.values[-300:], newest.values)
    assert archived_answers(settings.archive_dir, model, most=9, until_s=START_S) is None


def test_too_few_answers_and_no_version_are_said(settings: Settings) -> None:
    """With what would have to be there."""
    put_in_service(settings, 3)
    with pytest.raises(NothingToJudge, match="holds 0 answers of version 3; a judgement needs 200"):
        judge(settings, None)
    settings.model_config_file.unlink()
    with pytest.raises(NothingToJudge, match="name one with --version"):
        judge(settings, None)


def test_the_command_prints_a_table_and_writes_a_page(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And says in a line what stands in its way."""
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    run: Callable[..., Any] = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke
    out = tmp_path / "deep" / "drift.html"
    result = run(app, ["drift", "report", "--html", str(out)])
    assert result.exit_code == 0, result.output
    assert "rating" in result.output
    html = out.read_text(encoding="utf-8")
    assert "Drift of what version 1 is asked" in html
    assert "MMD by chance" in html
    missing = run(app, ["drift", "report", "--version", "9"])
    assert missing.exit_code == 1
    assert "placestream.json" in missing.output


def test_the_examples_in_the_docstrings_run() -> None:
    """Names of bins."""
    failed, attempted = doctest.testmod(report)
    assert attempted > 0
    assert failed == 0
