"""The ladder, by breaking the real parts: an answer in time every time, and recovery by itself."""

import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest
from pydantic import SecretStr

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from online_features.keys import Keys
from placestream.stack.redis import RedisServer
from tests.inference.conftest import StartService
from tests.inference.installation import Client, ModelProcess, store_events
from tests.inference.waiting import eventually

START_S = 60.0
ALL = ["p0", "p1", "p2", "p3", "p4"]


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that this test alone breaks."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


@asynccontextmanager
async def serving(start: StartService, settings: Settings) -> AsyncIterator[Client]:
    """A client of a service that serves."""
    server = await start(settings)
    await server.wait_serving(START_S)
    client = Client(server.port)
    yield client
    await client.channel.close()


async def _is(client: Client, level: str) -> bool:
    return await client.level() == level


async def test_a_stopped_redis_costs_the_features_and_nothing_else(
    start_service: StartService, installed: Settings, own_redis: RedisServer
) -> None:
    """SIGSTOP: answers go on with default features, and say so; SIGCONT: all is as before."""
    settings = installed.model_copy(
        update={"redis_url": SecretStr(own_redis.url), "redis_timeout_ms": 500}
    )
    with own_redis.client() as redis_client:
        store_events(redis_client, settings, time.time(), ("u", "p3", "visit", 90_000.0))
    async with serving(start_service, settings) as client:
        assert (await client.ids())[0] == "p3"
        (child,) = own_redis.children
        os.kill(child.pid, signal.SIGSTOP)
        try:
            for _ in range(8):
                answer = await client.recommend(limit=5)
                assert [p.place_id for p in answer.places] == ALL
                assert "feature store" in answer.degradation_cause
                assert not answer.user_known
                assert all(p.HasField("probability") for p in answer.places)
        finally:
            os.kill(child.pid, signal.SIGCONT)
        await eventually(lambda: _is(client, "NONE"))
        assert (await client.ids())[0] == "p3"


async def test_a_killed_redis_comes_back_without_us(
    start_service: StartService, installed: Settings, own_redis: RedisServer
) -> None:
    """A crash and a new start of Redis: degraded between, whole after."""
    settings = installed.model_copy(update={"redis_url": SecretStr(own_redis.url)})
    async with serving(start_service, settings) as client:
        own_redis.kill()
        assert await client.level() == "PARTIAL"
        own_redis.start()
        await eventually(lambda: _is(client, "NONE"))


async def test_a_killed_model_server_leaves_popularity(
    start_service: StartService, installed: Settings, model_process: ModelProcess
) -> None:
    """No model at all: near and popular, by the features that are still there."""
    async with serving(start_service, installed) as client:
        model_process.kill()
        try:
            for _ in range(8):
                answer = await client.recommend(limit=5)
                assert [p.place_id for p in answer.places] == ALL
                assert not answer.model_versions
                assert "candidate model" in answer.degradation_cause
                assert "ranker" in answer.degradation_cause
            assert await client.level() == "POPULARITY"
            # Balancers must not send everybody to nobody: a degraded answer is an answer.
            assert await client.health() == "SERVING"
        finally:
            model_process.start()
        await eventually(lambda: _is(client, "NONE"))


async def test_a_ranker_that_answers_nan_is_not_believed(
    start_service: StartService, installed: Settings, model_process: ModelProcess
) -> None:
    """A broken version steps one down, and the next good one steps up again."""
    async with serving(start_service, installed) as client:
        model_process.switch(3)
        answer = await client.recommend()
        model_process.switch(1)
        assert "NaN" in answer.degradation_cause
        assert dict(answer.model_versions) == {"candidates": 3}
        assert [p.HasField("probability") for p in answer.places] == [False] * 3
        await eventually(lambda: _is(client, "NONE"))


async def test_damaged_features_are_not_believed(
    start_service: StartService, installed: Settings, own_redis: RedisServer
) -> None:
    """Bytes that are no state: the user counts as unknown, and the cause says why.

    A place whose state is damaged keeps no service from starting, and no answer from being whole.
    """
    settings = installed.model_copy(update={"redis_url": SecretStr(own_redis.url)})
    with own_redis.client() as redis_client:
        keys = Keys.of(settings)
        for key in (keys.entity("i", "u"), keys.entity("b", "p3")):
            redis_client.set(key, b"\x00\x01damaged")
    async with serving(start_service, settings) as client:
        answer = await client.recommend()
        assert len(answer.places) == 3
        assert "a user state is" in answer.degradation_cause
        for explore_slots in (0, 2):  # states are read in two ways
            said = await client.recommend(
                user_id="somebody else", limit=5, explore_slots=explore_slots
            )
            assert sorted(place.place_id for place in said.places) == ALL
            assert said.degradation == pb.DEGRADATION_NONE, said.degradation_cause


async def test_without_models_it_answers_but_is_not_serving(
    start_service: StartService, installed: Settings, model_process: ModelProcess
) -> None:
    """Health waits for the models; those who ask anyway are answered."""
    model_process.kill()
    server = await start_service(installed)
    client = Client(server.port)
    try:
        await eventually(lambda: _answers(client))
        assert await client.level() == "POPULARITY"
        assert await client.health() == "NOT_SERVING"
    finally:
        model_process.start()
    await server.wait_serving(START_S)
    assert await client.health() == "SERVING"
    assert await client.level() == "NONE"
    await client.channel.close()


async def _answers(client: Client) -> bool:
    try:
        return len((await client.recommend()).places) == 3
    except grpc.aio.AioRpcError as error:
        return error.code() is not grpc.StatusCode.UNAVAILABLE  # the catalogue is loading
