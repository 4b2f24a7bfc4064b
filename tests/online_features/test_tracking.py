"""What a reader holds of a real Redis: never older than the last commit that was acknowledged."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from contracts.ids import id64
from contracts.settings import Settings
from online_features.columns import VISIT, EventColumns
from online_features.context import ContextState
from online_features.definitions import PLACE
from online_features.keys import Keys
from online_features.place_shelf import Rows, no_rows
from online_features.reader import OnlineReader, Scene
from online_features.row_index import RowIndex
from online_features.tracking import SILENCE_S
from placestream.stack.redis import RedisServer
from tests.inference.waiting import eventually
from tests.online_features.histories import START_S

NOW_S = START_S + 1_000.0
ROWS = np.arange(5)
#: States of one place after so many visits.
VERSIONS = 40


@pytest.fixture(scope="module")
def versions() -> list[bytes]:
    """Packed states of a place with 0, 1, 2 … visits."""
    visit = EventColumns.of(user=[1], place=[1], kind=[VISIT], time_s=[START_S])
    states, packed = PLACE.empty(1), []
    for _ in range(VERSIONS):
        packed += PLACE.pack(states)
        PLACE.fold(states, np.zeros(1, np.int64), visit)
    return packed


class NotHeld(Exception):
    """Redis was asked."""


class Reading:
    """A reader that hears of changes, and a client that makes them."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis, self.keys = redis, Keys.of(settings)
        self.reader = OnlineReader(redis, settings)
        index = RowIndex()
        for row in ROWS.tolist():
            index.put(id64(f"p{row}"), row)
        #: Rows of which the reader tells that they changed; None: all.
        self.told: list[list[int] | None] = []
        tracking = self.reader.follow(index.rows, self._told)
        assert tracking is not None
        self.tracking = tracking

    def _told(self, rows: Rows | None) -> None:
        self.told.append(None if rows is None else rows.tolist())

    async def put(self, row: int, packed: bytes) -> None:
        """Commit a place's state."""
        await self.redis.set(self.keys.entity("b", f"p{row}"), packed)

    async def scene(self, region: str = "") -> Scene:
        """Read places as a request does that finds them not to be held."""
        return await self.reader.scene(ROWS, _ids, region, NOW_S, await self.moment())

    async def moment(self) -> int | None:
        """Now, for which Redis has answered."""
        return (await self.reader.user("somebody")).moment

    async def held(self, region: str = "") -> Scene | None:
        """What is held, as of now."""
        return await self.held_at(await self.moment(), region)

    async def held_at(self, moment: int | None, region: str = "") -> Scene | None:
        """What is told without asking Redis."""

        async def refused(keys: list[Any]) -> list[None]:
            raise NotHeld

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.redis, "mget", refused)
            try:
                return await self.reader.scene(ROWS, _ids, region, NOW_S, moment)
            except NotHeld:
                return None


def _ids(rows: np.ndarray) -> list[str]:
    return [f"p{row}" for row in rows]


def visits(scene: Scene | None) -> list[int]:
    """How often each of the places was visited."""
    assert scene is not None
    return [int(n) for n in scene[0].table(("visits_28d",))[:, 0]]


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Reading]:
    """A reader that hears."""
    redis = Redis.from_url(settings.redis_url.get_secret_value())
    one = Reading(redis, settings)
    running = asyncio.create_task(one.tracking.run())
    try:
        await eventually(lambda: one.tracking.hears)
        yield one
    finally:
        running.cancel()
        await redis.aclose()


@pytest.fixture
async def one(settings: Settings) -> AsyncIterator[Reading]:
    """A reader that hears, on the Redis of the session."""
    async with reading(settings) as it:
        yield it


async def _reads(redis: Redis) -> int:
    stats = await redis.info("commandstats")
    return int(stats.get("cmdstat_mget", {"calls": 0})["calls"])


async def test_what_did_not_change_is_not_read_again(one: Reading, versions: list[bytes]) -> None:
    """Until it changes: then that place alone; one without a state, and a region, too."""
    await one.put(1, versions[3])
    assert await one.held() is None
    assert visits(await one.scene("nyc")) == [0, 3, 0, 0, 0]
    read = await _reads(one.redis)
    assert visits(await one.held("nyc")) == [0, 3, 0, 0, 0]
    assert await one.held("boston") is None
    moment = await one.moment()
    again = await one.reader.scene(ROWS, _ids, "nyc", NOW_S, moment)
    assert visits(again) == [0, 3, 0, 0, 0]
    assert await _reads(one.redis) == read
    await one.put(4, versions[7])
    assert await one.held() is None
    assert one.told == [[1], [4]]
    assert visits(await one.scene()) == [0, 3, 0, 0, 7]
    assert visits(await one.held()) == [0, 3, 0, 0, 7]


async def test_a_new_context_counts(one: Reading) -> None:
    """The one before, or that there was none, is not held any longer."""
    key = one.keys.entity("c", "nyc")
    for context in (None, ContextState(NOW_S, temp=9.0), ContextState(NOW_S, temp=11.0)):
        if context is not None:
            await one.redis.set(key, msgspec.json.encode(context))
            assert await one.held("nyc") is None
        assert (await one.scene("nyc"))[1] == context
        held = await one.held("nyc")
        assert held is not None
        assert held[1] == context


@pytest.mark.parametrize("what", ["place", "context"])
async def test_what_changes_before_its_answer_is_here_is_not_held(
    one: Reading, versions: list[bytes], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Redis answers, is changed, tells of the change, and only then its answer is looked at."""
    read = one.redis.mget

    async def slowly(keys: list[Any]) -> Any:
        answer: Any = await read(keys)
        if what == "place":
            await one.put(1, versions[2])
        else:
            rain = msgspec.json.encode(ContextState(NOW_S, condition="rain"))
            await one.redis.set(one.keys.entity("c", "nyc"), rain)
        await one.moment()
        return answer

    monkeypatch.setattr(one.redis, "mget", slowly)
    assert visits(await one.scene("nyc")) == [0] * 5
    monkeypatch.undo()
    assert await one.held("nyc") is None
    await one.scene("nyc")
    assert await one.held("nyc") is not None


async def test_no_acknowledged_commit_is_missing(one: Reading, versions: list[bytes]) -> None:
    """While writers commit as fast as they can, whatever was held or read meanwhile."""
    acknowledged = [0] * (len(ROWS) + 1)  # the last is the context
    done, reads = asyncio.Event(), await _reads(one.redis)

    async def write(row: int) -> None:
        rng = np.random.default_rng(row)
        for version in range(1, VERSIONS):
            if row < len(ROWS):
                await one.put(row, versions[version])
            else:
                context = ContextState(NOW_S, temp=version)
                await one.redis.set(one.keys.entity("c", "nyc"), msgspec.json.encode(context))
            acknowledged[row] = version
            await asyncio.sleep(float(rng.choice([0.0, 0.002, 0.02])))

    async def ask() -> int:
        scenes = 0
        while not done.is_set():
            before = list(acknowledged)
            moment = await one.moment()
            scene = await one.reader.scene(ROWS, _ids, "nyc", NOW_S, moment)
            seen = [*visits(scene), (scene[1] and scene[1].temp) or 0]
            assert all(it >= least for it, least in zip(seen, before, strict=True))
            scenes += 1
        return scenes

    asking = [asyncio.create_task(ask()) for _ in range(3)]
    await asyncio.gather(*(write(row) for row in range(len(acknowledged))))
    done.set()
    assert sum(await asyncio.gather(*asking)) > await _reads(one.redis) - reads > 0
    assert visits(await one.scene()) == [VERSIONS - 1] * len(ROWS)


async def test_a_lost_connection_loses_what_was_held(one: Reading, versions: list[bytes]) -> None:
    """A change that nobody could tell of counts when it listens again."""
    await one.put(2, versions[1])
    await one.scene()
    assert visits(await one.held()) == [0, 0, 1, 0, 0]
    moment = await one.moment()
    own = await one.redis.client_id()
    for client in await one.redis.client_list():
        if client["flags"] != "N" and int(client["id"]) != own:  # those that track
            await one.redis.client_kill_filter(_id=client["id"])
    await eventually(lambda: not one.tracking.hears)
    assert await one.held_at(moment) is None
    await one.put(2, versions[5])
    assert visits(await one.scene()) == [0, 0, 5, 0, 0]
    await one.put(2, versions[6])
    await eventually(lambda: one.tracking.hears)
    assert await one.held() is None
    assert visits(await one.scene()) == [0, 0, 6, 0, 0]
    assert visits(await one.held()) == [0, 0, 6, 0, 0]


async def test_each_command_has_its_own_answer(one: Reading) -> None:
    """An error is that of its command alone, and whoever has gone takes nobody's answer."""
    ask = one.tracking.ask
    await one.redis.set("text", "5")
    gone = ask("GET", "text")
    gone.cancel()
    refused, text, nothing = ask("HGET", "text", "field"), ask("GET", "text"), ask("GET", "never")
    with pytest.raises(ResponseError):
        await refused
    assert (await text, await nothing) == (b"5", None)
    assert one.tracking.hears
    await one.redis.delete("text")


async def test_what_is_no_answer_is_taken_for_none(one: Reading) -> None:
    """Redis may say other things by itself; here, that somebody listens to a channel."""
    await one.redis.set("text", "7")
    one.tracking._connection.send_now("SUBSCRIBE", "news")
    assert await one.tracking.ask("GET", "text") == b"7"
    await one.redis.publish("news", "none")
    assert await one.tracking.ask("GET", "never") is None
    assert await one.tracking.ask("GET", "text") == b"7"
    await one.redis.delete("text")


async def test_an_error_of_ours_loses_the_connection_and_no_more(
    one: Reading, versions: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has another's answer, and it listens again."""

    def breaks(keys: object) -> None:
        monkeypatch.undo()
        raise KeyError(keys)

    await one.scene()
    monkeypatch.setattr(one.tracking, "_changed", breaks)
    with capture_logs() as logs:
        await one.put(3, versions[2])
        await eventually(lambda: not one.tracking.hears)
        await eventually(lambda: one.tracking.hears)
    assert logs[0]["event"] == "redis_changes_not_heard"
    assert isinstance(logs[0]["exc_info"], KeyError)
    assert visits(await one.scene()) == [0, 0, 0, 2, 0]
    assert visits(await one.held()) == [0, 0, 0, 2, 0]


async def test_a_user_is_read_another_way_where_the_connection_breaks(one: Reading) -> None:
    """While the answer is waited for; what it then says stands for no moment."""
    reading = asyncio.create_task(one.reader.user("somebody"))
    after = asyncio.create_task(one.reader.user_after("somebody", [0, 1]))
    await asyncio.sleep(0)
    one.tracking._connection._writer.transport.abort()
    assert (await reading).moment is None
    assert (await after)[0].moment is None
    assert (await after)[1] == (0, 0)
    assert not one.tracking.hears
    assert one.told == [None]


async def test_an_emptied_redis_is_empty(
    settings: Settings, tmp_path: Path, versions: list[bytes]
) -> None:
    """FLUSHALL names no keys."""
    with RedisServer(tmp_path / "redis") as server:
        async with reading(_on(settings, server.url)) as one:
            await one.put(0, versions[4])
            await one.scene()
            assert visits(await one.held()) == [4, 0, 0, 0, 0]
            await one.redis.flushall()
            assert await one.held() is None
            assert visits(await one.scene()) == [0] * 5


async def test_nothing_is_held_of_a_redis_that_hangs(settings: Settings, tmp_path: Path) -> None:
    """At once, for the question how far it is stays open; and later it is taken for lost."""
    with RedisServer(tmp_path / "redis") as server:
        async with reading(_on(settings, server.url)) as one:
            await one.scene()
            assert await one.held() is not None
            (child,) = server.children
            os.kill(child.pid, signal.SIGSTOP)
            try:
                asked = asyncio.create_task(one.moment())
                await asyncio.sleep(0.05)
                assert await one.held_at(one.tracking.moment) is None
                await eventually(lambda: not one.tracking.answers)
                with capture_logs() as logs:
                    await eventually(lambda: not one.tracking.hears)
                    await asyncio.sleep(2.5 * SILENCE_S)
            finally:
                os.kill(child.pid, signal.SIGCONT)
            assert await asked is None  # another connection was asked instead
            assert [line["event"] for line in logs] == ["redis_changes_not_heard"]
            await eventually(lambda: one.tracking.hears)
            await one.scene()
            assert await one.held() is not None


async def test_without_the_right_to_hear_every_request_reads(
    settings: Settings, tmp_path: Path, versions: list[bytes]
) -> None:
    """A Redis that refuses is named once, with what that costs."""
    with RedisServer(tmp_path / "redis") as server, server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "poor", "on", ">secret", "~*", "+@all", "-client")
        poor = _on(settings, server.url.replace("://", "://poor:secret@"))
        redis = Redis.from_url(poor.redis_url.get_secret_value())
        one = Reading(redis, poor)
        with capture_logs() as logs:
            running = asyncio.create_task(one.tracking.run())
            for version in (1, 2):
                await asyncio.sleep(0.7)
                await one.put(0, versions[version])
                assert visits(await one.scene()) == [version, 0, 0, 0, 0]
                assert await one.held() is None
                assert len(one.reader._shelf) == 1  # what is the same is not unpacked again
        running.cancel()
        await redis.aclose()
        (line,) = [line for line in logs if line["event"] == "redis_changes_not_heard"]
        assert "client" in line["cause"]


def test_a_cluster_is_not_listened_to(settings: Settings) -> None:
    """One connection would hear one node."""
    cluster = settings.model_copy(update={"redis_cluster": True})
    assert OnlineReader(Redis(), cluster).follow(no_rows) is None


def _on(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"redis_url": SecretStr(url)})
