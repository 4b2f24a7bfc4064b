"""What a request reads of places and of the outside, on a real Redis."""

from collections.abc import AsyncIterator

import msgspec
import numpy as np
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from contracts.settings import Settings
from online_features.context import ContextState
from online_features.definitions import PLACE
from online_features.keys import Keys
from online_features.place_values import PlaceStates
from online_features.reader import OnlineReader
from placestream.stack.redis import RedisServer
from tests.online_features.histories import SPAN_S, START_S, columns, random_history

NOW_S = float(START_S + SPAN_S)
RAIN = ContextState(NOW_S - 60.0, temp=9.0, condition="rain")


def _ids(rows: np.ndarray) -> list[str]:
    return [f"p{row}" for row in rows]


def _rows(*rows: int) -> np.ndarray:
    return np.array(rows, np.int64)


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    """An asynchronous client."""
    client = Redis.from_url(redis_server.url)
    yield client
    await client.aclose()


@pytest.fixture
async def states(redis: Redis, settings: Settings) -> np.ndarray:
    """States of p0 to p5, which Redis holds, beside the weather of nyc."""
    states = PLACE.empty(6)
    told = columns(random_history(np.random.default_rng(11), 100, 4, 86_400))
    PLACE.fold(states, told.place.astype(np.int64) - 1, told)
    keys = Keys.of(settings)
    for i, packed in enumerate(PLACE.pack(states)):
        await redis.set(keys.entity("b", f"p{i}"), packed)
    await redis.set(keys.entity("c", "nyc"), msgspec.json.encode(RAIN))
    return states


async def test_places_and_context_come_together(
    redis: Redis, settings: Settings, states: np.ndarray
) -> None:
    """Values of each place in the order asked for, the unknown one neutral, and the weather."""
    values, context = await OnlineReader(redis, settings).scene(_rows(4, 77, 0), _ids, "nyc", NOW_S)
    expected = PlaceStates.at(np.r_[states[[4]], PLACE.empty(1), states[[0]]], NOW_S)
    for feature in PLACE.features:
        np.testing.assert_array_equal(
            values.feature(feature.name), expected.feature(feature.name), err_msg=feature.name
        )
    assert context == RAIN


@pytest.mark.parametrize("region", ["", "nowhere"])
async def test_no_region_has_no_context(
    redis: Redis, settings: Settings, states: np.ndarray, region: str
) -> None:
    """Nor does it cost the last place, or a request for no place at all."""
    reader = OnlineReader(redis, settings)
    values, context = await reader.scene(_rows(5), _ids, region, NOW_S)
    np.testing.assert_array_equal(
        values.column("visits_28d"), PlaceStates.at(states[[5]], NOW_S).column("visits_28d")
    )
    assert context is None
    nothing, _ = await reader.scene(_rows(), _ids, region, NOW_S)
    assert nothing.column("visits_28d").shape == (0,)


async def test_a_commit_counts_at_the_next_read(
    redis: Redis, settings: Settings, states: np.ndarray
) -> None:
    """However often the place was read before."""
    reader, key = OnlineReader(redis, settings), Keys.of(settings).entity("b", "p1")
    for _ in range(2):
        await reader.scene(_rows(1), _ids, "", NOW_S)
    await redis.set(key, PLACE.pack(states[[2]])[0])
    values, _ = await reader.scene(_rows(1), _ids, "", NOW_S)
    np.testing.assert_array_equal(
        values.feature("visit_hours"), PlaceStates.at(states[[2]], NOW_S).feature("visit_hours")
    )


async def test_a_damaged_state_costs_its_place_alone(
    redis: Redis, settings: Settings, states: np.ndarray
) -> None:
    """The others have their features, in both ways of reading, and the log names it once."""
    await redis.set(Keys.of(settings).entity("b", "p1"), b"\x00\x01damaged")
    reader, ids = OnlineReader(redis, settings), ["p0", "p1", "p2"]
    expected = np.r_[states[[0]], PLACE.empty(1), states[[2]]]
    with capture_logs() as logs:
        read, known = await reader.places(ids)
        values, _ = await reader.scene(_rows(0, 1, 2), _ids, "", NOW_S)
    assert known.tolist() == [True, False, True]
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(
        values.column("visits_28d"), PlaceStates.at(expected, NOW_S).column("visits_28d")
    )
    assert [(line["event"], line["place_ids"]) for line in logs] == [
        ("place_states_damaged", ["p1"])
    ]


@pytest.mark.parametrize(
    "damaged", [b"\x00\x01", b'{"timestamp_s": 1, "condition": "\xff"}', b"{}"]
)
async def test_a_damaged_context_costs_no_place_its_features(
    redis: Redis, settings: Settings, states: np.ndarray, damaged: bytes
) -> None:
    """The region counts as one without context, and the log names it once."""
    await redis.set(Keys.of(settings).entity("c", "nyc"), damaged)
    reader = OnlineReader(redis, settings)
    with capture_logs() as logs:
        values, context = await reader.scene(_rows(5), _ids, "nyc", NOW_S)
        assert await reader.context("nyc") is None
    assert context is None
    np.testing.assert_array_equal(
        values.column("visits_28d"), PlaceStates.at(states[[5]], NOW_S).column("visits_28d")
    )
    assert [(line["event"], line["region"]) for line in logs] == [("context_damaged", "nyc")]
