"""A way back whose version is gone from disk: on real Redis, files, and a real model server."""

import shutil

import pytest

from contracts.settings import Settings
from retrain.experiments import Experiment, State
from retrain.model_config import MODELS
from retrain.orders import NotNow
from retrain.retention import came_into_service
from retrain.rollout import current
from retrain.way_back import WayBack, way_back_from
from tests.retrain.bench import NOW_S, ONLY_1, Bench
from tests.retrain.test_controller import metric


def lose(settings: Settings, version: int) -> None:
    """Somebody deletes a version."""
    for name in MODELS:
        shutil.rmtree(settings.models_dir / name / str(version))


def gone(then: str) -> float:
    return metric("way_back_gone_total", then=then)


def promoted(bench: Bench, version: int) -> None:
    controller = bench.controller()
    bench.in_canary(controller, version)
    controller.order(f"pair-{version}", "promoting", "by hand")


@pytest.mark.slow
def test_what_served_before_stands_in_for_a_baseline_that_is_gone(bench: Bench) -> None:
    """1, 2 and 3 served; 3 is rolled back and 2 is gone: 1 serves, and the history says why."""
    promoted(bench, 2)
    promoted(bench, 3)
    lose(bench.settings, 2)
    before = gone("another")
    ended = bench.controller().order("pair-3", "rolling_back", "bookings fell")
    assert (ended.state, current(bench.settings), bench.by_label) == ("rolled_back", 1, ONLY_1)
    last = bench.controller().experiments.history("pair-3")[-1]
    assert (last.state, last.note) == ("rolled_back", ended.note)
    assert ended.note.startswith("bookings fell; version 2, to go back to, is gone from ")
    assert ended.note.endswith(": version 1, which served before, takes its place")
    assert bench.outbox.steps[-1].note == ended.note
    assert gone("another") == before + 1


@pytest.mark.slow
def test_a_trial_ends_even_if_the_version_in_service_is_gone(bench: Bench) -> None:
    """A canary is worse, and what it was compared with is gone: it is not tried for ever, and
    users are not left with a label under which the server has nothing."""
    promoted(bench, 2)
    controller = bench.controller()
    bench.in_canary(controller, 3)
    lose(bench.settings, 2)
    bench.rates = (0.2, 0.02)
    ended = controller.step()
    assert ended is not None
    assert (ended.state, bench.plan(), bench.by_label) == ("rolled_back", None, ONLY_1)
    assert controller.step() is None


def test_a_trial_ends_even_if_nothing_is_left(bench: Bench) -> None:
    """Only the version in service ever served, and it is gone: told once, with what to do."""
    controller = bench.controller()
    bench.in_canary(controller)
    lose(bench.settings, 1)
    bench.rates = (0.2, 0.02)
    before = gone("none")
    ended = controller.step()
    assert ended is not None
    assert (ended.state, bench.plan()) == ("rolled_back", None)
    assert "version 1, to go back to, is gone" in ended.note
    assert "`placestream retrain --now`" in ended.note
    assert controller.step() is None
    assert gone("none") == before + 1
    assert bench.told == ["shadow", "canary", "rolled_back"]


def test_a_promoted_pair_is_not_left_for_nothing(bench: Bench) -> None:
    """The order is refused in words, the pair serves on, and its history tells of the wish."""
    promoted(bench, 2)
    lose(bench.settings, 1)
    bench.now_s += 60
    controller = bench.controller()
    with pytest.raises(NotNow, match="pair-2 stays in service: version 1, to go back to, is gone"):
        controller.order("pair-2", "rolling_back", "bookings fell")
    assert (current(bench.settings), bench.by_label[0]) == (2, "2")
    assert controller.experiments.get("pair-2").state == "promoted"
    last = controller.experiments.history("pair-2")[-1]
    assert (last.at_s, last.state) == (NOW_S + 60, "promoted")
    assert last.note.startswith("bookings fell: not rolled back, for version 1, to go back to, ")
    assert controller.step() is None
    assert bench.told == ["shadow", "canary", "promoted"]


def test_a_rollback_under_way_ends_where_it_can(bench: Bench) -> None:
    """The baseline goes while its rollback is cut short: the pair that serves is promoted still."""
    promoted(bench, 2)
    controller = bench.controller()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("retrain.controller.Controller._finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            controller.order("pair-2", "rolling_back", "bookings fell")
    lose(bench.settings, 1)
    ended = bench.controller().step()
    assert ended is not None
    assert (ended.state, current(bench.settings)) == ("promoted", 2)
    assert bench.outbox.steps[-1].note == ended.note
    assert "is gone" in ended.note


def of(version: int, state: State, baseline: int | None = None) -> Experiment:
    """The record of a pair."""
    return Experiment(f"pair-{version}", "audit", version, NOW_S, NOW_S, state, baseline)


def served(settings: Settings, *versions: int) -> None:
    """Versions on disk that served one after the other, the newest last."""
    for version in versions:
        for name in MODELS:
            path = settings.models_dir / name / str(version)
            path.mkdir(parents=True)
            (path / "saved_model.pb").touch()
        came_into_service(settings, version, before=None)


def test_the_baseline_is_the_way_back_as_long_as_it_is_there(settings: Settings) -> None:
    """Newer ones that served, or none that served before, change nothing."""
    served(settings, 1, 2, 3)
    assert way_back_from(settings, of(3, "promoted", 1), []) == WayBack(1)
    assert way_back_from(settings, of(3, "waiting"), []) == WayBack(None)


@pytest.mark.parametrize(
    ("others", "lost", "expected"),
    [
        ([], "candidates ranker", 3),
        ([], "ranker", 3),
        ([of(3, "rolled_back", 2)], "ranker", 2),
        ([of(3, "failed"), of(2, "rolled_back", 1)], "ranker", 1),
        ([of(3, "promoted", 2), of(2, "promoted", 1)], "ranker", 3),
    ],
)
def test_what_served_last_and_did_well_stands_in(
    settings: Settings, others: list[Experiment], lost: str, expected: int
) -> None:
    """Half a version is none, what was rolled back is no way back, and 6 has never served."""
    served(settings, 1, 2, 3, 4, 5)
    for name in lost.split():
        shutil.rmtree(settings.models_dir / name / "4")
    shutil.copytree(settings.models_dir / "ranker/5", settings.models_dir / "ranker/6")
    shutil.copytree(settings.models_dir / "candidates/5", settings.models_dir / "candidates/6")
    back = way_back_from(settings, of(5, "promoted", 4), others)
    assert (back.version, back.gone, back.lost) == (expected, 4, False)
