"""A rollout against the embedded model server: nothing half loaded, nothing lost on failure."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from contracts.settings import Settings
from inference.model_server.server import ModelServer
from retrain import model_config
from retrain.model_admin import ModelAdmin, ModelServerError
from retrain.model_config import MODELS, Serving
from retrain.rollout import RolloutFailed, activate, current, ensure_config, exported, prune
from tests.retrain.tiny_models import answer, break_model, export

STABLE = "stable"


@pytest.fixture
def served(settings: Settings) -> Iterator[Settings]:
    """Settings of an installation whose model server runs, strict about labels as the real one."""
    quick = settings.model_copy(update={"model_poll_s": 0.1, "model_server_rest_port": 0})
    with ModelServer(quick, allow_version_labels_for_unavailable_models=False):
        yield quick


def answers(settings: Settings) -> list[int | str]:
    return [answer(settings, name, STABLE) for name in MODELS]


def wait_unloaded(settings: Settings, version: int) -> None:
    """Until the server no longer holds this version (it unloads in its own time)."""
    deadline = time.monotonic() + 30
    with ModelAdmin(settings.model_server, timeout_s=0) as server:
        while time.monotonic() < deadline:
            try:
                server.wait_available(version, alive=lambda: None)
            except ModelServerError:
                return
            time.sleep(0.05)
    pytest.fail(f"version {version} is still loaded")


def test_the_first_pair_comes_into_service(served: Settings) -> None:
    """The server waits for its configuration; one call later both models answer by label."""
    export(served, 1)
    assert current(served) is None
    assert activate(served, 1, drain_s=0)
    assert answers(served) == [1, 1]
    assert current(served) == 1


def test_an_empty_configuration_is_a_start_too(settings: Settings) -> None:
    """What the trainer writes for a real TF Serving, which needs a file, serves nothing yet."""
    ensure_config(settings)
    assert current(settings) is None
    with ModelServer(settings):
        export(settings, 1)
        assert activate(settings, 1, drain_s=0)
        assert answers(settings) == [1, 1]


def test_a_label_moves_without_a_request_failing(served: Settings) -> None:
    """Requests by label flow during the rollout: all are answered, by 1 and then by 2."""
    export(served, 1)
    export(served, 2)
    activate(served, 1, drain_s=0)
    seen: list[int | str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            seen.append(answer(served, "ranker", STABLE))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        activate(served, 2, drain_s=0.5)
    finally:
        done.set()
        asking.join()
    assert set(seen) == {1, 2}
    assert seen == sorted(seen, key=int)
    assert answers(served) == [2, 2]


def test_the_old_version_is_unloaded_and_stays_on_disk(served: Settings) -> None:
    """Memory holds one pair; the way back is on disk, and works."""
    for version in (1, 2):
        export(served, version)
        activate(served, version, drain_s=0)
    assert model_config.read(served).versions == (2,)
    assert exported(served) == [1, 2]
    activate(served, 1, drain_s=0)
    assert answers(served) == [1, 1]


@pytest.mark.parametrize("broken", MODELS)
def test_a_pair_with_a_broken_half_changes_nothing(served: Settings, broken: str) -> None:
    """One model of version 2 does not load: both labels stay on 1, and version 2 is let go."""
    export(served, 1)
    export(served, 2)
    activate(served, 1, drain_s=0)
    break_model(served, broken, 2)
    with pytest.raises(RolloutFailed, match=f"version 2 of {broken} at"):
        activate(served, 2, drain_s=0)
    assert answers(served) == [1, 1]
    assert model_config.read(served) == Serving({STABLE: 1})


def test_a_broken_first_pair_leaves_nothing_configured(served: Settings) -> None:
    """Nothing was in service, nothing is; a good pair comes in afterwards."""
    export(served, 1)
    break_model(served, "ranker", 1)
    with pytest.raises(RolloutFailed):
        activate(served, 1, drain_s=0)
    assert current(served) is None
    export(served, 2)
    activate(served, 2, drain_s=0)
    assert answers(served) == [2, 2]


def test_what_is_not_on_disk_is_refused_before_anything_is_touched(served: Settings) -> None:
    """Half a pair is no pair."""
    export(served, 1)
    activate(served, 1, drain_s=0)
    (served.models_dir / "candidates" / "2").mkdir()
    with pytest.raises(RolloutFailed, match="candidates 2 is not exported"):
        activate(served, 2, drain_s=0)
    assert current(served) == 1


def test_without_a_server_the_file_is_written_and_read_at_its_start(settings: Settings) -> None:
    """The rollout says that nobody confirmed it; a server that starts later serves it."""
    export(settings, 1)
    assert not activate(settings, 1, start_s=0)
    assert current(settings) == 1
    with ModelServer(settings), ModelAdmin(settings.model_server, timeout_s=30) as server:
        server.wait_available(1, alive=lambda: None)
        assert answers(settings) == [1, 1]


def test_activating_again_is_harmless(served: Settings) -> None:
    """A trainer that was killed after the rollout repeats it."""
    export(served, 1)
    for _ in range(2):
        activate(served, 1, drain_s=0)
        assert answers(served) == [1, 1]


@pytest.mark.parametrize("stop_at", range(9))
def test_a_rollout_cut_short_anywhere_leaves_a_served_version(
    served: Settings, stop_at: int
) -> None:
    """Killed before its n-th step: a version that is loaded answers, and a repeat completes it."""
    export(served, 1)
    export(served, 2)
    activate(served, 1, drain_s=0)
    steps = iter(range(100))

    def guard() -> None:
        if next(steps) == stop_at:
            raise InterruptedError

    try:
        activate(served, 2, guard=guard, drain_s=0)
    except InterruptedError:
        assert current(served) in (1, 2)
        assert answers(served) in ([1, 1], [2, 2])
    activate(served, 2, drain_s=0)
    assert answers(served) == [2, 2]
    wait_unloaded(served, 1)


def test_other_labels_stay_where_they_are(served: Settings) -> None:
    """A canary beside stable is none of this rollout's business."""
    for version in (1, 2):
        export(served, version)
    activate(served, 1, drain_s=0)
    activate(served.model_copy(update={"model_label": "canary"}), 2, drain_s=0)
    assert [answer(served, "ranker", label) for label in (STABLE, "canary")] == [1, 2]
    export(served, 3)
    activate(served, 3, drain_s=0)
    assert [answer(served, "ranker", label) for label in (STABLE, "canary")] == [3, 2]


def test_the_file_is_tf_servings_own_format(settings: Settings) -> None:
    """Names, absolute paths as the server sees them, specific versions, labels."""
    elsewhere = settings.model_copy(update={"models_base_path": Path("/models")})
    model_config.write(elsewhere, Serving({"stable": 3}, frozenset({4})))
    config = text_format.Parse(elsewhere.model_config_file.read_text(), ModelServerConfig())
    assert [m.base_path for m in config.model_config_list.config] == [
        "/models/candidates",
        "/models/ranker",
    ]
    for model in config.model_config_list.config:
        assert model.model_platform == "tensorflow"
        assert list(model.model_version_policy.specific.versions) == [3, 4]
        assert dict(model.version_labels) == {"stable": 3}
    assert model_config.read(elsewhere) == Serving({"stable": 3}, frozenset({4}))


def test_who_lost_the_lease_while_writing_leaves_the_file(settings: Settings) -> None:
    """The lease is asked when all but the name is on disk: what a successor wrote stays."""
    model_config.write(settings, Serving({STABLE: 1}))

    def successor() -> None:
        model_config.write(settings, Serving({STABLE: 2}))
        raise InterruptedError

    with pytest.raises(InterruptedError):
        model_config.write(settings, Serving({STABLE: 3}), successor)
    assert model_config.read(settings) == Serving({STABLE: 2})
    assert [p.name for p in settings.model_config_file.parent.iterdir()] == ["models.config"]


@pytest.mark.parametrize(
    "text",
    [
        "model_config_list {",
        'model_config_list { config { name: "ranker" base_path: "/m" } }',
    ],
)
def test_a_damaged_configuration_is_named_not_overwritten(settings: Settings, text: str) -> None:
    """Cut off, or half a pair: someone has to look at it."""
    export(settings, 1)
    settings.model_config_file.write_text(text)
    with pytest.raises(RolloutFailed, match=r"models\.config"):
        activate(settings, 1)
    assert settings.model_config_file.read_text() == text


def test_retention_keeps_the_newest_and_whatever_is_served(settings: Settings) -> None:
    """Of five, the newest three stay, and the first because it is in service."""
    for version in range(1, 6):
        for name in MODELS:
            (settings.models_dir / name / str(version)).mkdir(parents=True)
    (settings.models_dir / "ranker" / ".deleted-0").mkdir()
    model_config.write(settings, Serving({STABLE: 1}))
    assert prune(settings, keep=3) == [2]
    assert exported(settings) == [1, 3, 4, 5]
    assert [path.name for path in (settings.models_dir / "ranker").glob(".*")] == []


def test_pairs_that_cannot_be_loaded_do_not_pile_up(served: Settings) -> None:
    """Each is refused by the server; the newest three stay, and the one that answers."""
    export(served, 1)
    activate(served, 1, drain_s=0)
    for version in range(2, 7):
        export(served, version)
        break_model(served, "ranker", version)
        with pytest.raises(RolloutFailed):
            activate(served, version, drain_s=0)
    assert exported(served) == [1, 4, 5, 6]
    assert current(served) == 1


def test_the_states_of_all_versions_are_told(served: Settings) -> None:
    """By version and model; a server without models knows none."""
    with ModelAdmin(served.model_server, timeout_s=5) as server:
        assert server.states(5) == {}
        export(served, 1)
        activate(served, 1, drain_s=0)
        assert server.states(5) == {1: dict.fromkeys(MODELS, "AVAILABLE")}


def test_a_silent_server_tells_no_states(settings: Settings) -> None:
    """Nobody listens there."""
    with (
        ModelAdmin(settings.model_server, timeout_s=5) as server,
        pytest.raises(ModelServerError, match="UNAVAILABLE"),
    ):
        server.states(1)
