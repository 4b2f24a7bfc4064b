"""Trainings in a real tracking server: Compose's own, with files handed through it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.entities import ViewType

from contracts.settings import Settings
from models import run_retention
from models.registry import CHALLENGER, CHAMPION, aliases, challenging, forget, promoted
from models.scoring import versions
from models.tracking import EXPERIMENT, Refused, client_of, record, record_refused
from models.train import TrainedPair, export_pair
from tests.docker.composed_mlflow import PYTHON, ComposedMlflow
from tests.docker.project import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="`.ci/setup.sh test-all` brings MLflow"),
]


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposedMlflow]:
    """Running."""
    composed = ComposedMlflow(tmp_path_factory.mktemp("composed"))
    child = composed.start()
    try:
        yield composed
    finally:
        child.stop()


@pytest.fixture(scope="module")
def tracked(
    mlflow: ComposedMlflow,
    pair: TrainedPair,
    training: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Settings:
    """Versions 1 and 2, exported with the server's address."""
    own = {"models_dir": tmp_path_factory.mktemp("models"), "mlflow_uri": mlflow.uri}
    settings = training.model_copy(update=own)
    assert [export_pair(pair, settings) for _ in range(2)] == [1, 2]
    return settings


#: As docs/operations.md says it, in the container.
GC = ("gc", "--backend-store-uri", "sqlite:////mlflow/mlflow.db")


def run_ids(settings: Settings) -> dict[str, str]:
    """Runs of pairs by version."""
    client = client_of(settings)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.`placestream.version` != ''")
    return {run.data.tags["placestream.version"]: run.info.run_id for run in found}


def test_a_run_and_its_files_are_the_servers(
    tracked: Settings, mlflow: ComposedMlflow, pair: TrainedPair, tmp_path: Path
) -> None:
    """Parameters, metrics and files come back from it; nothing is written beside the models."""
    client = client_of(tracked)
    run = client.get_run(run_ids(tracked)["1"])
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert run.data.params["data.sha256"] == pair.card["data"]["sha256"]
    assert {name: run.data.metrics[name] for name in pair.metrics} == pytest.approx(pair.metrics)
    got = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
    assert json.loads((got / "card.json").read_text())["data"] == pair.card["data"]
    for model in ("candidates", "ranker"):
        ours = tracked.models_dir / model / "1" / "saved_model.pb"
        assert (got / model / "saved_model.pb").read_bytes() == ours.read_bytes()
        assert (got / model / "MLmodel").exists()
    assert {"card.json", "saved_model.pb"} <= mlflow.files_of(run.info.run_id)
    assert not list((tracked.models_dir / "mlflow").iterdir())


def test_aliases_follow_a_rollout(tracked: Settings) -> None:
    """As they do in a file."""
    assert promoted(tracked, 1)
    assert challenging(tracked, 2)
    assert aliases(tracked) == {CHAMPION: 1, CHALLENGER: 2}
    assert promoted(tracked, 2)
    assert aliases(tracked) == {CHAMPION: 2}


def test_models_of_a_forgotten_version_leave_the_server(
    mlflow: ComposedMlflow, pair: TrainedPair, tracked: Settings, tmp_path: Path
) -> None:
    """Its volume would grow by a pair with each training; figures and card stay."""
    settings = tracked.model_copy(update={"models_dir": tmp_path})
    third = record_as(pair, 3, tracked, settings)
    before = {a.path for a in client_of(settings).list_artifacts(third)}
    assert {"candidates", "ranker", "card.json"} <= before
    forget(settings, [3])
    left = {a.path for a in client_of(settings).list_artifacts(third)}
    assert left == before - {"candidates", "ranker"}
    assert not promoted(settings, 3)
    assert promoted(settings, 2)


def record_as(pair: TrainedPair, version: int, exported: Settings, settings: Settings) -> str:
    """Record version 1's files under another number; return the run's id."""
    for model in ("candidates", "ranker"):
        (settings.models_dir / model).mkdir()
        (settings.models_dir / model / str(version)).symlink_to(
            exported.models_dir / model / "1", target_is_directory=True
        )
    run_id = record(pair, version, settings)
    assert run_id is not None
    return run_id


def test_a_refused_run_that_is_too_old_goes_with_its_files(
    mlflow: ComposedMlflow, tracked: Settings
) -> None:
    """Marked by the sweep, and out of the volume by the command of docs/operations.md."""
    run_id = record_refused(Refused("r-1", "worse", {"refused_by": "gate"}), tracked)
    assert run_id is not None
    assert mlflow.files_of(run_id) == {"rejected.json"}
    later_s = time.time() + (tracked.refused_kept_days + 1) * run_retention.DAY_S
    week_s = 7 * run_retention.DAY_S
    assert run_retention.drop_runs(tracked, now_s=later_s, unfinished_s=week_s) == [run_id]
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert f"docker compose exec mlflow mlflow {' '.join(GC)}\n" in page
    mlflow.command(*GC)
    client = client_of(tracked)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    left = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
    assert run_id not in {run.info.run_id for run in left}
    assert mlflow.files_of(run_id) == set()
    assert all(mlflow.files_of(kept) for kept in run_ids(tracked).values())


def test_it_answers_to_its_names_alone(mlflow: ComposedMlflow) -> None:
    """Those of Compose's network and of this machine; a page elsewhere cannot lend it another."""
    assert mlflow.status(f"mlflow:{mlflow.port}") == 200
    assert mlflow.status(f"localhost:{mlflow.port}") == 200
    assert mlflow.status("rebound.example") == 403


def test_a_server_that_went_away_costs_the_run_not_the_pair(
    pair: TrainedPair, training: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed, and comes back with what it had: the next pair is tracked again."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    composed = ComposedMlflow(tmp_path)
    settings = training.model_copy(
        update={"models_dir": tmp_path / "models", "mlflow_uri": composed.uri}
    )
    child = composed.start()
    try:
        assert export_pair(pair, settings) == 1
        child.kill()
        assert composed.health() != 0
        assert export_pair(pair, settings) == 2
        assert versions(settings.models_dir) == [1, 2]
        child = composed.start()
        assert export_pair(pair, settings) == 3
        assert set(run_ids(settings)) == {"1", "3"}
    finally:
        child.stop()
