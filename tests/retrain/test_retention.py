"""What stays on disk, and what a killed trainer left."""

import os
from pathlib import Path

import pytest

from contracts.settings import Settings
from models import registry, tracking
from retrain import model_config
from retrain.model_config import MODELS, Serving
from retrain.retention import (
    KEPT_REPORTS,
    LEFT_S,
    STABLE,
    came_into_service,
    history,
    labels_moved,
    needed,
    sweep,
    way_back,
)
from retrain.rollout import exported, prune

NOW_S = 1_750_000_000.0


def made(path: Path, age_s: float = 0.0) -> Path:
    """A folder of an age at `NOW_S`."""
    path.mkdir(parents=True)
    os.utime(path, (NOW_S - age_s,) * 2)
    return path


def pair(settings: Settings, version: int) -> None:
    for name in MODELS:
        made(settings.models_dir / name / str(version))


def test_the_way_back_is_the_version_before(settings: Settings) -> None:
    """Forth, back, and the same one again; nothing before the first."""
    assert way_back(settings) is None
    came_into_service(settings, 1, before=None)
    assert way_back(settings) is None
    came_into_service(settings, 2, before=1)
    came_into_service(settings, 2, before=2)
    assert (history(settings), way_back(settings)) == ([1, 2], 1)
    came_into_service(settings, 1, before=2)
    assert way_back(settings) == 2


def test_an_installation_without_a_history_has_a_way_back_at_once(settings: Settings) -> None:
    """What was in service before the first move that is noted."""
    came_into_service(settings, 8, before=3)
    assert way_back(settings) == 3


def test_a_damaged_history_is_none(settings: Settings) -> None:
    """It costs a way back, not the rollout."""
    came_into_service(settings, 1, before=None)
    (settings.models_dir / "in_service.json").write_text("[1,")
    assert history(settings) == []
    came_into_service(settings, 2, before=1)
    assert way_back(settings) == 1


def test_what_can_be_rolled_back_to_stays_however_old(settings: Settings) -> None:
    """Ten pairs: in service 2, before it 1, tried 4 and 5; of the others the newest three."""
    for version in range(1, 11):
        pair(settings, version)
    came_into_service(settings, 2, before=1)
    model_config.write(settings, Serving({STABLE: 2, "canary": 4}, frozenset({5})))
    assert needed(settings) == {1, 2, 4, 5}
    assert prune(settings, keep=3) == [3, 6, 7]
    assert exported(settings) == [1, 2, 4, 5, 8, 9, 10]


def test_nothing_goes_while_the_configuration_cannot_be_read(settings: Settings) -> None:
    """Who is in service is unknown then."""
    pair(settings, 1)
    settings.model_config_file.write_text("model_config_list {")
    with pytest.raises(ValueError, match=r"models\.config"):
        needed(settings)


def test_what_a_killed_trainer_left_goes_after_an_hour(settings: Settings) -> None:
    """Half exports, half pairs, half deletions; what may still be at work stays."""
    models = settings.models_dir
    made(models / ".export-old", LEFT_S + 1)
    made(models / ".export-new", LEFT_S - 1)
    made(models / "ranker" / ".deleted-3")
    for version in (2, 4):
        pair(settings, version)
    made(models / "candidates" / "3", LEFT_S + 1)
    # The newest number stays used, or it would be given to another pair.
    made(models / "candidates" / "5", LEFT_S + 1)
    assert sorted(sweep(settings, NOW_S)) == [".export-old", "candidates/3", "ranker/.deleted-3"]
    assert exported(settings) == [2, 4, 5]
    assert (models / ".export-new").exists()
    assert sweep(settings, NOW_S) == []


def test_half_a_pair_that_is_named_stays(settings: Settings) -> None:
    """Somebody has to look at it; to delete the rest would not mend it."""
    made(settings.models_dir / "candidates" / "3", LEFT_S + 1)
    pair(settings, 4)
    model_config.write(settings, Serving({STABLE: 3}))
    assert sweep(settings, NOW_S) == []


def test_reports_are_bounded(settings: Settings) -> None:
    """The newest stay."""
    for i in range(KEPT_REPORTS + 2):
        made(settings.models_dir / "reports" / f"audit-{i}", age_s=i)
    assert sorted(sweep(settings, NOW_S)) == [
        f"reports/audit-{KEPT_REPORTS}",
        f"reports/audit-{KEPT_REPORTS + 1}",
    ]


def test_a_move_of_labels_is_noted_where_nothing_is_tracked(settings: Settings) -> None:
    """The way back is; no registry is made for it, and an experiment's label is no way back."""
    labels_moved(settings, {}, {STABLE: 1})
    labels_moved(settings, {STABLE: 1}, {STABLE: 1, "canary": 2})
    assert (history(settings), way_back(settings)) == ([1], None)
    labels_moved(settings, {STABLE: 1, "canary": 2}, {STABLE: 2})
    assert way_back(settings) == 1
    assert not (settings.models_dir / "mlflow").exists()


def test_the_registrys_aliases_follow_the_labels(settings: Settings) -> None:
    """Stable is the champion; what another label names is the challenger, until no label does."""
    client = tracking.client_of(settings)
    experiment = client.create_experiment("test")
    for version in (1, 2):
        run_id = client.create_run(experiment).info.run_id
        tracking._register(client, run_id, version)
    labels_moved(settings, {}, {STABLE: 1, "canary": 2})
    assert registry.aliases(settings) == {"champion": 1, "challenger": 2}
    labels_moved(settings, {STABLE: 1, "canary": 2}, {STABLE: 2})
    assert registry.aliases(settings) == {"champion": 2}
    labels_moved(settings, {STABLE: 2}, {STABLE: 1})
    assert registry.aliases(settings) == {"champion": 1}
