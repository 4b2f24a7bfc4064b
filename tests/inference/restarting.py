"""What the tests of restarts under load share: callers, services and model servers of their own."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import grpc.aio
import pytest

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from placestream import client as python_client
from placestream.client import CallFailed
from placestream.client import Client as PythonClient
from placestream.stack.child import Child
from placestream.stack.ports import LOCALHOST, free_port
from tests.inference.installation import Client, ModelProcess, request
from tests.inference.waiting import eventually

SERVE = "from placestream.cli import app; app(['serve'])"
CALLERS = 4
#: Answers, and what stands in the place of one.
Said = Sequence[pb.RecommendResponse | CallFailed]


def without_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients made from now on show their callers every call that fails, the first time it does.

    gRPC then repeats nothing by itself either (its transparent retries go with the others).
    """
    balanced = {k: v for k, v in python_client.BALANCED.items() if k != "methodConfig"}
    options = [option for option in python_client._OPTIONS if option[0] != "grpc.enable_retries"]
    monkeypatch.setattr(python_client, "BALANCED", balanced)
    monkeypatch.setattr(python_client, "_OPTIONS", [*options, ("grpc.enable_retries", 0)])


class Load:
    """Callers that call every method in turn without a pause, and what became of it.

    Attributes:
        answered: calls that were answered, by method.
        causes: of answers that were not whole.
        failures: calls, and requests of batches, that were not answered, with their method.
    """

    def __init__(self, client: PythonClient) -> None:
        self._client = client
        self._ended = threading.Event()
        self._calls: dict[str, Callable[[], Said]] = {
            "Recommend": lambda: [client.recommend(request())],
            "BatchRecommend": lambda: client.batch([request("u"), request("v")]),
            "Feedback": self._tell,
        }
        self.answered: Counter[str] = Counter()
        self.causes: list[str] = []
        self.failures: list[tuple[str, CallFailed]] = []

    def _tell(self) -> Said:
        event = pb.Interaction(user_id="u", place_id="p0", event_type=pb.EVENT_TYPE_VIEW)
        assert len(self._client.feedback([event])) == 1
        return []

    def ask(self) -> None:
        """Call until the end."""
        for method in cycle(self._calls):
            if self._ended.is_set():
                return
            try:
                said: Said = self._calls[method]()
            except CallFailed as error:
                said = [error]
            failed = [(method, one) for one in said if isinstance(one, CallFailed)]
            self.failures += failed
            self.answered[method] += not failed
            self.causes += [
                one.degradation_cause
                for one in said
                if isinstance(one, pb.RecommendResponse) and one.degradation != pb.DEGRADATION_NONE
            ]

    async def more(self, count: int = 50) -> None:
        """Wait until some more calls of each method have been answered."""
        before = self.answered.copy()
        await eventually(
            lambda: all(self.answered[m] > before[m] + count // 3 for m in self._calls), 60
        )

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
