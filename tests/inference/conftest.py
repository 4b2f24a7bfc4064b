"""An installation of real parts that the tests of the service share or break."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from contracts.settings import Settings
from contracts.topics import Topics
from inference.server import RecommendationServer
from placestream.stack.ports import LOCALHOST, free_port
from tests.inference.fakes import place
from tests.inference.installation import Client, ModelProcess, send_places
from tests.inference.running import Running, running_service

START_S = 60.0
StartService = Callable[[Settings], Awaitable[RecommendationServer]]
PLACES = [
    place(f"p{i}", 300.0 * (i + 1), name=f"Place {i}", category=f"c{i}", region="uptown")
    for i in range(5)
]


@pytest.fixture(scope="module")
def model_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelProcess]:
    """A model server with versions 1 and 2 of both models, and 3 whose ranker answers NaN.

    Version 1 has no vectors of places.
    """
    from tests.inference.tiny_models import export

    root = tmp_path_factory.mktemp("models")
    for version, factor in ((1, 1.0), (2, 2.0), (3, float("nan"))):
        export(root, version, factor, vectors=version > 1)
    settings = Settings(
        _env_file=None,
        models_dir=root,
        model_config_file=root / "models.config",
        model_server=f"{LOCALHOST}:{free_port()}",
        model_server_rest_port=0,
        model_poll_s=0.1,
    )
    process = ModelProcess(settings, root / "model-server.log")
    process.start()
    yield process
    process.kill()


@pytest.fixture
def installed(settings: Settings, topics: Topics, model_process: ModelProcess) -> Settings:
    """Settings of a service with five places and the shared model server.

    The deadline is generous, since these tests run beside others on few cores; what keeps an
    answer within its deadline is tested on a clock of its own.
    """
    send_places(settings, *PLACES)
    return settings.model_copy(
        update={
            "model_server": model_process.settings.model_server,
            "serve_port": 0,
            "serve_deadline_ms": 5_000,
            "serve_patience_ms": 10_000,
            "redis_timeout_ms": 1_000,
            "models_dir": Path("nowhere"),
        }
    )


@pytest.fixture
async def start_service(topics: Topics) -> AsyncIterator[StartService]:
    """Starts services in this process and stops them at the end.

    While their topics are there: a service that stops sends what it has noted, for seconds.
    """
    started: list[RecommendationServer] = []

    async def start(settings: Settings) -> RecommendationServer:
        server = RecommendationServer(settings)
        started.append(server)
        await server.start()
        return server

    yield start
    for server in started:
        await server.stop()


@pytest.fixture
async def client(start_service: StartService, installed: Settings) -> AsyncIterator[Client]:
    """A client of a service that serves."""
    server = await start_service(installed)
    await server.wait_serving(START_S)
    client = Client(server.port)
    yield client
    await client.channel.close()


@pytest.fixture
def port(client: Client) -> int:
    """Port of the service that `client` talks to."""
    return client.port


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """The RPCs on a port, on parts that a test can spoil."""
    async with running_service() as service:
        yield service
