"""The crowd watch: what is due is read, again and again, and a store that is away is waited for."""

import asyncio

import numpy as np
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisGone
from structlog.testing import capture_logs

from contracts.settings import Settings
from inference import crowd_watch
from inference.crowd_watch import RETRY_S, ROUND_S, CrowdWatch
from online_features.crowds import encoded
from online_features.keys import Keys
from online_features.reader import OnlineReader
from placestream.stack.redis import RedisServer
from tests.inference.fakes import NOON_S, FakeStore, catalogue_of, events, place
from tests.inference.installation import store_events
from tests.inference.leaping import leap
from tests.inference.waiting import eventually

PLACES = [place(f"p{i}", 10.0 * i) for i in range(150)]


def test_every_place_is_read_then_read_again() -> None:
    """A visit that comes after the first round is seen by the second."""
    store, catalogue = FakeStore(), catalogue_of(*PLACES)

    async def main() -> None:
        watch = CrowdWatch(catalogue, store, lambda: NOON_S)
        running = asyncio.create_task(watch.run())
        await watch.first.wait()
        assert not watch.crowds.of(np.arange(150), NOON_S).any()
        assert sum(len(asked) - 1 for asked in store.asked) == 150
        store.happened = events(("u", "p7", "visit", 60.0))
        await asyncio.sleep(2 * ROUND_S)
        found = watch.crowds.of(np.arange(150), NOON_S)
        assert np.flatnonzero(found.any(axis=1)).tolist() == [7]
        assert found[7].tolist() == encoded(np.ones(4)).tolist()
        running.cancel()

    leap(main())


class Watching:
    """A watch that hears what changes, while the test says so; p7 was visited ten minutes ago."""

    def __init__(self) -> None:
        self.store = FakeStore(events(("u", "p7", "visit", 600.0)))
        self.now_s, self.hears = NOON_S, True
        self.catalogue = catalogue_of(*PLACES)
        self.watch = CrowdWatch(self.catalogue, self.store, lambda: self.now_s, lambda: self.hears)

    async def read(self) -> list[str]:
        """What two rounds read, sorted."""
        self.store.asked.clear()
        for _ in range(2):
            await self.watch.round()
        return sorted(place_id for _, *ids in self.store.asked for place_id in ids)

    def visit(self, row: int) -> None:
        """Let the place have one more, of which the watch hears."""
        self.store.happened = events(("u", "p7", "visit", 600.0), ("u", f"p{row}", "visit", 1.0))
        self.watch.changed(np.array([row, 9_999]))

    def crowded(self) -> list[int]:
        """Rows of places with a crowd."""
        found = self.watch.crowds.of(np.arange(150), self.now_s)
        return [int(row) for row in np.flatnonzero(found.any(axis=1))]


def test_while_changes_are_heard_only_they_are_read() -> None:
    """And every five minutes those that have a state, for windows pass."""
    every = sorted(p.place_id for p in PLACES)

    async def main() -> None:
        it = Watching()
        assert await it.read() == every
        assert await it.read() == []
        assert it.crowded() == [7]
        it.visit(3)
        assert await it.read() == ["p3"]
        assert it.crowded() == [3, 7]
        it.now_s += 3_600.0
        assert await it.read() == ["p3", "p7"]
        assert it.watch.crowds.as_of_s == it.now_s
        it.watch.changed(None)  # it was not heard for a while
        assert await it.read() == every
        it.catalogue.upsert(place("p150", 1_500.0))
        assert await it.read() == ["p150"]
        it.catalogue.close("p150")
        it.hears = False
        every.append("p150")
        it.watch.changed(None)
        assert await it.read() == sorted(2 * every)

    leap(main())


def test_what_changed_waits_for_two_short_rounds_at_most() -> None:
    """Also where one place more than fits into a read is due."""

    async def main() -> None:
        it = Watching()
        await it.watch.round()
        running = asyncio.create_task(it.watch.run())
        await asyncio.sleep(0)
        it.watch.changed(np.arange(65))
        await asyncio.sleep(ROUND_S + 0.1)  # a round with those has begun
        it.visit(149)
        await asyncio.sleep(2 * ROUND_S + 0.1)
        assert it.crowded() == [7, 149]
        running.cancel()

    leap(main())


def test_what_changes_while_it_is_read_is_read_again() -> None:
    """Nobody can know what the answer holds; nor is what was not answered taken for read."""

    async def main() -> None:
        it = Watching()
        await it.watch.round()
        it.visit(3)
        it.store.delay_s = 1.0
        reading = asyncio.create_task(it.watch.round())
        await asyncio.sleep(ROUND_S + 0.5)
        it.visit(3)
        await reading
        it.store.delay_s = 0.0
        assert await it.read() == ["p3"]
        it.visit(5)
        it.store.error = RedisGone("gone")
        with pytest.raises(RedisGone):
            await it.watch.round()
        it.store.error = None
        assert await it.read() == ["p5"]
        it.visit(9)
        it.store.delay_s = 1.0
        reading = asyncio.create_task(it.watch.round())
        await asyncio.sleep(ROUND_S + 0.5)
        reading.cancel()
        await asyncio.wait([reading])
        it.store.delay_s = 0.0
        assert await it.read() == ["p9"]

    leap(main())


def test_what_was_answered_but_not_worked_out_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slip of ours must not leave places without a crowd."""

    def slips(*_: object) -> None:
        raise MemoryError

    async def main() -> None:
        it = Watching()
        with monkeypatch.context() as patch:
            patch.setattr(crowd_watch, "crowd_of", slips)
            with pytest.raises(MemoryError):
                await it.watch.round()
        await it.watch.round()
        assert it.crowded() == [7]

    leap(main())


async def test_it_hears_of_changes_in_redis(redis_server: RedisServer, settings: Settings) -> None:
    """Through the reader that hears them; when the connection breaks, all are due."""
    catalogue = catalogue_of(*PLACES[:5])
    async with Redis.from_url(redis_server.url) as redis:
        reader = OnlineReader(redis, settings)
        watch = CrowdWatch(catalogue, reader, lambda: NOON_S, lambda: reader.hears)
        tracking = reader.follow(catalogue.rows_of, watch.changed)
        assert tracking is not None
        running = asyncio.create_task(tracking.run())
        await eventually(lambda: reader.hears)
        await watch.round()
        assert not len(watch._due())
        with redis_server.client() as client:
            store_events(client, settings, NOON_S, ("u", "p3", "visit", 60.0))
        await eventually(lambda: watch._due().tolist() == [3])
        await watch.round()
        found = watch.crowds.of(np.arange(5), NOON_S)
        assert np.flatnonzero(found.any(axis=1)).tolist() == [3]
        tracking._connection._writer.transport.abort()
        await eventually(lambda: len(watch._due()) == 5)
        running.cancel()


@pytest.mark.parametrize(
    ("error", "surprise"), [(RedisGone("gone"), False), (RuntimeError("a slip of ours"), True)]
)
def test_what_goes_wrong_is_said_once_and_tried_again(error: Exception, surprise: bool) -> None:
    """The service goes on with no crowds, and has them when the store is back; of an error that
    nobody foresaw it tells where it was."""
    store, catalogue = FakeStore(error=error), catalogue_of(*PLACES)

    async def main() -> None:
        watch = CrowdWatch(catalogue, store, lambda: NOON_S)
        running = asyncio.create_task(watch.run())
        await asyncio.sleep(3.5 * RETRY_S)
        assert not watch.first.is_set()
        store.error = None
        await asyncio.sleep(RETRY_S)
        assert watch.first.is_set()
        running.cancel()

    with capture_logs() as logs:
        leap(main())
    (line,) = logs
    assert line["event"] == "crowds_not_read"
    assert (line["exc_info"] is error) == surprise


def test_an_empty_catalogue_lets_others_run() -> None:
    """Nothing to read is no endless loop, and a place that comes is read."""
    catalogue, store = catalogue_of(), FakeStore()
    store.happened = events(("u", "p0", "visit", 60.0))

    async def main() -> None:
        watch = CrowdWatch(catalogue, store, lambda: NOON_S)
        running = asyncio.create_task(watch.run())
        await asyncio.sleep(2 * ROUND_S)
        catalogue.upsert(PLACES[0])
        await asyncio.sleep(2 * ROUND_S)
        assert watch.crowds.of(np.array([0]), NOON_S).any()
        running.cancel()

    leap(main())


async def test_a_damaged_state_leaves_the_others_their_crowds(
    redis_server: RedisServer, settings: Settings
) -> None:
    """The first round ends, so that a service can start, and the log names the place."""
    with redis_server.client() as client:
        store_events(client, settings, NOON_S, *[("u", f"p{i}", "visit", 60.0) for i in range(5)])
        client.set(Keys.of(settings).entity("b", "p2"), b"\x00\x01damaged")
    async with Redis.from_url(redis_server.url) as redis:
        watch = CrowdWatch(catalogue_of(*PLACES[:5]), OnlineReader(redis, settings), lambda: NOON_S)
        with capture_logs() as logs:
            await watch.round()
    assert watch.first.is_set()
    found = watch.crowds.of(np.arange(5), NOON_S)
    assert found.any(axis=1).tolist() == [True, True, False, True, True]
    assert [line["place_ids"] for line in logs] == [["p2"]]
