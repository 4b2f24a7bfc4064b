"""Two services behind one client: each ends and comes back under load, and no call fails."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc.aio
import pytest

from contracts.settings import Settings
from placestream.client import CallFailed
from placestream.client import Client as PythonClient
from placestream.stack.child import Child
from placestream.stack.ports import LOCALHOST, free_port
from tests.inference.installation import Client, ModelProcess, request, spawn
from tests.inference.waiting import eventually

SERVE = "from placestream.cli import app; app(['serve'])"
CALLERS = 4


class Load:
    """Callers that ask without a pause, and what became of it."""

    def __init__(self, client: PythonClient) -> None:
        self._client = client
        self._ended = threading.Event()
        self.answers = 0
        self.failures: list[CallFailed] = []

    def ask(self) -> None:
        """Ask until the end."""
        while not self._ended.is_set():
            try:
                self._client.recommend(request())
                self.answers += 1
            except CallFailed as error:
                self.failures.append(error)

    @contextmanager
    def running(self) -> Iterator["Load"]:
        """Some callers at once, for the time of the body."""
        threads = [threading.Thread(target=self.ask) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()


async def _serving(settings: Settings, child: Child) -> None:
    """Wait until a service says that it is ready."""
    client = Client(settings.serve_port)

    async def serves() -> bool:
        assert child.alive
        try:
            return await client.health() == "SERVING"
        except grpc.aio.AioRpcError:
            return False

    await eventually(serves, 120)
    await client.channel.close()


async def _ended(child: Child) -> None:
    """Wait until a process has ended."""
    await eventually(lambda: not child.alive, 60)


@pytest.mark.slow
async def test_services_restart_one_after_the_other_and_no_call_fails(
    installed: Settings, model_process: ModelProcess, tmp_path: Path
) -> None:
    """SIGTERM, the end, a new start, SERVING; then the other. Every call in between is answered."""
    del model_process
    both = [installed.model_copy(update={"serve_port": free_port()}) for _ in range(2)]
    both = [s.model_copy(update={"serve_metrics_port": free_port()}) for s in both]
    logs = [tmp_path / "a.log", tmp_path / "b.log"]
    children = [spawn(SERVE, s, log) for s, log in zip(both, logs, strict=True)]
    target = "ipv4:" + ",".join(f"{LOCALHOST}:{s.serve_port}" for s in both)
    try:
        for settings, child in zip(both, children, strict=True):
            await _serving(settings, child)
        with (
            PythonClient(target, timeout_s=30, balance=True) as client,
            Load(client).running() as load,
        ):
            for i, settings in enumerate(both):
                before = load.answers
                children[i].process.send_signal(signal.SIGTERM)
                await _ended(children[i])
                assert children[i].exit_code == 0
                assert load.answers > before
                children[i].kill()  # reaps it
                children[i] = spawn(SERVE, settings, logs[i])
                await _serving(settings, children[i])
            before = load.answers
            await eventually(lambda: load.answers > before + 100, 60)
        assert load.failures == []
        # Not the other alone: it has ended since.
        assert all(child.alive for child in children)
    finally:
        for child in children:
            child.kill()
