"""The ladder, by models that hang, cannot be loaded, or answer what no service can use."""

import os
import signal
from pathlib import Path

import pytest

from contracts.settings import Settings
from placestream.stack.child import Child
from placestream.stack.ports import free_port
from tests.inference.conftest import START_S, StartService
from tests.inference.installation import MODELS, Client, ModelProcess, spawn
from tests.inference.tiny_models import ColumnRanker, ForgetfulCandidates, StaleRanker, export
from tests.inference.waiting import eventually

#: A full disk: whatever is written there fails with ENOSPC.
FULL = Path("/dev/full")
#: With the logs as the command sets them up.
ROLE = "from placestream.cli import app; app(['{}'])"


async def _is(client: Client, level: str) -> bool:
    return await client.level() == level


async def test_models_of_another_time_are_not_believed(
    start_service: StartService, installed: Settings, model_process: ModelProcess
) -> None:
    """Wrong shapes, and a ranker of other features: one step down, with the cause, and up again."""
    root = model_process.settings.models_dir
    export(root, 4, ranker=ColumnRanker)
    export(root, 5, ranker=StaleRanker)
    export(root, 8, feature_set="another")
    export(root, 6, candidates=ForgetfulCandidates)
    server = await start_service(installed)
    await server.wait_serving(START_S)
    client = Client(server.port)
    for version, level, cause in (
        (4, "CANDIDATE_ORDER", "ranker: output 'score' has shape [5, 1], not [5]"),
        (5, "CANDIDATE_ORDER", "ranker: version 5 takes features"),
        (8, "CANDIDATE_ORDER", "ranker: version 8 was trained on other features"),
        (6, "PARTIAL", "candidates: output 'scores' has shape [1, 4], not [1, 5]"),
    ):
        model_process.switch(version)
        answer = await client.recommend()
        said = await client.level()
        model_process.switch(1)
        assert [p.place_id for p in answer.places] == ["p0", "p1", "p2"]
        assert cause in answer.degradation_cause
        assert said == level
        await eventually(lambda: _is(client, "NONE"))
    await client.channel.close()


async def test_a_model_server_that_hangs_costs_the_models_only(
    start_service: StartService, installed: Settings, model_process: ModelProcess
) -> None:
    """SIGSTOP: near and popular, in time; SIGCONT: all is as before."""
    server = await start_service(installed.model_copy(update={"serve_deadline_ms": 1_000}))
    await server.wait_serving(START_S)
    client = Client(server.port)
    model_process.send_signal(signal.SIGSTOP)
    try:
        # The service's own deadline: of a caller's the models would leave but milliseconds.
        answer = await client.recommend(timeout_s=None)
    finally:
        model_process.send_signal(signal.SIGCONT)
    assert [p.place_id for p in answer.places] == ["p0", "p1", "p2"]
    assert "the candidate model gave no answer within" in answer.degradation_cause
    assert "the ranker gave no answer within" in answer.degradation_cause
    await eventually(lambda: _is(client, "NONE"))
    await client.channel.close()


@pytest.mark.slow
async def test_a_damaged_version_leaves_popularity_until_a_good_one_is_there(
    start_service: StartService, installed: Settings, model_process: ModelProcess
) -> None:
    """A model server that starts with nothing but damage on its disk, and then with a good pair."""
    for name in MODELS:
        damaged = model_process.settings.models_dir / name / "7"
        damaged.mkdir()
        (damaged / "saved_model.pb").write_bytes(os.urandom(512))
    server = await start_service(installed)
    await server.wait_serving(START_S)
    client = Client(server.port)
    model_process.kill()
    model_process.start(7)
    try:
        await eventually(lambda: _is_unloadable(client))
        assert await client.level() == "POPULARITY"
    finally:
        model_process.kill()
        model_process.start(1)
    await eventually(lambda: _is(client, "NONE"))
    await client.channel.close()


async def _is_unloadable(client: Client) -> bool:
    """Whether the new server answers, and has nothing to offer."""
    return "NOT_FOUND" in (await client.recommend()).degradation_cause


@pytest.mark.slow
async def test_a_full_disk_costs_the_log_only(installed: Settings, tmp_path: Path) -> None:
    """Neither the service nor the model server writes anything else; both go on without."""
    root = tmp_path / "served"
    export(root, 1)
    settings = installed.model_copy(
        update={
            "models_dir": root,
            "model_config_file": root / "models.config",
            "model_server": f"127.0.0.1:{free_port()}",
            "model_server_rest_port": 0,
            "serve_port": free_port(),
        }
    )
    models = ModelProcess(settings, FULL, ROLE.format("model-server"))
    service: Child | None = None
    try:
        models.start()
        service = spawn(ROLE.format("serve"), settings, FULL)
        client = Client(settings.serve_port)
        await eventually(lambda: _serves(client), START_S)
        assert await client.level() == "NONE"
        await client.channel.close()
        assert service.alive
    finally:
        models.kill()
        if service is not None:
            service.kill()


async def _serves(client: Client) -> bool:
    try:
        return await client.health() == "SERVING"
    except Exception:  # it does not listen yet
        return False
