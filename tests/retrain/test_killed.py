"""SIGKILL of the trainer and its training at any point: the next one brings the request to its end.

Real processes, Redis, files and model server; only the models are tiny.
"""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from contracts.settings import Settings
from inference.model_server.server import ModelServer
from models.scoring import versions
from placestream.stack.environment import environment
from retrain.keys import Keys
from retrain.model_config import MODELS, read
from retrain.retention import LEFT_S, sweep
from tests.retrain import run_killed
from tests.retrain.tiny_models import answer

ROOT = Path(__file__).parents[2]
POINTS = [*map(str, range(run_killed.PARENT_POINTS)), *run_killed.CHILD_POINTS]
#: One of them, drawn by a seed, in every run of the tests; all of them in `make test-all`.
DRAWN = random.Random(7).sample(POINTS, 1)


@pytest.fixture
def served(settings: Settings) -> Iterator[Settings]:
    with ModelServer(settings.model_copy(update={"model_poll_s": 0.1})):
        yield settings


def killed(settings: Settings, point: str) -> int:
    """Work in a process that dies at a point; return how it ended."""
    command = [sys.executable, "-m", "tests.retrain.run_killed", point]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment(settings), timeout=120, check=False
    )
    return ended.returncode


@pytest.mark.parametrize(
    "point",
    [pytest.param(p, marks=() if p in DRAWN else pytest.mark.slow) for p in POINTS],
)
def test_a_killed_trainer_is_followed_by_one_that_completes(
    served: Settings, client: redis.Redis, point: str
) -> None:
    """Never half a pair under a label; one version in service at the end, told once or again."""
    assert killed(served, point) == -signal.SIGKILL
    whole = versions(served.models_dir)
    assert set(read(served).versions) <= set(whole)
    job = run_killed.work(served)
    assert job.stage == "promoted"
    assert read(served).labels == {served.model_label: job.version}
    assert [answer(served, name, served.model_label) for name in MODELS] == [job.version] * 2
    told = (served.models_dir / "told").read_text().splitlines()
    assert list(dict.fromkeys(told)) == ["audit-1 trained", "audit-1 promoted"]
    assert client.get(Keys(served.key_prefix).lease) is None
    later_s = (served.models_dir / "told").stat().st_mtime + 2 * LEFT_S
    sweep(served, later_s)
    assert list(served.models_dir.glob(".export-*")) == []
    for name in MODELS:
        found = {p.name for p in (served.models_dir / name).iterdir()}
        assert found == {str(v) for v in versions(served.models_dir)}


@pytest.mark.slow
def test_every_point_is_met(served: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A point that nobody passes would be a kill that never happens."""
    from retrain import rollout
    from retrain.jobs import Jobs
    from retrain.model_admin import ModelAdmin

    for owner, name in (
        (Jobs, "save"),
        (run_killed.ToFile, "send"),
        (rollout, "write"),
        (ModelAdmin, "reload"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # put back at the end
    passed = run_killed.watch(None)
    run_killed.work(served)
    assert len(passed) == run_killed.PARENT_POINTS, passed
