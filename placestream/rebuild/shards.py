"""Whose the shards of this version are: nobody's, a rebuild's, or a worker's."""

from enum import Enum
from typing import Any

from redis.asyncio import Redis

from online_features.keys import Keys, ShardKind
from online_features.store import Ownership, Store

#: Field of a shard's hash: the epoch under which a rebuild held it. A worker that takes the
#: shard over raises the epoch and leaves this behind.
REBUILT = "rebuilt"
#: Field of a shard's hash that a rebuild leaves when all of the archive is in the states.
FILLED = "filled"
DELETED_AT_ONCE = 1_000


class Holder(Enum):
    """Who folded last what the shards of a kind hold."""

    NOBODY = "nobody"
    REBUILD = "a rebuild"
    WORKER = "a worker"
    #: A worker took over what a rebuild had not finished: states that lack events.
    TORN = "a worker, too early"


class RebuildShards:
    """The shards of the current version. Raises `redis.RedisError` when Redis is away."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self.store = Store(redis, keys)

    async def holder(self, kind: ShardKind) -> Holder:
        """Who held the shards of a kind last: the worst of what is true of any of them."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for partition in range(self._keys.partitions):
                pipe.hmget(self._keys.shard(kind, partition), ["epoch", REBUILT, FILLED])
            found = {_holder(*fields) for fields in await pipe.execute()}
        worst_first = (Holder.TORN, Holder.WORKER, Holder.REBUILD, Holder.NOBODY)
        return next(holder for holder in worst_first if holder in found)

    async def claim(self, kind: ShardKind) -> list[Ownership]:
        """Own all shards of a kind, marked as a rebuild's."""
        held = []
        for partition in range(self._keys.partitions):
            mine = await self.store.acquire(kind, partition)
            shard: Any = self._redis.hset(self._keys.shard(kind, partition), REBUILT, mine.epoch)
            await shard
            held.append(mine)
        return held

    async def finish(self, kind: ShardKind) -> None:
        """Note that the states of a kind hold all of the archive."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for partition in range(self._keys.partitions):
                pipe.hset(self._keys.shard(kind, partition), FILLED, 1)
            await pipe.execute()

    async def reopen(self, kind: ShardKind) -> None:
        """Note that until `finish` states may lie ahead of their shard's offset.

        A worker that takes over meanwhile folds events twice: it counts as one that came too early.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for partition in range(self._keys.partitions):
                pipe.hdel(self._keys.shard(kind, partition), FILLED)
            await pipe.execute()

    async def clear(self, kind: ShardKind) -> None:
        """Forget all states of a kind in the current version, and where its shards stood.

        The epochs stay, and grow, so that whoever held the shards is refused from now on. Broken
        off, it leaves shards that count as a worker's: nobody takes half of the states for all.
        """
        for partition in range(self._keys.partitions):
            await self.store.acquire(kind, partition)
        pattern = self._keys.pattern(kind, self._keys.version(kind))
        shards = {self._keys.shard(kind, p) for p in range(self._keys.partitions)}
        async for batch in scan(self._redis, pattern):
            await delete(self._redis, [key for key in batch if key.decode() not in shards])
        for shard in sorted(shards):
            fields: Any = self._redis.hkeys(shard)
            gone = [f for f in await fields if f != b"epoch"]
            if gone:
                removed: Any = self._redis.hdel(shard, *gone)
                await removed


def _holder(epoch: bytes | None, rebuilt: bytes | None, filled: bytes | None) -> Holder:
    if epoch is None:
        return Holder.NOBODY
    if epoch == rebuilt:
        return Holder.REBUILD
    return Holder.TORN if rebuilt is not None and filled is None else Holder.WORKER


async def scan(redis: Redis, pattern: str) -> Any:
    """Yield the keys that match, in batches."""
    batch: list[bytes] = []
    async for key in redis.scan_iter(pattern, count=DELETED_AT_ONCE):
        batch.append(key)
        if len(batch) == DELETED_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


async def delete(redis: Redis, keys: list[bytes]) -> None:
    """Delete keys, whatever their slots, in one round trip."""
    async with redis.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.execute_command("UNLINK", key)  # a cluster's pipeline has no `unlink`
        await pipe.execute()
