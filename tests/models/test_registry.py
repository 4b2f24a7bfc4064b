"""Aliases of the registry follow the rollout, and its copies go with the versions on disk."""

from pathlib import Path

import pytest

from contracts.settings import Settings
from models.registry import (
    CHALLENGER,
    CHAMPION,
    aliases,
    challenging,
    forget,
    no_challenger,
    promoted,
)
from models.tracking import EXPERIMENT, client_of
from models.train import TrainedPair, export_pair

pytestmark = pytest.mark.slow


@pytest.fixture
def two(pair: TrainedPair, training: Settings, tmp_path: Path) -> Settings:
    """Versions 1 and 2, exported and tracked."""
    settings = training.model_copy(update={"models_dir": tmp_path})
    assert [export_pair(pair, settings) for _ in range(2)] == [1, 2]
    return settings


def test_aliases_follow_a_rollout_forth_and_back(two: Settings) -> None:
    """Promoted, challenged, promoted over, rolled back; a challenger that won is none any more."""
    assert promoted(two, 1)
    assert aliases(two) == {CHAMPION: 1}
    assert challenging(two, 2)
    assert aliases(two) == {CHAMPION: 1, CHALLENGER: 2}
    assert promoted(two, 2)
    assert aliases(two) == {CHAMPION: 2}
    assert challenging(two, 1)
    assert no_challenger(two)
    assert no_challenger(two)
    assert promoted(two, 1)
    assert aliases(two) == {CHAMPION: 1}


def test_what_cannot_be_told_is_said_and_holds_nothing_up(
    two: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that was never registered, and a server that is away."""
    assert not promoted(two, 9)
    assert aliases(two) == {}
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = two.model_copy(update={"mlflow_uri": "http://127.0.0.1:1"})
    assert not promoted(away, 1)
    assert not no_challenger(away)
    forget(away, [1])


def test_a_forgotten_version_leaves_its_run_and_takes_its_models_along(two: Settings) -> None:
    """Figures and card stay for whoever compares; the copies of the models go."""
    forget(two, [1])
    client = client_of(two)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = {
        r.data.tags["placestream.version"]: r
        for r in client.search_runs([experiment.experiment_id])
    }
    left = {v: {a.path for a in client.list_artifacts(r.info.run_id)} for v, r in runs.items()}
    assert left == {
        "1": {"card.json", "plots", "report.html"},
        "2": {"card.json", "plots", "report.html", "candidates", "ranker"},
    }
    assert not promoted(two, 1)
    assert promoted(two, 2)
