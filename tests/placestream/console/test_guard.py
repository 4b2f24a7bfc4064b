"""Who may ask the console: the token, the name, the origin, and what every answer carries."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from contracts.settings import Settings
from placestream.console.guard import HEADERS
from placestream.console.server import application
from placestream.stack.ports import free_port

TOKEN = "right"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}
Client = TestClient[Any, Any]


# One console for all: it takes some seconds to let go of a Kafka that is not there.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[Client]:
    """A console with nothing behind it: what is refused is refused before that matters."""
    nobody = f"127.0.0.1:{free_port()}"
    settings = Settings(
        _env_file=None,
        kafka_bootstrap=nobody,
        redis_url=f"redis://{nobody}/0",
        serve_port=free_port(),
        model_server=nobody,
        stream_metrics_port=free_port(),
        serve_metrics_port=0,
        retrain_metrics_port=0,
        console_name="console.example",
    )
    async with TestClient(TestServer(application(settings, TOKEN))) as client:
        yield client


@pytest.mark.parametrize("path", ["/api/places", "/api/users", "/api/user?id=1", "/api/watch"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Cookie": f"token={TOKEN}"},
        {"Authorization": "Bearer rïght"},
    ],
)
async def test_nothing_is_read_without_the_token(
    client: Client, path: str, headers: dict[str, str]
) -> None:
    """What is known of people is nobody's business, on this machine either."""
    response = await client.get(path, headers=headers)
    assert response.status == 401
    assert "token" in (await response.json())["error"]["text"]


@pytest.mark.parametrize("path", ["/api/recommend", "/api/events", "/api/models/switch"])
async def test_nothing_is_changed_without_the_token(client: Client, path: str) -> None:
    """However well the rest of the request is made."""
    assert (await client.post(path, json={})).status == 401
    assert (await client.post(f"{path}?token={TOKEN}", json={})).status == 401


@pytest.mark.parametrize("path", ["/", "/api/watch"])
async def test_a_foreign_name_is_refused(client: Client, path: str) -> None:
    """A name of somebody else's that was made to point here (DNS rebinding), token or not."""
    response = await client.get(path, headers=RIGHT | {"Host": "evil.example:8700"})
    assert response.status == 421
    assert "PLACESTREAM_CONSOLE_NAME" in (await response.json())["error"]["advice"]


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "[::1]:8700", "Console.Example"])
async def test_its_own_names_are_answered(client: Client, host: str) -> None:
    """This machine's, and the one that was set; in any case of letters."""
    assert (await client.get("/api/watch", headers=RIGHT | {"Host": host})).status == 200


async def test_another_sites_request_is_refused(client: Client) -> None:
    """Even with the token, which another site cannot know."""
    foreign = await client.get("/api/watch", headers=RIGHT | {"Origin": "https://evil.example"})
    assert foreign.status == 403
    own = f"http://{client.host}:{client.port}"
    assert (await client.get("/api/watch", headers=RIGHT | {"Origin": own})).status == 200


@pytest.mark.parametrize("path", ["/", "/pages/main.js", "/api/watch", "/nowhere"])
async def test_every_answer_is_protected(client: Client, path: str) -> None:
    """Files, data and errors alike."""
    response = await client.get(path)
    assert HEADERS.items() <= response.headers.items()


async def test_only_the_pages_own_files_are_served(client: Client) -> None:
    """No listing, no way up."""
    assert (await client.get("/pages/")).status in (403, 404)
    assert (await client.get("/pages/..%2Fserver.py")).status in (403, 404)


@pytest.mark.parametrize(
    ("path", "names"),
    [("/api/places", "Kafka"), ("/api/user?id=1", "Redis"), ("/api/users", "Redis")],
)
async def test_a_part_that_is_away_is_named(client: Client, path: str, names: str) -> None:
    """With what to look at."""
    response = await client.get(path, headers=RIGHT)
    assert response.status == 503
    error = (await response.json())["error"]
    assert names in f"{error['text']} {error['advice']}"


async def test_the_models_are_told_without_a_model_server(client: Client) -> None:
    """Which versions there are is on disk; that the server is silent is said beside it."""
    response = await client.get("/api/models", headers=RIGHT)
    assert response.status == 200
    assert "says nothing" in (await response.json())["problem"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"user_id": 1}', b'{"unknown": 1}'])
async def test_what_cannot_be_read_is_refused(client: Client, body: bytes) -> None:
    """In words; nothing is called."""
    for path in ("/api/recommend", "/api/events", "/api/models/switch"):
        response = await client.post(path, headers=RIGHT, data=body)
        assert response.status == 400
        assert "cannot be read" in (await response.json())["error"]["text"]


async def test_a_user_must_be_named(client: Client) -> None:
    """An empty id is nobody's."""
    response = await client.get("/api/user", headers=RIGHT)
    assert response.status == 400
    assert (await response.json())["error"]["faults"] == [{"field": "id", "text": "is empty"}]
