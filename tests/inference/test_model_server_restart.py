"""Two model servers behind one service: each ends and comes back, and every answer is whole."""

import asyncio
import signal
from pathlib import Path

import pytest

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from tests.inference.conftest import StartService
from tests.inference.installation import Client, ModelProcess
from tests.inference.restarting import CALLERS, beside, models_serving, target_of
from tests.inference.waiting import eventually


class Load:
    """Callers that ask without a pause, and what they were told of the models."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.answers = 0
        self.causes: list[str] = []

    async def ask(self) -> None:
        """Ask until cancelled."""
        while True:
            said = await self._client.recommend()
            self.answers += 1
            if said.degradation != pb.DEGRADATION_NONE:
                self.causes.append(said.degradation_cause)

    async def more(self) -> None:
        """Wait until some more have been answered."""
        before = self.answers
        await eventually(lambda: self.answers > before + 50, 60)


async def _ended(process: ModelProcess) -> None:
    """Wait until a model server has ended."""
    await eventually(lambda: not process.alive, 60)


@pytest.mark.slow
async def test_model_servers_restart_one_after_the_other_and_no_answer_is_degraded(
    installed: Settings, model_process: ModelProcess, start_service: StartService, tmp_path: Path
) -> None:
    """SIGTERM, the end, a new start, its models loaded; then the other."""
    both = [beside(model_process, tmp_path / name) for name in ("a", "b")]
    target = target_of([one.settings.model_server for one in both])
    try:
        for one in both:
            one.start()
        service = await start_service(installed.model_copy(update={"model_server": target}))
        await service.wait_serving(120)
        for one in both:
            await models_serving(one)
        load = Load(Client(service.port))
        callers = [asyncio.create_task(load.ask()) for _ in range(CALLERS)]
        await load.more()
        for one in both:
            one.send_signal(signal.SIGTERM)
            await _ended(one)
            await load.more()
            one.kill()  # reaps it
            one.start()
            await models_serving(one)
            await load.more()
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        assert all(caller.cancelled() for caller in callers)
        assert load.causes == []
    finally:
        for one in both:
            one.kill()
