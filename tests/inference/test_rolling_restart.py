"""Two services behind one client: each ends and comes back under load, and no call fails."""

import signal
from pathlib import Path

import pytest

from contracts.settings import Settings
from placestream.client import Client as PythonClient
from placestream.stack.child import Child
from placestream.stack.ports import LOCALHOST
from tests.inference.installation import ModelProcess, spawn
from tests.inference.restarting import (
    SERVE,
    Load,
    beside,
    models_serving,
    services,
    serving,
    target_of,
    without_retries,
)
from tests.inference.waiting import eventually


async def _ended(child: Child | ModelProcess) -> None:
    """Wait until a process has ended."""
    await eventually(lambda: not child.alive, 60)


@pytest.mark.slow
async def test_services_restart_one_after_the_other_and_no_call_fails(
    installed: Settings,
    model_process: ModelProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGTERM, the end, a new start, SERVING; then the other. Every call in between is answered.

    By the first server that it reaches: retries, which would hide one that refuses while it
    drains, are off. The test below has the client as it is.
    """
    del model_process
    without_retries(monkeypatch)
    both = services(installed, 2)
    logs = [tmp_path / "a.log", tmp_path / "b.log"]
    children = [spawn(SERVE, s, log) for s, log in zip(both, logs, strict=True)]
    target = target_of([f"{LOCALHOST}:{s.serve_port}" for s in both])
    try:
        for settings, child in zip(both, children, strict=True):
            await serving(settings, child)
        with (
            PythonClient(target, timeout_s=30, balance=True) as client,
            Load(client).running() as load,
        ):
            for i, settings in enumerate(both):
                await load.more()
                children[i].process.send_signal(signal.SIGTERM)
                await _ended(children[i])
                assert children[i].exit_code == 0
                await load.more()
                children[i].kill()  # reaps it
                children[i] = spawn(SERVE, settings, logs[i])
                await serving(settings, children[i])
            await load.more(100)
        assert load.failures == []
        # Not the other alone: it has ended since.
        assert all(child.alive for child in children)
    finally:
        for child in children:
            child.kill()


@pytest.mark.slow
async def test_services_and_model_servers_restart_in_turn_and_no_call_fails(
    installed: Settings, model_process: ModelProcess, tmp_path: Path
) -> None:
    """Two of each, all four one after the other: every call is answered, and by the models."""
    models = [beside(model_process, tmp_path / name) for name in ("a", "b")]
    of_models = target_of([one.settings.model_server for one in models])
    both = services(installed.model_copy(update={"model_server": of_models}), 2)
    target = target_of([f"{LOCALHOST}:{s.serve_port}" for s in both])
    children: list[Child] = []
    try:
        for one in models:
            one.start()
        for number, settings in enumerate(both):
            children.append(spawn(SERVE, settings, tmp_path / f"serve-{number}.log"))
        for one in models:
            await models_serving(one)
        for settings, child in zip(both, children, strict=True):
            await serving(settings, child)
        with (
            PythonClient(target, timeout_s=30, balance=True) as client,
            Load(client).running() as load,
        ):
            await load.more()
            for number, (settings, one) in enumerate(zip(both, models, strict=True)):
                children[number].process.send_signal(signal.SIGTERM)
                await _ended(children[number])
                await load.more()
                children[number].kill()  # reaps it
                children[number] = spawn(SERVE, settings, tmp_path / f"serve-{number}.log")
                await serving(settings, children[number])
                one.send_signal(signal.SIGTERM)
                await _ended(one)
                await load.more()
                one.kill()  # reaps it
                one.start()
                await models_serving(one)
                await load.more()
        assert load.failures == []
        assert load.causes == []
        assert all(child.alive for child in children)
    finally:
        for child in children:
            child.kill()
        for one in models:
            one.kill()
