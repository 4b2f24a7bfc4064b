"""Works off one request and dies at a given point: `python -m tests.retrain.run_killed POINT`.

Points are counted over everything that another process can see: records in Redis, events, the
configuration file, the model server, and, in the training's process, the renames of an export.
Settings come from the environment; told steps go to a file beside the models.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: What one request passes, in this order; a test holds that all are met.
CHILD_POINTS = ("rename 0", "rename 1", "exported")
PARENT_POINTS = 13
POINT = "PLACESTREAM_TEST_KILL_AT"


def kill_all() -> None:
    """The trainer and its training at once, as when a machine's memory is gone."""
    if os.environ.get("PLACESTREAM_TEST_TRAINER"):
        os.kill(int(os.environ["PLACESTREAM_TEST_TRAINER"]), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def exports_a_tiny_pair(settings: Any, audit_id: str) -> Any:
    """A training that takes no time; its export is the real one but for the models in it."""
    from models.export import put_in_place
    from models.scoring import next_version
    from retrain.child import Trained
    from retrain.model_config import MODELS
    from retrain.retention import EXPORTING, sweep
    from tests.retrain import tiny_models

    settings.models_dir.mkdir(parents=True, exist_ok=True)
    sweep(settings)
    version = next_version(settings.models_dir)
    workshop = Path(tempfile.mkdtemp(prefix=EXPORTING, dir=settings.models_dir))
    made = settings.model_copy(update={"models_dir": workshop / "made"})
    tiny_models.export(made, version)
    for name in MODELS:
        (workshop / "made" / name / str(version)).rename(workshop / name)
    for i, name in enumerate(MODELS):
        if os.environ.get(POINT) == f"rename {i}":
            kill_all()
        put_in_place(workshop, [name], settings.models_dir, version)
    if os.environ.get(POINT) == "exported":
        kill_all()
    return Trained(version, {"auc": 0.8, "ndcg_at_10": 0.4}, "good")


class ToFile:
    """An outbox that appends to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, topic: Any, key: str, event: Any) -> None:
        with self._path.open("a") as file:
            file.write(f"{key} {event.step}\n")


def counted(passed: list[str], kill_at: int | None, name: str, then: Callable[..., Any]) -> Any:
    """`then`, after counting it; the process dies before the point that it was told."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if len(passed) == kill_at:
            kill_all()
        passed.append(name)
        return then(*args, **kwargs)

    return call


def watch(kill_at: int | None) -> list[str]:
    """Count all points of this process, and die at one."""
    from retrain import rollout
    from retrain.jobs import Jobs
    from retrain.model_admin import ModelAdmin

    passed: list[str] = []
    places: list[tuple[Any, str]] = [
        (Jobs, "save"),
        (ToFile, "send"),
        (rollout, "write"),
        (ModelAdmin, "reload"),
    ]
    for owner, name in places:
        setattr(owner, name, counted(passed, kill_at, name, getattr(owner, name)))
    return passed


def work(settings: Any) -> Any:
    """Work off the one request, and return its record."""
    import redis

    settings.models_dir.mkdir(parents=True, exist_ok=True)
    with redis.Redis.from_url(settings.redis_url.get_secret_value(), socket_timeout=5) as client:
        return worked(settings, client, lease_s=2)


def worked(settings: Any, client: Any, **other: Any) -> Any:
    """The record of the one request, worked off by a worker that trains a tiny pair."""
    import time
    from datetime import UTC, datetime

    from contracts.events import RetrainRequested
    from retrain.work import Worker

    return Worker(
        settings,
        client,
        ToFile(settings.models_dir / "told"),
        exports_a_tiny_pair,
        clock=time.time,
        idle=lambda: time.sleep(0.05),
        **other,
    ).work(RetrainRequested("audit-1", "manual", datetime(2024, 1, 1, tzinfo=UTC)))


if __name__ == "__main__":
    from contracts.settings import Settings

    at = sys.argv[1]
    os.environ |= {POINT: at, "PLACESTREAM_TEST_TRAINER": str(os.getpid())}
    # The training's process must find the trainer under its own name.
    from tests.retrain import run_killed

    run_killed.watch(int(at) if at.isdecimal() else None)
    run_killed.work(Settings())
