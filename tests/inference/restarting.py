"""What the tests of restarts under load share: callers, services and model servers of their own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc.aio

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from placestream.client import CallFailed
from placestream.client import Client as PythonClient
from placestream.stack.child import Child
from placestream.stack.ports import LOCALHOST, free_port
from tests.inference.installation import Client, ModelProcess, request
from tests.inference.waiting import eventually

SERVE = "from placestream.cli import app; app(['serve'])"
CALLERS = 4


class Load:
    """Callers that ask without a pause, and what became of it.

    Attributes:
        answers: calls that were answered.
        causes: of answers that were not whole.
        failures: calls that were not answered.
    """

    def __init__(self, client: PythonClient) -> None:
        self._client = client
        self._ended = threading.Event()
        self.answers = 0
        self.causes: list[str] = []
        self.failures: list[CallFailed] = []

    def ask(self) -> None:
        """Ask until the end."""
        while not self._ended.is_set():
            try:
                said = self._client.recommend(request())
                self.answers += 1
                if said.degradation != pb.DEGRADATION_NONE:
                    self.causes.append(said.degradation_cause)
            except CallFailed as error:
                self.failures.append(error)

    async def more(self, count: int = 50) -> None:
        """Wait until some more have been answered."""
        before = self.answers
        await eventually(lambda: self.answers > before + count, 60)

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


def services(installed: Settings, number: int) -> list[Settings]:
    """Settings of some services of one installation."""
    return [
        installed.model_copy(update={"serve_port": free_port(), "serve_metrics_port": free_port()})
        for _ in range(number)
    ]


def target_of(addresses: list[str]) -> str:
    """What gRPC resolves to all of them."""
    return "ipv4:" + ",".join(addresses)


async def serving(settings: Settings, child: Child) -> None:
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


def beside(process: ModelProcess, directory: Path) -> ModelProcess:
    """Another server of the same models."""
    directory.mkdir()
    own = {
        "model_server": f"{LOCALHOST}:{free_port()}",
        "model_config_file": directory / "models.config",
    }
    return ModelProcess(process.settings.model_copy(update=own), directory / "server.log")


async def models_serving(process: ModelProcess) -> None:
    """Wait until a model server says that it can be given calls."""
    client = Client(int(process.settings.model_server.rpartition(":")[2]))

    async def serves() -> bool:
        try:
            return await client.health("PredictionService") == "SERVING"
        except grpc.aio.AioRpcError:
            return False

    await eventually(serves, 120)
    await client.channel.close()
