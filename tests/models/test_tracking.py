"""Trainings as runs of MLflow: written by default, and never in the way of a pair."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.models import Model

from contracts.settings import Settings
from models.code_version import code_version
from models.report.training import report_path
from models.scoring import load_scorer, versions
from models.tracking import EXPERIMENT, client_of, record
from models.train import TrainedPair, export_pair


def test_a_training_is_a_run_with_all_that_came_of_it(
    pair: TrainedPair, training: Settings, tmp_path: Path
) -> None:
    """Parameters, metrics, the losses of each epoch, the card, and models that can be loaded."""
    settings = training.model_copy(update={"models_dir": tmp_path})
    pair = replace(pair, card=pair.card | {"audit_id": "a1b2"})
    version = export_pair(pair, settings)
    client = client_of(settings)
    (run,) = runs_of(client)
    assert run.data.tags["placestream.audit_id"] == "a1b2"
    for name in settings.model_dump().keys() & run.data.params.keys():
        assert run.data.params[name] == str(getattr(settings, name))
    kept = {"train_memory_mb"}  # where rows are kept changes no batch
    trained = {name for name in settings.model_dump() if name.startswith("train_")} - kept
    assert {"ranker_model", "candidate_model", *trained} <= run.data.params.keys()
    assert run.info.status == "FINISHED"
    assert run.data.tags["placestream.version"] == str(version)
    assert run.data.params["seed"] == str(settings.seed)
    assert run.data.params["data.sha256"] == pair.card["data"]["sha256"]
    assert {name: run.data.metrics[name] for name in pair.metrics} == pytest.approx(pair.metrics)
    for model, epochs in pair.curves.items():
        logged = client.get_metric_history(run.info.run_id, f"{model}.validation_loss")
        assert [m.value for m in sorted(logged, key=lambda m: m.step)] == pytest.approx(
            [epoch.validation_loss for epoch in epochs]
        )
    assert {*pair.curves} == {"candidates", "ranker"}
    for cost in pair.costs:
        name = f"cost.{cost.stage.replace(' ', '_')}"
        assert run.data.metrics[f"{name}.seconds"] == pytest.approx(cost.seconds, abs=1e-3)
        assert run.data.metrics[f"{name}.peak_rss_mb"] > 0
    assert run.data.metrics["cost.choice_sets.rows_per_s"] > 0
    assert run.data.metrics["cost.export.seconds"] > 0
    artifacts = Path(client.download_artifacts(run.info.run_id, "", str(_made(tmp_path / "got"))))
    assert json.loads((artifacts / "card.json").read_text())["data"] == pair.card["data"]
    assert (artifacts / "candidates" / "saved_model.pb").exists()
    assert (artifacts / "ranker" / "saved_model.pb").exists()
    assert {p.name for p in (artifacts / "plots").iterdir()} == {"calibration.svg", "losses.svg"}
    assert run.data.tags["placestream.code"] == code_version()
    page = (artifacts / "report.html").read_text(encoding="utf-8")
    assert f"<h1>Training of version {version}</h1>" in page
    assert page == report_path(tmp_path, version).read_text(encoding="utf-8")


def test_the_signature_of_each_model_is_told(
    pair: TrainedPair, training: Settings, tmp_path: Path
) -> None:
    """MLflow's own reader finds the inputs and outputs that the exported model has."""
    settings = training.model_copy(update={"models_dir": tmp_path})
    version = export_pair(pair, settings)
    client = client_of(settings)
    (run,) = runs_of(client)
    artifacts = Path(client.download_artifacts(run.info.run_id, "", str(_made(tmp_path / "got"))))
    scorer = load_scorer(tmp_path, version)
    for name, served in (("candidates", scorer.candidate_fn), ("ranker", scorer.ranker_fn)):
        told = Model.load(str(artifacts / name / "MLmodel")).signature
        takes: Any = served
        assert set(told.inputs.input_names()) == set(takes.structured_input_signature[1])
        assert set(told.outputs.input_names()) == set(takes.structured_outputs)
        by_name = {spec.name: spec for spec in told.inputs.inputs}
        for each, spec in takes.structured_input_signature[1].items():
            assert by_name[each].type == spec.dtype.as_numpy_dtype
            assert len(by_name[each].shape) == spec.shape.rank


@pytest.mark.slow
def test_a_second_training_is_a_second_run(
    pair: TrainedPair, training: Settings, tmp_path: Path
) -> None:
    """Of the same experiment, told apart by its version."""
    settings = training.model_copy(update={"models_dir": tmp_path})
    made = [export_pair(pair, settings) for _ in range(2)]
    tags = [run.data.tags["placestream.version"] for run in runs_of(client_of(settings))]
    assert sorted(map(int, tags)) == made


def test_a_store_that_is_away_costs_the_run_not_the_pair(
    pair: TrainedPair, training: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens there: the pair is exported all the same."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = {"models_dir": tmp_path, "mlflow_uri": "http://127.0.0.1:1"}
    settings = training.model_copy(update=away)
    version = export_pair(pair, settings)
    assert versions(tmp_path) == [version]
    assert record(pair, version, settings) is None


def runs_of(client: Any) -> list[Any]:
    """All runs of our experiment."""
    return list(client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id]))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
