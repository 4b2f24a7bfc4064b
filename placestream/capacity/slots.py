"""On which shard of a Redis Cluster the keys of a partition lie.

All keys of a partition's users share one hash tag, those of its places another
(`online_features/keys.py`). So twice the partitions is the number of pieces that there are, and
each lies on one shard as a whole, wherever CRC16 has it: shards are never loaded evenly.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from online_features.keys import Keys, ShardKind

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """Where the pieces lie.

    Attributes:
        partitions: whose pieces they are.
        users: int64[shards], hash tags of users on each shard.
        places: int64[shards], of places.
    """

    partitions: int
    users: Counts
    places: Counts

    @property
    def tags(self) -> Counts:
        """int64[shards]: all of them."""
        return self.users + self.places


def layout(partitions: int, shards: int) -> Layout:
    """The pieces of an installation's users and places on shards made by `redis-cli`."""
    users, places = (
        np.bincount(np.searchsorted(last_slots(shards), _slots(kind, partitions)), minlength=shards)
        for kind in _KINDS
    )
    return Layout(partitions, users, places)


def layout_by_hand(partitions: int, shards: int) -> Layout:
    """The same pieces, where somebody moves slots until all shards have as many as can be."""
    users, places = np.zeros(shards, np.int64), np.zeros(shards, np.int64)
    np.add.at(places, np.arange(partitions) % shards, 1)
    # From the other end, so that who has one place more has one user fewer.
    np.add.at(users, shards - 1 - np.arange(partitions) % shards, 1)
    return Layout(partitions, users, places)


def last_slots(shards: int) -> Counts:
    """int64[shards]: last slot of each master, as `redis-cli --cluster create` deals them out.

    `clusterManagerCommandCreate` of redis-cli.c: `lround(i * slots / masters - 1)`.
    """
    ends = np.arange(1, shards + 1) * (REDIS_CLUSTER_HASH_SLOTS / shards)
    rounded: Counts = np.floor(ends - 1 + 0.5).astype(np.int64)
    return rounded


_KINDS: tuple[ShardKind, ...] = ("i", "b")


@cache
def _slots(kind: ShardKind, partitions: int) -> Counts:
    keys = Keys("any", partitions)
    slots = [key_slot(keys.shard(kind, p).encode()) for p in range(partitions)]
    return np.array(slots, np.int64)
