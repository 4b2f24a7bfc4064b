"""What `serve` and `stream` write into their logs at DEBUG, and on their metrics pages: no secret,
no person, and nobody's whereabouts."""

import asyncio
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import msgspec
import pytest
import redis
from pydantic import SecretStr

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.placestream.v1 import recommendation_pb2_grpc as pb_grpc
from contracts.settings import Settings
from inference.access.clients import ClientEntry, ClientList, NewToken, TokenEntry, write
from placestream.stack.environment import environment
from placestream.stack.ports import LOCALHOST, free_port
from placestream.stack.redis import RedisServer
from placestream.stack.supervisor import Supervisor
from tests.inference.fakes import LNG
from tests.inference.waiting import eventually
from tests.streams.stream import offsets, send

PERSON, REDIS_USER, REDIS_PASSWORD = "somebody-7f3a", f"u{uuid.uuid4().hex}", uuid.uuid4().hex
KAFKA_PASSWORD, CLIENT_TOKEN = "not-needed-here", "pst_not-needed-either"
TOKEN, STRANGER = NewToken.made(), NewToken.made()
#: Near the places of the tests, with digits that nothing else has.
LAT_SHOWN, LNG_SHOWN = "40.7519283", f"{LNG - 0.0004837:.7f}"
BAD: dict[str, Any] = {"user_id": PERSON, "place_id": "p0", "event_type": "teleport"}
GOOD: dict[str, Any] = {
    "user_id": PERSON,
    "place_id": "p0",
    "event_type": "visit",
    "timestamp": "2024-01-15T10:30:00Z",
    "context": {"location": {"lat": float(LAT_SHOWN), "lng": float(LNG_SHOWN)}},
}


@pytest.fixture
def watched(
    installed: Settings, redis_client: "redis.Redis", tmp_path: Path, redis_server: RedisServer
) -> Iterator[Settings]:
    """An installation with secrets of every kind, and every library at DEBUG."""
    rules = ("on", f">{REDIS_PASSWORD}", "~*", "+@all")
    command: Any = redis_client.execute_command
    command("ACL SETUSER", REDIS_USER, *rules)
    clients = tmp_path / "clients.json"
    tokens = [TokenEntry(TOKEN.sha256)]
    write(clients, ClientList([ClientEntry("backend", ["recommend"], tokens)]))
    url = f"redis://{REDIS_USER}:{REDIS_PASSWORD}@{LOCALHOST}:{redis_server.port}/0"
    yield installed.model_copy(
        update={
            "log_level": "DEBUG",
            "log_format": "json",
            "redis_url": SecretStr(url),
            "kafka_password": SecretStr(KAFKA_PASSWORD),
            "client_token": SecretStr(CLIENT_TOKEN),
            "serve_port": free_port(),
            "serve_clients_file": clients,
        }
    )
    command("ACL DELUSER", REDIS_USER)


async def _call(stub: Any, token: str, **fields: Any) -> str:
    """Ask from where the person is; the name of the status."""
    where = pb.LatLng(lat=float(LAT_SHOWN), lng=float(LNG_SHOWN))
    request = pb.RecommendRequest(user_id=PERSON, location=where, limit=3, **fields)
    metadata = (("authorization", f"Bearer {token}"),)
    try:
        await stub.Recommend(request, metadata=metadata, timeout=30)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def test_logs_and_metrics_tell_nothing_of_secrets_or_people(
    watched: Settings, redis_client: "redis.Redis", tmp_path: Path
) -> None:
    """Good calls, refused ones, bad ones, and ones whose store has gone; good events and bad."""
    with Supervisor(tmp_path / "run", environment(watched)) as supervisor:
        logs = {role: supervisor.start(role).log_file for role in ("serve", "stream")}
        events = [(PERSON, msgspec.json.encode(event)) for event in (GOOD, BAD)]
        send(watched, watched.topics.interactions.name, events)
        async with grpc.aio.insecure_channel(f"{LOCALHOST}:{watched.serve_port}") as channel:
            stub: Any = pb_grpc.RecommendationServiceStub(channel)
            await eventually(lambda: '"event": "serving"' in text(logs["serve"]), 120)
            assert await _call(stub, TOKEN.token) == "OK"
            assert await _call(stub, STRANGER.token) == "UNAUTHENTICATED"
            assert await _call(stub, TOKEN.token, radius_m=-1.0) == "INVALID_ARGUMENT"
            await eventually(lambda: offsets(redis_client, watched, "i") == 2, 120)
            command: Any = redis_client.execute_command
            command("ACL SETUSER", REDIS_USER, "off")
            command("CLIENT KILL USER", REDIS_USER)
            assert await _call(stub, TOKEN.token) == "OK"  # a simpler answer
        pages = [await page(p) for p in (watched.serve_metrics_port, watched.stream_metrics_port)]
        send(watched, watched.topics.interactions.name, events)
        await eventually(lambda: "waiting for Redis" in text(logs["stream"]), 120)
    written = "".join(map(text, logs.values()))
    for control in ("listening", "TOKEN_UNKNOWN", "part_failed", "shards acquired"):
        assert control in written
    assert 'client="backend"' in pages[0]
    secrets = {
        REDIS_PASSWORD,
        KAFKA_PASSWORD,
        CLIENT_TOKEN,
        TOKEN.token,
        STRANGER.token,
        PERSON,
        LAT_SHOWN[:6],
        LNG_SHOWN[:7],
    }
    assert {secret for secret in secrets if secret in written} == set()
    assert {secret for secret in secrets if secret in "".join(pages)} == set()


def text(log: Path) -> str:
    """What a role has written so far."""
    return log.read_text()


async def page(port: int) -> str:
    """A metrics page."""
    url = f"http://{LOCALHOST}:{port}/metrics"
    answer = await asyncio.to_thread(urllib.request.urlopen, url)
    read: str = answer.read().decode()
    return read
