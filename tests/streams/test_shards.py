"""What a worker may fold: states that stand where it believes them to stand, and no others."""

from collections.abc import AsyncIterator, Mapping

import pytest
from faust.types import TP

from contracts.settings import Settings
from online_features.keys import Keys
from online_features.redis_client import client_of
from online_features.store import Store
from streams.shards import Shards, commit_of

TOPIC = "interactions"
HERE, OTHER = TP(TOPIC, 0), TP(TOPIC, 1)


class Consumer:
    """Notes where it is sent back to."""

    def __init__(self) -> None:
        self.sought: list[dict[TP, int]] = []

    async def rewind(self, offsets: Mapping[TP, int]) -> None:
        """Note it."""
        self.sought.append(dict(offsets))

    def durable(self, tp: TP) -> int:
        """Everything is archived."""
        return 1_000


@pytest.fixture
async def store(either_redis: Settings) -> AsyncIterator[Store]:
    """A store with keys of its own."""
    client = client_of(either_redis)
    yield Store(client, Keys.of(either_redis))
    await client.aclose()


async def owner(store: Store) -> Shards:
    """A worker that takes both partitions over."""
    shards = Shards(store, {TOPIC: "i"})
    await shards.assigned([HERE, OTHER])
    return shards


async def test_states_are_read_where_the_shards_stand(store: Store, settings: Settings) -> None:
    """A worker reads back what it has committed, of several shards at once."""
    key, shards, consumer = Keys.of(settings).entity("i", "u", 0), await owner(store), Consumer()
    shard = shards.get(*HERE)
    assert shard is not None
    await shards.commit([(shard, commit_of(shard, 5, {key: b"five"}, 60, {}))], consumer)
    assert await shards.read([key, f"{key}-new"], shards.all(), consumer) == [b"five", None]
    assert consumer.sought == []


async def test_a_zombie_gets_no_states_of_a_later_offset(store: Store, settings: Settings) -> None:
    """It would fold its events twice and pass on what never counted; it goes back instead."""
    key, zombie, consumer = Keys.of(settings).entity("i", "u", 0), await owner(store), Consumer()
    heir = await owner(store)
    shard = heir.get(*HERE)
    assert shard is not None
    await heir.commit([(shard, commit_of(shard, 5, {key: b"five"}, 60, {}))], Consumer())
    assert await zombie.read([key], zombie.all(), consumer) is None
    assert consumer.sought == [{HERE: 5, OTHER: 0}]


async def test_nobody_gets_states_that_the_store_took_back(
    store: Store, settings: Settings
) -> None:
    """After Redis lost writes its states are older than the position; the worker goes back."""
    key, shards, consumer = Keys.of(settings).entity("i", "u", 0), await owner(store), Consumer()
    shard = shards.get(*HERE)
    assert shard is not None
    shard.position = 9  # what it knew was stored, and is no more
    assert await shards.read([key], shards.all(), consumer) is None
    assert consumer.sought == [{HERE: 0, OTHER: 0}]
