"""`placestream experiments` on real Redis, Kafka and model server, and what it says in vain."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

from contracts.experiment import shadow_key
from contracts.settings import Settings
from inference.model_server.server import ModelServer
from placestream.cli import app
from placestream.stack.environment import environment
from retrain.controller import Controller
from retrain.publish import Publisher
from retrain.rollout import activate, current
from tests.retrain.tiny_models import export

Run = Callable[..., Any]


def stopped() -> threading.Event:
    """Lets a controller's `run` only part from what it holds."""
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against the test's servers."""
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
    return lambda *arguments: runner.invoke(app, ["experiments", *arguments])


@pytest.fixture
def trial(settings: Settings, redis_client: redis.Redis, topics: object) -> Iterator[Controller]:
    """Version 2 on its canary beside version 1."""
    del topics
    publisher = Publisher(settings)
    with ModelServer(settings.model_copy(update={"model_poll_s": 0.1})):
        for version in (1, 2):
            export(settings, version)
        activate(settings, 1, drain_s=0)
        controller = Controller(settings, redis_client, publisher, lambda: 1.8e9)
        assert controller.begin("audit-1", 2, {"auc": 0.8})
        controller.step()
        sums = {"compared": 500, "overlap": 400, "distance": 50, "same_top": 450}
        for name, value in sums.items():
            redis_client.hincrbyfloat(shadow_key(settings.key_prefix, "pair-2"), name, value)
        controller.step()
        controller.step()
        yield controller
    controller.run(stopped())
    publisher.close()


def test_a_trial_is_shown_stopped_and_cannot_be_stopped_twice(
    run: Run, trial: Controller, settings: Settings, tmp_path: Path
) -> None:
    """List and report while it runs; then it ends, and the history says who wanted it."""
    listed = run("list")
    assert "pair-2" in listed.output
    assert "canary" in listed.output
    shown = run("show", "pair-2").output
    for part in ("500 answers compared", "80% of the places shared", "always valid", "novelty"):
        assert part in shown
    assert json.loads(run("show", "pair-2", "--json").output)["experiment"]["state"] == "canary"
    written = run("report", "pair-2", "--html", str(tmp_path / "pair-2.html"))
    assert written.exit_code == 0, written.output
    assert "<h1>Experiment pair-2</h1>" in (tmp_path / "pair-2.html").read_text(encoding="utf-8")
    refused = run("rollback", "pair-2")
    assert refused.exit_code == 1
    assert "experiments stop pair-2" in refused.output
    stopped = run("stop", "pair-2", "--reason", "complaints")
    assert stopped.exit_code == 0, stopped.output
    assert stopped.output.endswith("pair-2: rolled_back (stop by hand: complaints)\n")
    assert current(settings) == 1
    again = run("stop", "pair-2")
    assert again.exit_code == 1
    assert "rolled_back already" in again.output


def test_a_trial_is_promoted_and_rolled_back_by_hand(
    run: Run, trial: Controller, settings: Settings
) -> None:
    """Both at once; what was promoted is rolled back, not stopped."""
    assert run("promote", "pair-2").exit_code == 0
    assert current(settings) == 2
    assert "experiments rollback pair-2" in run("stop", "pair-2").output
    assert run("rollback", "pair-2").exit_code == 0
    assert current(settings) == 1
    states = [entry.state for entry in trial.experiments.history("pair-2")]
    assert states[-4:] == ["promoting", "promoted", "rolling_back", "rolled_back"]


def test_nothing_yet_is_said_so(run: Run) -> None:
    """An empty list, and an unknown id."""
    assert "no experiments yet" in run("list").output
    unknown = run("show", "pair-9")
    assert unknown.exit_code == 1
    assert "no experiment 'pair-9'" in unknown.output


def test_without_redis_it_says_where_it_looked_for_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And which setting says where it is."""
    monkeypatch.setenv("PLACESTREAM_REDIS_URL", "redis://127.0.0.1:1/0")
    away = run("list")
    assert away.exit_code == 1
    assert "PLACESTREAM_REDIS_URL" in away.output
