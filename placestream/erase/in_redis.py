"""People in Redis: found under every version of the definitions, and removed for good."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

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


@dataclass
class RemovedFromRedis:
    """What was done; grows as it is, so that it is known where something breaks off.

    Attributes:
        found: states, by version of the definitions.
        removed: states that were there and are not any more; one that came after the search too.
        shards_fenced: shards whose workers began a batch anew.
    """

    found: dict[str, int] = field(default_factory=dict)
    removed: int = 0
    shards_fenced: int = 0


class InRedis:
    """Raises `redis.RedisError` when Redis is away.

    Attributes:
        removed: what the last `remove` did, also of one that broke off.
    """

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._redis = client
        self._keys = keys
        self.removed = RemovedFromRedis()

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
        self.removed = RemovedFromRedis(self._by_version(found))
        # Their own keys also where nothing was found: a worker may have written meanwhile.
        own = {self._keys.entity(kind, user_id) for user_id in user_ids for kind in USER_KINDS}
        by_shard: dict[str, list[str]] = defaultdict(list)
        for key in sorted(own.union(found)):
            by_shard[self._keys.shard_of(key)].append(key)
        for shard, keys in by_shard.items():
            removed: Any = self._redis.eval(_REMOVE, 1 + len(keys), shard, *keys, REBUILT)
            self.removed.removed += removed
            self.removed.shards_fenced += bool(self._redis.exists(shard))
        return self.removed

    def _by_version(self, keys: Sequence[str]) -> dict[str, int]:
        versions: dict[str, int] = defaultdict(int)
        for key in keys:
            parsed = self._keys.version_of(key)
            versions[parsed[1] if parsed else "unknown"] += 1
        return dict(versions)

    def left(self, user_ids: Sequence[str], erased_s: float) -> tuple[int, int]:
        """(States that hold anything from before or could, states made of later events alone)."""
        states: list[Any] = [self._redis.get(key) for key in self.find(user_ids)]
        later = [self._is_later(state, erased_s) for state in states if state is not None]
        return later.count(False), later.count(True)

    def _is_later(self, state: bytes, erased_s: float) -> bool:
        try:
            states, _ = USER.unpack([state])
        except BadState:
            return False
        for ring in ("last_visits", "last_looks"):
            if states[ring]["place"].all():
                return False  # it may have pushed out what was before; nothing else would tell
        times = history(states).time_s
        return bool((times[times > 0] > erased_s).all())
