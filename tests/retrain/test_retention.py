"""What stays on disk, and what a killed trainer left."""

import json
import os
from pathlib import Path

import pytest
from mlflow.entities import ViewType

from contracts.settings import Settings
from models import registry, tracking
from retrain import model_config
from retrain.model_config import MODELS, Serving
from retrain.reports import KEPT, write_refusal
from retrain.retention import (
    LEFT_S,
    came_into_service,
    history,
    labels_moved,
    needed,
    sweep,
    way_back,
)
from retrain.rollout import exported, prune

NOW_S = 1_750_000_000.0
STABLE = "stable"


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
    for i in range(KEPT + 2):
        made(settings.models_dir / "reports" / f"audit-{i}", age_s=i)
    assert sorted(sweep(settings, NOW_S)) == [
        f"reports/audit-{KEPT}",
        f"reports/audit-{KEPT + 1}",
    ]


def refused(settings: Settings, name: str, age_s: float) -> Path:
    """The reports of a training that was refused so long ago."""
    folder = made(settings.models_dir / "reports" / name)
    write_refusal(folder, "worse", {"refused_by": "gate"}, page="<h1>Refused</h1>")
    os.utime(folder, (NOW_S - age_s,) * 2)
    return folder


def test_what_was_refused_can_be_read_for_so_many_trainings_and_days(settings: Settings) -> None:
    """Whatever came to a pair since; the third refusal is one too many, the old one too old."""
    few = settings.model_copy(update={"refused_kept": 2, "refused_kept_days": 10})
    for i in range(KEPT):
        made(settings.models_dir / "reports" / f"passed-{i}", age_s=i)
    newest = refused(few, "a", age_s=1_000)
    refused(few, "b", age_s=2_000)
    refused(few, "c", age_s=3_000)
    assert sweep(few, NOW_S) == ["reports/c"]
    assert json.loads((newest / "refused.json").read_text())["note"] == "worse"
    assert (newest / "report.html").read_text() == "<h1>Refused</h1>"
    ten_days_s = 10 * 86_400
    assert sweep(few, NOW_S - 2_000 + ten_days_s) == []
    assert sweep(few, NOW_S - 1_999 + ten_days_s) == ["reports/b"]


def test_the_runs_of_refused_trainings_go_with_their_files(settings: Settings) -> None:
    """And so does one that its writer left; those of pairs stay, however old."""
    few = settings.model_copy(update={"refused_kept": 2, "refused_kept_days": 10})
    client = tracking.client_of(few)
    experiment = tracking._experiment(client, few)

    def run(age_s: float, *, tags: dict[str, str] | None = None, finished: bool = True) -> str:
        begun_ms = int((NOW_S - age_s) * 1_000)
        run_id: str = client.create_run(experiment, begun_ms, tags).info.run_id
        client.log_text(run_id, "x" * 1_000, "report.html")
        if finished:
            client.set_terminated(run_id)
        return run_id

    why = {tracking.REJECTED_TAG: "gate"}
    pairs = run(1e8, tags={tracking.PAIR_TAG: "1"})
    newest, second, third = (run(age_s, tags=why) for age_s in (1_000, 2_000, 3_000))
    left = run(LEFT_S + 1, finished=False)
    writing = run(LEFT_S - 1, finished=False)
    assert set(sweep(few, NOW_S)) == {f"run {third}", f"run {left}"}
    everything = client.search_runs([experiment], run_view_type=ViewType.ALL)
    assert {one.info.run_id for one in everything} == {pairs, newest, second, writing}
    files = few.models_dir / "mlflow" / "artifacts"
    assert {page.parent.parent.name for page in files.glob("*/*/report.html")} == {
        pairs,
        newest,
        second,
        writing,
    }
    client.set_terminated(writing)
    assert sweep(few, NOW_S + 10 * 86_400 - 1_500) == [f"run {second}"]


def test_runs_on_a_server_that_is_away_hold_up_no_training(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens there: they are looked at again before the next training."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = settings.model_copy(update={"mlflow_uri": "http://127.0.0.1:1"})
    made(settings.models_dir / ".export-old", LEFT_S + 1)
    assert sweep(away, NOW_S) == [".export-old"]


def test_a_move_of_labels_is_noted_where_nothing_is_tracked(settings: Settings) -> None:
    """The way back is; no registry is made for it, and an experiment's label is no way back."""
    labels_moved(settings, {}, {STABLE: 1})
    labels_moved(settings, {STABLE: 1}, {STABLE: 1, "canary": 2})
    assert (history(settings), way_back(settings)) == ([1], None)
    labels_moved(settings, {STABLE: 1, "canary": 2}, {STABLE: 2})
    assert way_back(settings) == 1
    assert not (settings.models_dir / "mlflow").exists()


def test_the_label_that_users_are_answered_under_is_a_setting(settings: Settings) -> None:
    """Another installation's is "prod"; then "stable" is like any experiment's."""
    renamed = settings.model_copy(update={"model_label": "prod"})
    labels_moved(renamed, {}, {"prod": 1})
    labels_moved(renamed, {"prod": 1, STABLE: 2}, {"prod": 3, STABLE: 2})
    assert (history(renamed), way_back(renamed)) == ([1, 3], 1)


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
