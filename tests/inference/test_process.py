"""`inference.server.run` as a process: what it waits for, what it logs, how it ends."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import pytest
from pydantic import SecretStr

from contracts.settings import Settings
from placestream.stack.child import Child
from placestream.stack.ports import LOCALHOST, free_port
from tests.inference.installation import Client, ModelProcess, spawn
from tests.inference.waiting import eventually

RUN = (
    "from contracts.settings import Settings; from inference.server import run;"
    "run(Settings(_env_file=None))"
)


@pytest.fixture
def children() -> Iterator[list[Child]]:
    """Processes that are ended with the test."""
    started: list[Child] = []
    yield started
    for child in started:
        child.kill()


async def _health(client: Client) -> str:
    try:
        return await client.health()
    except grpc.aio.AioRpcError:
        return "no answer"


async def test_missing_parts_are_waited_for_and_named(
    tmp_path: Path, children: list[Child]
) -> None:
    """With nothing there it neither ends nor serves, and its log names each part's address."""
    kafka, redis, models = (f"{LOCALHOST}:{free_port()}" for _ in range(3))
    settings = Settings(
        _env_file=None,
        kafka_bootstrap=kafka,
        redis_url=SecretStr(f"redis://:hunter2@{redis}/0"),
        model_server=models,
        serve_port=free_port(),
        serve_metrics_port=0,
    )
    child = spawn(RUN, settings, tmp_path / "serve.log")
    children.append(child)
    client = Client(settings.serve_port)

    def named() -> bool:
        log = child.log_file.read_text()
        return all(address in log for address in (kafka, redis, models))

    await eventually(named, 60)
    await eventually(lambda: _is(client, "NOT_SERVING"))
    assert child.alive
    assert "hunter2" not in child.log_file.read_text()
    await client.channel.close()


async def _is(client: Client, health: str) -> bool:
    return await _health(client) == health


async def test_sigterm_lets_requests_in_flight_end(
    installed: Settings, model_process: ModelProcess, tmp_path: Path, children: list[Child]
) -> None:
    """Health says NOT_SERVING, what was asked before is answered, and the exit code is 0."""
    del model_process
    settings = installed.model_copy(update={"serve_port": free_port()})
    child = spawn(RUN, settings, tmp_path / "serve.log")
    children.append(child)
    client = Client(settings.serve_port)
    await eventually(lambda: _is(client, "SERVING"), 60)
    in_flight = [asyncio.create_task(client.recommend()) for _ in range(50)]
    await asyncio.sleep(0)
    child.process.send_signal(signal.SIGTERM)
    answers = await asyncio.gather(*in_flight)
    assert all(len(answer.places) == 3 for answer in answers)
    await eventually(lambda: not child.alive)
    assert child.exit_code == 0
    log = child.log_file.read_text()
    assert "draining" in log
    assert "stopped" in log
    assert "Traceback" not in log
    await client.channel.close()
