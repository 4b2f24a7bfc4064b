"""People removed from a real Redis: all versions, nobody else, and no worker brings them back."""

from collections.abc import AsyncIterator, Iterator

import pytest
import redis
from redis.asyncio import Redis

from contracts.ids import partition_of
from contracts.settings import Settings
from online_features.columns import VIEW, VISIT, EventColumns
from online_features.definitions import LOOKS_KEPT, USER, VISITS_KEPT
from online_features.keys import Keys
from online_features.redis_client import blocking_client_of, client_of
from online_features.store import FENCED, OWNED, Commit, Store
from placestream.erase.in_redis import InRedis
from placestream.rebuild.shards import REBUILT, Holder, RebuildShards

STATE = b"a state"
ODD = ["*", "u[s]er", "back\\slash", "q?", "a:b", "{x}", "naïve café", "ann#shard"]


@pytest.fixture
def keys(settings: Settings) -> Keys:
    """Keys of this test."""
    return Keys.of(settings)


@pytest.fixture
def redis_client(either_redis: Settings) -> Iterator["redis.Redis"]:
    """A client of one Redis, and of a cluster."""
    with blocking_client_of(either_redis) as client:
        yield client


@pytest.fixture
def people(redis_client: "redis.Redis", keys: Keys) -> InRedis:
    """What is tested."""
    return InRedis(redis_client, keys)


@pytest.fixture
async def store(either_redis: Settings, keys: Keys) -> AsyncIterator[Store]:
    """As a worker has it."""
    client: Redis = client_of(either_redis)
    yield Store(client, keys)
    await client.aclose()


def state(*times_s: float, kind: int = VISIT) -> bytes:
    """Of somebody who did the same at some moments."""
    log = EventColumns.of(
        user=[1] * len(times_s),
        place=[2] * len(times_s),
        kind=[kind] * len(times_s),
        time_s=list(times_s),
    )
    states = USER.empty(1)
    USER.fold(states, log.user.astype("i8") * 0, log)
    return USER.pack(states)[0]


@pytest.mark.parametrize("user_id", ["ann", "42", *ODD])
def test_one_person_goes_and_nobody_else(
    redis_client: "redis.Redis", keys: Keys, people: InRedis, user_id: str
) -> None:
    """Not the place of the same id, not the region, not those whose id would match as a pattern."""
    others = [f"{user_id}x", f"x{user_id}", "annb", "user", *(o for o in ODD if o != user_id)]
    kept = {keys.entity(kind, user_id) for kind in ("b", "d", "c")}
    kept |= {keys.entity("i", other) for other in others}
    for key in (*kept, keys.entity("i", user_id)):
        redis_client.set(key, STATE)
    done = people.remove([user_id])
    assert (sum(done.found.values()), done.removed) == (1, 1)
    assert people.find([user_id]) == []
    assert redis_client.exists(*kept) == len(kept)
    assert people.remove([user_id]).removed == 0


def test_every_version_is_searched(
    redis_client: "redis.Redis", keys: Keys, people: InRedis
) -> None:
    """States of older definitions lie beside the new ones until somebody drops them."""
    now = keys.entity("i", "ann")
    old = now.replace(f":{keys.version('i')}:", ":0ld:")
    for key in (now, old):
        redis_client.set(key, STATE)
    assert people.remove(["ann", "bob"]).found == {keys.version("i"): 1, "0ld": 1}
    assert redis_client.exists(now, old) == 0


async def test_a_batch_under_way_cannot_bring_them_back(
    redis_client: "redis.Redis", keys: Keys, people: InRedis, store: Store
) -> None:
    """Its commit is refused; its worker takes the shard again, and goes on from the same offset."""
    partition, key = partition_of("ann", keys.partitions), keys.entity("i", "ann")
    before = await store.acquire("i", partition)
    redis_client.set(key, STATE)
    assert people.remove(["ann"]).shards_fenced == 1
    late = Commit("i", partition, before.epoch, before.offset, 10, {key: STATE})
    (refused,) = await store.commit([late])
    assert refused.status == FENCED
    assert redis_client.get(key) is None
    again = await store.acquire("i", partition)
    assert again.offset == before.offset
    (taken,) = await store.commit([Commit("i", partition, again.epoch, again.offset, 10, {})])
    assert taken.status == OWNED


def test_a_state_that_comes_after_the_search_goes_too(
    redis_client: "redis.Redis", keys: Keys, people: InRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker wrote it between the walk over all keys and the fence."""
    ids = [f"user-{number}" for number in range(4 * keys.partitions)]  # several in each shard

    def nothing_yet(user_ids: list[str]) -> list[str]:
        for user_id in user_ids:
            redis_client.set(keys.entity("i", user_id), STATE)
        return []

    with monkeypatch.context() as patched:
        patched.setattr(people, "find", nothing_yet)
        assert people.remove(ids).removed == len(ids)
    assert people.find(ids) == []


async def test_a_rebuild_goes_on_after_it(
    either_redis: Settings, redis_client: "redis.Redis", keys: Keys, people: InRedis
) -> None:
    """Its batch is refused too, but the shards still count as a rebuild's, not as torn."""
    client: Redis = client_of(either_redis)
    shards = RebuildShards(client, keys)
    await shards.claim("i")
    people.remove(["ann"])
    assert await shards.holder("i") is Holder.REBUILD
    await client.aclose()
    shard = keys.shard("i", partition_of("ann", keys.partitions))
    assert redis_client.hget(shard, REBUILT) == redis_client.hget(shard, "epoch") == b"2"


def test_shards_that_nobody_ever_had_are_not_made(
    redis_client: "redis.Redis", keys: Keys, people: InRedis
) -> None:
    """A shard with an epoch would count as a worker's."""
    assert people.remove(["ann"]).shards_fenced == 0
    assert not redis_client.exists(keys.shard("i", partition_of("ann", keys.partitions)))


def test_the_second_look_tells_old_from_new(
    redis_client: "redis.Redis", keys: Keys, people: InRedis
) -> None:
    """Somebody who came back has a state; one with anything from before is a failure."""

    base_s = 1_750_000_000.0
    key = keys.entity("i", "ann")
    assert people.left(["ann"], base_s) == (0, 0)
    redis_client.set(key, state(base_s + 1, base_s + 2))
    assert people.left(["ann"], base_s) == (0, 1)
    redis_client.set(key, state(base_s - 1, base_s + 2))
    assert people.left(["ann"], base_s) == (1, 0)
    redis_client.set(key, b"what is this")
    assert people.left(["ann"], base_s) == (1, 0)


@pytest.mark.parametrize(("kind", "listed"), [(VIEW, LOOKS_KEPT), (VISIT, VISITS_KEPT)])
def test_what_the_second_look_cannot_tell_is_no_success(
    redis_client: "redis.Redis", keys: Keys, people: InRedis, kind: int, listed: int
) -> None:
    """A state lists only the last events: once they fill the list, one from before may be counted
    that is not listed any more."""
    base_s, key = 1_750_000_000.0, keys.entity("i", "ann")
    since = [base_s + 1 + number for number in range(listed)]
    redis_client.set(key, state(*since[:-1], kind=kind))
    assert people.left(["ann"], base_s) == (0, 1)
    redis_client.set(key, state(base_s - 1, *since, kind=kind))
    assert people.left(["ann"], base_s) == (1, 0)
