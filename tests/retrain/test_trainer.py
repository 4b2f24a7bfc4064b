"""The real training behind a request, on a small archive: trained, judged, exported, served."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.settings import Settings
from inference.model_server.server import ModelServer
from models.card import SERVED_COLUMNS
from models.holdout import Holdout
from models.scoring import CARD
from models.train import evaluate_version
from retrain import gate
from retrain.child import TrainingProcess
from retrain.in_service import load_in_service
from retrain.rollout import activate, current, exported
from retrain.trainer import train_judge_export
from tests.retrain.small_archive import write_answers, write_archive

PATIENCE_S = 240


@pytest.fixture
def small(settings: Settings) -> Settings:
    return settings.model_copy(update={"train_epochs": 2, "model_poll_s": 0.1})


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
    assert trained.metrics[gate.AUC] > 0.6
    assert 0 < trained.metrics[gate.NDCG] <= 1
    assert activate(served, 1, drain_s=0)
    model = load_in_service(served, 1)
    assert model.metrics == trained.metrics
    assert model.reference.columns == SERVED_COLUMNS
    card = json.loads((served.models_dir / "ranker" / "1" / CARD).read_text())
    assert card["audit_id"] == "audit-7"
    assert card["data"]["events"] == visits
    taught = card["served_answers"]
    assert answers / 2 < taught["choice_sets"] == taught["features_recomputed"] <= answers


def test_too_little_data_is_rejected_with_the_count(small: Settings) -> None:
    """An empty archive is no failure: the note says what is missing."""
    trained = train_judge_export(small, "audit")
    assert trained.version is None
    assert "too little data" in trained.note
    assert "0 interactions" in trained.note
    assert exported(small) == []


def test_a_pair_that_loses_against_the_one_in_service_is_not_exported(
    small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same data, same requests, the same AUC - until the one in service is said to be better."""
    write_archive(small.archive_dir)
    first = train_judge_export(small, "first")
    assert first.version == 1
    activate(small, 1, start_s=0)
    judged: list[float] = []

    def better(models_dir: Path, version: int, holdout: Holdout) -> dict[str, float]:
        real = evaluate_version(models_dir, version, holdout)
        judged.append(real[gate.AUC])
        return {name: value + 0.1 for name, value in real.items()}

    monkeypatch.setattr("retrain.trainer.evaluate_version", better)
    second = train_judge_export(small, "second")
    assert judged == pytest.approx([first.metrics[gate.AUC]], abs=1e-4)
    assert second.version is None
    assert gate.AUC in second.note
    assert exported(small) == [1]
    assert current(small) == 1
