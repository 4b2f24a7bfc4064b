"""How many Redis shards, and how many partitions so that they can be used.

The fullest and the busiest shard decide, and they hold whole pieces (`slots`): with few partitions
some shards get several and others none. More partitions spread better; but a request asks each
partition that one of its places lies in by a command of its own (a cluster's MGET is of one slot),
so they cost. Numbers are found by trying.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.crowd_watch import AT_ONCE
from placestream.capacity.constants import Constants
from placestream.capacity.crowds import reads_per_s
from placestream.capacity.load import Load
from placestream.capacity.slots import Layout, layout
from placestream.capacity.spare import BUSY, serves

#: Memory of a Redis shard: beyond it, a copy to a new replica takes minutes.
SHARD_GIB = 24.0
#: Redis's own: fragmentation, buffers, and pages that change while a copy is written.
REDIS_OVERHEAD = 1.4
#: A Redis Cluster is made for a thousand nodes, replicas among them.
MOST_SHARDS = 500
#: Twice the partitions must save so large a share of the shards: there is no way back.
WORTH_IT = 0.1
GIB = 2.0**30

Amounts = NDArray[np.float64]
Spread = Callable[[int, int], Layout]


@dataclass(frozen=True)
class Sharding:
    """Redis of an installation.

    Attributes:
        where: partitions, and their pieces on each shard.
        gib: float64[shards], memory.
        busy: float64[shards], share of its time.
        why: what decided on the number.
    """

    where: Layout
    gib: Amounts
    busy: Amounts
    why: str

    @property
    def shards(self) -> int:
        """How many; each has a replica."""
        return len(self.gib)

    @property
    def enough(self) -> bool:
        """Whether no shard has too much."""
        return bool(self.gib.max() <= SHARD_GIB and self.busy.max() <= BUSY)


def find(
    load: Load, per: Constants, partitions: Sequence[int], spread: Spread = layout
) -> Sharding:
    """The fewest shards that are enough; with few partitions, unless more save a good deal.

    Args:
        load: what is asked.
        per: what it costs.
        partitions: those that there may be, ascending.
        spread: where pieces come to lie.

    Returns:
        The best; with the most of both if not even those are `enough`.
    """
    best: Sharding | None = None
    for number in partitions:
        most = MOST_SHARDS if best is None else int(best.shards * (1 - WORTH_IT))
        best = _fewest(load, per, number, most, spread) or best
    return best or sharding(load, per, spread(partitions[-1], MOST_SHARDS), "commands")


def _fewest(
    load: Load, per: Constants, partitions: int, most: int, spread: Spread
) -> Sharding | None:
    why = "memory"
    for shards in range(1, most + 1):
        found = sharding(load, per, spread(partitions, shards), why)
        if found.enough:
            return found
        # What the next number is for.
        why = "memory" if found.gib.max() > SHARD_GIB else "commands"
    return None


def sharding(load: Load, per: Constants, where: Layout, why: str) -> Sharding:
    """What each shard has to hold and to do."""
    users, places = load.users * per.user_bytes, load.places * per.place_bytes
    held = REDIS_OVERHEAD * (where.users * users + where.places * places) / where.partitions / GIB
    return Sharding(where, held, _busy(load, per, where), why)


def commands_of(places: float, where: Layout) -> float:
    """Commands that a read of so many places takes, on all shards together.

    One for each partition in which one lies at least (1 - (1 - 1/p)^n of them on average); a
    single Redis is no cluster, and takes one.
    """
    if len(where.places) == 1:
        return 1.0
    return where.partitions * float(1 - (1 - 1 / where.partitions) ** places)


def read_us(per: Constants, where: Layout, places: float) -> Amounts:
    """float64[shards]: microseconds of each shard for a read of so many places."""
    commands = commands_of(places, where) * per.redis_us_per_command
    keys = places * per.redis_us_per_key
    return np.asarray(where.places / where.partitions * (commands + keys))


def _busy(load: Load, per: Constants, where: Layout) -> Amounts:
    """Cores' worth of each shard's work; the hottest place lies on the busiest one."""
    # Half of an event's work is its user's, half its place's.
    fold_us = load.events_per_s * per.redis_us_per_event / 2
    ask_us = load.requests_per_s * per.redis_us_per_command
    of_users = where.users / where.partitions * (fold_us + ask_us)
    of_places = where.places / where.partitions * fold_us * (1 - load.hot_share)
    asked = load.requests_per_s * read_us(per, where, per.places_per_request)
    busy = of_users + of_places + asked + _crowds_us(load, per, where)
    busy[np.argmax(busy)] += fold_us * load.hot_share
    return np.asarray(busy / 1e6)


def _crowds_us(load: Load, per: Constants, where: Layout) -> Amounts:
    """float64[shards]: microseconds a second for what all of `serve` reads by itself."""
    at_once = min(AT_ONCE, load.places)
    return serves(load, per) * reads_per_s(load) * read_us(per, where, at_once)
