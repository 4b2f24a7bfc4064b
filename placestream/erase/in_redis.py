"""People in Redis: found under every version of the definitions, and removed for good."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

from contracts.ids import partition_of
from online_features.definitions import USER
from online_features.feature_set import BadState
from online_features.history import history
from online_features.keys import USER_KINDS, Keys
from placestream.rebuild.shards import REBUILT

SCANNED_AT_ONCE = 10_000

# KEYS[1] a shard, KEYS[2..] people in it. A worker that has read their states and not committed yet
# would bring them back: the higher epoch has its commit refused (`online_features.store`), and it
# begins that batch anew, from the states as they are then. A rebuild keeps its claim.
_REMOVE = """
local shard = KEYS[1]
local epoch = redis.call('HGET', shard, 'epoch')
if epoch then
  local raised = redis.call('HINCRBY', shard, 'epoch', 1)
  if redis.call('HGET', shard, ARGV[1]) == epoch then redis.call('HSET', shard, ARGV[1], raised) end
end
local removed = 0
for i = 2, #KEYS do removed = removed + redis.call('DEL', KEYS[i]) end
return removed
"""


@dataclass(frozen=True)
class RemovedFromRedis:
    """What was done.

    Attributes:
        found: states, by version of the definitions.
        removed: states that were there and are not any more.
        shards_fenced: shards whose workers began a batch anew.
    """

    found: dict[str, int]
    removed: int
    shards_fenced: int


class InRedis:
    """Raises `redis.RedisError` when Redis is away."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._redis = client
        self._keys = keys

    def find(self, user_ids: Sequence[str]) -> list[str]:
        """All keys of some people; each person costs a walk over all of Redis's keys."""
        found = set()
        for user_id in user_ids:
            for pattern in self._keys.patterns_of_user(user_id):
                found |= {
                    key.decode() for key in self._redis.scan_iter(pattern, count=SCANNED_AT_ONCE)
                }
        return sorted(found)

    def remove(self, user_ids: Sequence[str]) -> RemovedFromRedis:
        """Remove people, each shard in one step."""
        found = self.find(user_ids)
        by_shard: dict[str, list[str]] = defaultdict(list)
        for user_id in user_ids:  # also where there is nothing: it may be on its way
            for kind in USER_KINDS:
                by_shard[self._keys.shard(kind, partition_of(user_id, self._keys.partitions))] = []
        for key in found:
            by_shard[self._keys.shard_of(key)].append(key)
        removed: list[Any] = [
            self._redis.eval(_REMOVE, 1 + len(keys), shard, *keys, REBUILT)
            for shard, keys in by_shard.items()
        ]
        versions: dict[str, int] = defaultdict(int)
        for key in found:
            parsed = self._keys.version_of(key)
            versions[parsed[1] if parsed else "unknown"] += 1
        fenced = sum(bool(self._redis.exists(shard)) for shard in by_shard)
        return RemovedFromRedis(dict(versions), sum(removed), fenced)

    def left(self, user_ids: Sequence[str], erased_s: float) -> tuple[int, int]:
        """(States that hold anything from before, states made of later events alone)."""
        states: list[Any] = [self._redis.get(key) for key in self.find(user_ids)]
        later = [self._is_later(state, erased_s) for state in states if state is not None]
        return later.count(False), later.count(True)

    def _is_later(self, state: bytes, erased_s: float) -> bool:
        try:
            states, _ = USER.unpack([state])
        except BadState:
            return False
        times = history(states).time_s
        return bool((times[times > 0] > erased_s).all())
