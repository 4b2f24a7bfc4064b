"""The atomic commit of states together with the offset they stem from (DESIGN D2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from online_features.keys import Keys, ShardKind
from online_features.redis_cluster import is_cluster

OWNED, FENCED, MOVED = 1, -1, -2

# One shard: KEYS[1] its hash, KEYS[2..] the entities. The epoch is checked first: a worker that
# lost the partition must not write, whatever offset it has reached. Then the offset: states may
# only be replaced by ones that were folded from them.
_COMMIT = """
local shard = KEYS[1]
local epoch = redis.call('HGET', shard, 'epoch') or '0'
if epoch ~= ARGV[1] then return {-1, tonumber(epoch)} end
local offset = redis.call('HGET', shard, 'offset') or '0'
if offset ~= ARGV[2] then return {-2, tonumber(offset)} end
redis.call('HSET', shard, 'offset', ARGV[3])
local ttl = ARGV[4]
local marks = tonumber(ARGV[5])
for i = 1, marks do
  redis.call('HSET', shard, ARGV[4 + 2 * i], ARGV[5 + 2 * i])
end
local first = 5 + 2 * marks
for i = 2, #KEYS do
  local value = ARGV[first + i - 1]
  if value == '' then
    redis.call('DEL', KEYS[i])
  elseif ttl == '0' then
    redis.call('SET', KEYS[i], value)
  else
    redis.call('SET', KEYS[i], value, 'EX', ttl)
  end
end
return {1, tonumber(ARGV[3])}
"""

# KEYS[1] a shard: a higher epoch, and all that its hash holds.
_ACQUIRE = """
return {redis.call('HINCRBY', KEYS[1], 'epoch', 1), redis.call('HGETALL', KEYS[1])}
"""

# In a cluster: KEYS[1] a shard, KEYS[2..] entities in it. One by one, since a script cannot pass
# thousands of keys to one MGET.
_READ_AT = """
local found = {redis.call('HGET', KEYS[1], 'offset') or '0'}
for i = 2, #KEYS do found[i] = redis.call('GET', KEYS[i]) end
return found
"""


@dataclass(frozen=True)
class Ownership:
    """What a worker holds of a shard once it owns it.

    Attributes:
        epoch: fencing token; any later owner has a higher one.
        offset: next offset of the source partition to fold.
        watermarks: for a re-keyed stream, the highest folded source offset per source partition.
    """

    epoch: int
    offset: int
    watermarks: dict[int, int]


@dataclass(frozen=True)
class Commit:
    """States and offset of one shard, to be written together or not at all.

    `writes` maps keys to packed states; an empty value deletes the key.
    """

    kind: ShardKind
    partition: int
    epoch: int
    from_offset: int
    to_offset: int
    writes: Mapping[str, bytes]
    ttl_s: int = 0
    watermarks: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a commit: `OWNED` done; `FENCED` another worker owns the shard; `MOVED`
    the stored offset is not the one that the states were folded from, but `value`."""

    status: int
    value: int


class Store:
    """Shards in Redis. Raises `redis.RedisError` when Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def acquire(self, kind: ShardKind, partition: int) -> Ownership:
        """Become the owner of a shard: from now on, any earlier owner's commit is refused."""
        asked: Any = self._redis.eval(_ACQUIRE, 1, self._keys.shard(kind, partition))
        epoch, fields = await asked
        stored = dict(zip(fields[::2], fields[1::2], strict=True))
        marks = {int(k[1:]): int(v) for k, v in stored.items() if k.startswith(b"w")}
        return Ownership(int(epoch), int(stored.get(b"offset", 0)), marks)

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Values of many keys in one round trip."""
        if not keys:
            return []
        values: Any = await self._redis.mget(keys)
        return list(values)

    async def read_at(
        self, keys: Sequence[str], shards: Sequence[tuple[ShardKind, int]]
    ) -> tuple[list[bytes | None], list[int]]:
        """Values of many keys, and the stored offsets of their shards at that same moment.

        In a cluster each shard is read at a moment of its own: a shard's states and its offset
        belong together, two shards do not.

        Raises:
            KeyError: in a cluster, a key lies in none of these shards.
        """
        if is_cluster(self._redis):
            return await self._read_by_shard(keys, shards)
        async with self._redis.pipeline(transaction=True) as pipe:
            for kind, partition in shards:
                pipe.hget(self._keys.shard(kind, partition), "offset")
            pipe.mget(keys)
            *stored, values = await pipe.execute()
        return list(values), [int(offset or 0) for offset in stored]

    async def _read_by_shard(
        self, keys: Sequence[str], shards: Sequence[tuple[ShardKind, int]]
    ) -> tuple[list[bytes | None], list[int]]:
        entities: dict[str, list[str]] = {self._keys.shard(*shard): [] for shard in shards}
        for key in keys:
            entities[self._keys.shard_of(key)].append(key)
        async with self._redis.pipeline(transaction=False) as pipe:
            for shard, its in entities.items():
                pipe.eval(_READ_AT, 1 + len(its), shard, *its)
            found = await pipe.execute()
        values = {
            key: value
            for its, (_, *read) in zip(entities.values(), found, strict=True)
            for key, value in zip(its, read, strict=True)
        }
        return [values[key] for key in keys], [int(offset) for offset, *_ in found]

    async def offsets(self, shards: Sequence[tuple[ShardKind, int]]) -> list[int]:
        """Stored offsets of some shards, in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for kind, partition in shards:
                pipe.hget(self._keys.shard(kind, partition), "offset")
            return [int(offset or 0) for offset in await pipe.execute()]

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Write several shards, each atomically, in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for commit in commits:
                pipe.eval(_COMMIT, 1 + len(commit.writes), *self._arguments(commit))
            results = await pipe.execute()
        return [Outcome(int(status), int(value)) for status, value in results]

    def _arguments(self, commit: Commit) -> list[Any]:
        marks = [part for p, offset in commit.watermarks.items() for part in (f"w{p}", offset)]
        return [
            self._keys.shard(commit.kind, commit.partition),
            *commit.writes,
            commit.epoch,
            commit.from_offset,
            commit.to_offset,
            commit.ttl_s,
            len(commit.watermarks),
            *marks,
            *commit.writes.values(),
        ]
