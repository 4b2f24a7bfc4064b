"""The real training behind a request, on a small archive: trained, judged, exported, served."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.settings import Settings
from inference.model_server.server import ModelServer
from models import registry
from models.card import SERVED_COLUMNS
from models.comparison import AUC, NDCG
from models.holdout import Holdout, Judged
from models.scoring import CARD
from models.tracking import EXPERIMENT, REGISTERED, REJECTED_TAG, client_of
from models.train import judge_version
from retrain.check_data import PROFILE
from retrain.child import TrainingProcess
from retrain.in_service import load_in_service
from retrain.reports import report_folder
from retrain.rollout import activate, current, exported
from retrain.trainer import train_judge_export
from tests.retrain.small_archive import write_answers, write_archive

PATIENCE_S = 240


@pytest.fixture
def small(settings: Settings) -> Settings:
    return settings.model_copy(update={"train_epochs": 2, "model_poll_s": 0.1, "data_max_age_s": 0})


@pytest.fixture
def served(small: Settings) -> Iterator[Settings]:
    with ModelServer(small):
        yield small


def test_an_archive_becomes_a_pair_in_service_with_its_reference(served: Settings) -> None:
    """In a child process, as the daemon does; what is exported is all that drift needs, and the
    card says how many answers of the archive taught."""
    visits = write_archive(served.archive_dir)
    answers = write_answers(served.archive_dir)
    child = TrainingProcess(train_judge_export, served, "audit-7")
    try:
        trained = child.wait(PATIENCE_S)
    finally:
        child.stop()
    assert trained is not None
    assert trained.version == 1, trained.note
    assert trained.metrics[AUC] > 0.6
    assert 0 < trained.metrics[NDCG] <= 1
    assert activate(served, 1, drain_s=0)
    model = load_in_service(served, 1)
    assert model.metrics == trained.metrics
    assert model.reference.columns == SERVED_COLUMNS
    card = json.loads((served.models_dir / "ranker" / "1" / CARD).read_text())
    assert card["audit_id"] == "audit-7"
    assert card["data"]["events"] == visits
    taught = card["served_answers"]
    assert answers / 2 < taught["choice_sets"] == taught["features_recomputed"] <= answers
    assert card[PROFILE]["columns"]["interactions"]["is_visit"]["mean"] == 1.0
    assert (report_folder(served, "audit-7") / "interactions.html").exists()
    assert registry.aliases(served) == {registry.CHAMPION: 1}
    client = client_of(served)
    (found,) = client.search_model_versions(f"name='{REGISTERED}'")
    assert found.run_id is not None
    assert {"data", "plots", "card.json"} <= {a.path for a in client.list_artifacts(found.run_id)}


def test_too_little_data_is_rejected_with_the_count(small: Settings) -> None:
    """An empty archive is no failure: the note says what is missing."""
    trained = train_judge_export(small, "audit")
    assert trained.version is None
    assert "too little data" in trained.note
    assert "0 interactions" in trained.note
    assert exported(small) == []


@pytest.mark.slow
def test_a_pair_that_loses_against_the_one_in_service_is_not_exported(
    small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same data, same requests, the same AUC - until the one in service is said to be better."""
    write_archive(small.archive_dir)
    first = train_judge_export(small, "first")
    assert first.version == 1
    activate(small, 1, start_s=0)
    judged: list[float] = []

    def better(models_dir: Path, version: int, holdout: Holdout) -> Judged:
        real = judge_version(models_dir, version, holdout)
        judged.append(real.metrics[AUC])
        return replace(real, metrics={name: value + 0.1 for name, value in real.metrics.items()})

    monkeypatch.setattr("retrain.trainer.judge_version", better)
    second = train_judge_export(small, "second")
    assert judged == pytest.approx([first.metrics[AUC]], abs=1e-4)
    assert second.version is None
    assert AUC in second.note
    assert second.evidence["refused_by"] == "gate"
    assert second.evidence["failed"][0]["metric"] == AUC
    overall = second.evidence["compared"][0]
    # The same training on the same data: request by request the same answers.
    assert (overall["part"], overall["difference"]) == ("overall", pytest.approx(0, abs=0.002))
    on_rows = msgspec.json.decode(msgspec.json.encode(second.evidence))["compared"][-1]
    assert (on_rows["metric"], on_rows["difference"]) == ("auc", pytest.approx(0, abs=0.002))
    assert on_rows["low"] <= on_rows["difference"] <= on_rows["high"]
    assert exported(small) == [1]
    assert current(small) == 1
    (run,) = rejected_runs(small)
    assert run.data.tags[REJECTED_TAG] == "gate"
    assert run.data.tags["placestream.audit_id"] == "second"
    assert run.data.metrics[AUC] == pytest.approx(second.metrics[AUC])
    found = {item.path for item in client_of(small).list_artifacts(run.info.run_id)}
    assert found == {"card.json", "data", "plots", "rejected.json", "report.html"}
    folder = report_folder(small, "second")
    assert second.evidence["report"] == str(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<h1>Training that was refused</h1>" in page
    assert "Against the pair in service" in page
    assert json.loads((folder / "refused.json").read_text())["failed"] == second.evidence["failed"]


def rejected_runs(settings: Settings) -> list[Any]:
    """Runs of trainings that were refused."""
    client = client_of(settings)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    query = f"tags.`{REJECTED_TAG}` != ''"
    return list(client.search_runs([experiment.experiment_id], query))


def test_data_that_are_not_fit_are_not_trained_on(
    small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive ended years ago: no training begins, and note, evidence and report say why."""
    write_archive(small.archive_dir)
    monkeypatch.setattr("retrain.trainer.train_pair", lambda *_, **__: pytest.fail("trained"))
    aged = small.model_copy(update={"data_max_age_s": 3_600})
    trained = train_judge_export(aged, "../audit 9")
    assert trained.version is None
    assert "not fit to learn from: interactions.time_s.freshness" in trained.note
    assert trained.evidence["refused_by"] == "data"
    assert [f["check"] for f in trained.evidence["failed"]] == ["interactions.time_s.freshness"]
    report = Path(trained.evidence["report"])
    assert report == small.models_dir / "reports" / "___audit_9"
    assert "Failed" in (report / "interactions.html").read_text()
    assert json.loads((report / "refused.json").read_text())["note"] == trained.note
    (run,) = rejected_runs(aged)
    assert run.data.tags[REJECTED_TAG] == "data"
    assert "freshness" in run.data.tags["mlflow.note.content"]
    found = {item.path for item in client_of(aged).list_artifacts(run.info.run_id)}
    assert found == {"data", "rejected.json"}
