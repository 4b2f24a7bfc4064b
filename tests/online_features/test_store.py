"""The atomic commit, on a real Redis and on a real Redis Cluster."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from contracts.settings import Settings
from online_features.keys import Keys, ShardKind
from online_features.redis_client import client_of
from online_features.store import FENCED, MOVED, OWNED, Commit, Outcome, Store


@pytest.fixture
async def redis(either_redis: Settings) -> AsyncIterator[Redis]:
    """An asynchronous client."""
    client = client_of(either_redis)
    yield client
    await client.aclose()


@pytest.fixture
def keys(settings: Settings) -> Keys:
    """Keys of this test alone."""
    return Keys.of(settings)


def commit(keys: Keys, epoch: int, span: tuple[int, int], value: bytes) -> Commit:
    """A commit of one user of shard 0."""
    key = keys.entity("i", "u", 0)
    return Commit("i", 0, epoch, *span, writes={key: value}, ttl_s=60)


async def test_state_and_offset_move_together(redis: Redis, keys: Keys) -> None:
    """A commit from the stored offset is done, once."""
    store = Store(redis, keys)
    mine = await store.acquire("i", 0)
    assert (mine.epoch, mine.offset, mine.watermarks) == (1, 0, {})
    first = commit(keys, 1, (0, 10), b"a")
    assert await store.commit([first]) == [Outcome(OWNED, 10)]
    assert await store.commit([commit(keys, 1, (0, 10), b"again")]) == [Outcome(MOVED, 10)]
    assert await store.read([keys.entity("i", "u", 0)]) == [b"a"]
    assert 0 < await redis.ttl(keys.entity("i", "u", 0)) <= 60


async def test_a_zombie_is_refused(redis: Redis, keys: Keys) -> None:
    """After another worker took the shard, the former owner writes nothing."""
    store = Store(redis, keys)
    old = await store.acquire("i", 0)
    await store.commit([commit(keys, old.epoch, (0, 5), b"old")])
    new = await store.acquire("i", 0)
    assert new.offset == 5
    refused = await store.commit([commit(keys, old.epoch, (5, 9), b"zombie")])
    assert refused == [Outcome(FENCED, new.epoch)]
    assert await store.read([keys.entity("i", "u", 0)]) == [b"old"]
    assert await store.commit([commit(keys, new.epoch, (5, 9), b"new")]) == [Outcome(OWNED, 9)]


async def test_one_refused_shard_does_not_hold_up_another(redis: Redis, keys: Keys) -> None:
    """Each shard of a round trip stands for itself."""
    store = Store(redis, keys)
    one, two = await store.acquire("b", 1), await store.acquire("b", 2)
    stale = Commit("b", 1, one.epoch, 99, 100, writes={})
    good = Commit("b", 2, two.epoch, 0, 4, {keys.entity("b", "p", 2): b"x"}, watermarks={3: 7})
    assert await store.commit([stale, good]) == [Outcome(MOVED, 0), Outcome(OWNED, 4)]
    assert (await store.acquire("b", 2)).watermarks == {3: 7}


async def test_an_empty_value_deletes(redis: Redis, keys: Keys) -> None:
    """How a closed place leaves the store."""
    store = Store(redis, keys)
    mine = await store.acquire("d", 0)
    key = keys.entity("d", "p", 0)
    await store.commit([Commit("d", 0, mine.epoch, 0, 1, {key: b"document"})])
    assert await redis.ttl(key) == -1
    await store.commit([Commit("d", 0, mine.epoch, 1, 2, {key: b""})])
    assert await store.read([key]) == [None]


async def test_states_are_read_with_the_offsets_of_their_shards(redis: Redis, keys: Keys) -> None:
    """Of several shards, that in a cluster lie on several nodes; in the order of the keys."""
    store = Store(redis, keys)
    shards: list[tuple[ShardKind, int]] = [("i", partition) for partition in range(keys.partitions)]
    named = [keys.entity("i", f"u{n}", p) for n in range(3) for p in range(keys.partitions)]
    written = {key: key.encode() for key in named[: 2 * keys.partitions]}
    commits = [
        Commit("i", p, (await store.acquire("i", p)).epoch, 0, 10 + p, its)
        for p in range(keys.partitions)
        if (its := {key: value for key, value in written.items() if f"{{i{p}}}" in key})
    ]
    assert [outcome.status for outcome in await store.commit(commits)] == [OWNED] * 4
    expected = [written.get(key) for key in named]
    assert await store.read(named) == expected
    assert await store.read_at(named, shards) == (expected, [10, 11, 12, 13])
    assert await store.offsets(shards) == [10, 11, 12, 13]
    assert await store.read_at([], shards) == ([], [10, 11, 12, 13])


def test_what_one_batch_writes_shares_a_hash_tag(keys: Keys) -> None:
    """So that the commit stays atomic in a Redis Cluster."""

    def tag(key: str) -> str:
        return key[key.index("{") : key.index("}") + 1]

    assert tag(keys.entity("i", "any {id}", 3)) == tag(keys.shard("i", 3)) == "{i3}"
    assert keys.shard("i", 3) not in [keys.entity("i", i, 3) for i in ("shard", "#shard", "")]
