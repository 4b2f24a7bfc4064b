"""SIGKILL of the controller, or of who hands it a pair, at any point: the next one completes it.

Real processes, Redis, files and model server; a dead one's lease runs out by itself.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from placestream.stack.environment import environment
from retrain.controller import Busy
from retrain.experiments import Experiment
from tests.retrain import run_killed_controller as runs
from tests.retrain.bench import ONLY_1, Bench
from tests.retrain.test_killed import ROOT
from tests.retrain.tiny_models import export

pytestmark = pytest.mark.slow
Result = TypeVar("Result")


def run(bench: Bench, phase: str, point: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.retrain.run_killed_controller", phase, str(point)]
    env = os.environ | environment(bench.settings)
    return subprocess.run(
        command, cwd=ROOT, env=env, timeout=120, check=False, capture_output=True, text=True
    )


def killed(bench: Bench, phase: str, point: int) -> None:
    """Kill one at a point; users of the pair in service are answered by it all the same."""
    ended = run(bench, phase, point)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert bench.by_label[0] == "1"


def in_turn(act: Callable[[], Result]) -> Result:
    """Once the dead one's lease has run out."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return act()
        except Busy:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def told(bench: Bench) -> list[str]:
    """What was told by the killed and by its follower, repetitions left out."""
    path = bench.settings.models_dir / "told"
    lines = path.read_text().split("\n") if path.exists() else []
    return list(dict.fromkeys([*(line.split()[1] for line in lines if line), *bench.told]))


def prepared(bench: Bench, phase: str) -> None:
    controller = bench.controller()
    if phase == "start":
        export(bench.settings, 2)
        controller.begin("audit-1", 2, {})
    elif phase == "roll_back":
        bench.in_canary(controller)


@pytest.mark.parametrize("phase", runs.POINTS)
def test_every_point_is_met(bench: Bench, phase: str) -> None:
    """A point that nobody passes would be a kill that never happens."""
    prepared(bench, phase)
    ended = run(bench, phase, "none")
    assert ended.stdout.split("\n")[-2].split()[0] == str(runs.POINTS[phase]), ended


@pytest.mark.parametrize("point", range(runs.POINTS["hand_over"]))
def test_a_pair_is_handed_over_once(bench: Bench, point: int) -> None:
    """The worker dies between its export and its last record: one trial, of the pair it names."""
    killed(bench, "hand_over", point)
    job = runs.hand_over(bench.settings, bench.client)
    (one,) = bench.controller().experiments.all()
    assert (job.stage, one.state, one.audit_id) == ("on_trial", "waiting", "audit-1")
    assert (one.version, told(bench)) == (job.version, ["trained"])


@pytest.mark.parametrize("point", range(runs.POINTS["start"]))
def test_a_start_cut_short_anywhere_is_completed(bench: Bench, point: int) -> None:
    """The follower brings it into its shadow, and tells of it."""
    prepared(bench, "start")
    killed(bench, "start", point)
    one = in_turn(bench.controller().step)
    assert one is not None
    assert (one.state, one.baseline, one.untold) == ("shadow", 1, [])
    assert (bench.by_label, bench.plan(), told(bench)) == ("1 2", "shadow", ["shadow"])


@pytest.mark.parametrize("point", range(runs.POINTS["roll_back"]))
def test_a_rollback_cut_short_anywhere_is_completed(bench: Bench, point: int) -> None:
    """One that was recorded is completed; one that was not is ordered again."""
    prepared(bench, "roll_back")
    killed(bench, "roll_back", point)
    follower = bench.controller()

    def completed() -> Experiment:
        if follower.experiments.get("pair-2").state == "canary":
            return follower.order("pair-2", "rolling_back", "again")
        follower.step()
        return follower.experiments.get("pair-2")

    one = in_turn(completed)
    assert (one.state, one.untold, bench.plan(), bench.by_label) == (
        "rolled_back",
        [],
        None,
        ONLY_1,
    )
    assert sorted(told(bench)) == ["canary", "rolled_back", "shadow"]
