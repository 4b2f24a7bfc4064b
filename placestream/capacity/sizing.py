"""From a load to a plan: partitions, workers, shards, replicas, memory, cost.

Each part is given so many processes, of one core each, that none is busy for more than a share of
its time (`BUSY`), and one to spare, so that the loss of any leaves the others enough. What a
request reads lies on many shards: the more there are, the more commands it takes, so shards are
found by trying.
"""

import math
from dataclasses import dataclass

from placestream.capacity.constants import Constants, Prices

#: Share of its time that a process may be busy: beyond it, waiting grows faster than load.
BUSY = 0.6
#: Memory of a Redis shard: beyond it, a copy to a new replica takes minutes.
SHARD_GIB = 24.0
#: Redis's own: fragmentation, buffers, and pages that change while a copy is written.
REDIS_OVERHEAD = 1.4
#: Bounds of the setting `partitions`.
LEAST_PARTITIONS, MOST_PARTITIONS = 8, 1_024
KAFKA_REPLICAS, KAFKA_DAYS, LEAST_BROKERS = 3, 7.0, 3
#: What a broker writes and passes on without effort.
BROKER_BYTES_PER_S = 100e6
GIB, HOURS_A_MONTH = 2.0**30, 730.0


@dataclass(frozen=True)
class Load:
    """What is asked of an installation.

    Attributes:
        users, places: with a state.
        events_per_s, requests_per_s: at the busiest time.
        hot_share: share of all events that happen at the hottest place.
    """

    users: int
    places: int
    events_per_s: float
    requests_per_s: float
    hot_share: float = 0.001

    def __post_init__(self) -> None:
        if min(self.users, self.places) < 1 or min(self.events_per_s, self.requests_per_s) < 0:
            raise ValueError("users and places must be at least 1, rates at least 0")
        if not 0 <= self.hot_share < 1:
            raise ValueError("the hottest place's share must lie in [0, 1)")


@dataclass(frozen=True)
class Part:
    """Processes of one kind.

    Attributes:
        name: what they are.
        number: how many.
        cores, gib: of each.
        disk_gib: of each.
        why: what decided on the number.
    """

    name: str
    number: int
    cores: float
    gib: float
    disk_gib: float
    why: str


@dataclass(frozen=True)
class Plan:
    """What a load needs.

    Attributes:
        load: the load.
        partitions: of the keyed topics.
        shards: of Redis; each has a replica.
        parts: all processes.
        warnings: what the numbers do not tell.
        month: cost.
    """

    load: Load
    partitions: int
    shards: int
    parts: tuple[Part, ...]
    warnings: tuple[str, ...]
    month: float

    def part(self, name: str) -> Part:
        """One kind of process.

        Raises:
            KeyError: there is none of that name.
        """
        return {part.name: part for part in self.parts}[name]


def make_plan(load: Load, per: Constants, prices: Prices) -> Plan:
    """Size everything for a load."""
    workers = _with_spare(load.events_per_s * per.worker_us_per_event / 1e6)
    partitions = _partitions(workers)
    shards, why = _shards(load, per)
    state_gib = _states_gib(load, per)
    catalogue_gib = load.places * per.catalogue_bytes_per_place / GIB
    served = _with_spare(load.requests_per_s * per.serve_ms_per_request / 1e3)
    models = _with_spare(load.requests_per_s * per.model_ms_per_request / 1e3)
    brokers, kafka_gib = _brokers(load, per)
    events = f"{load.events_per_s:,.0f} events/s"
    requests = f"{load.requests_per_s:,.0f} requests/s"
    parts = (
        Part("stream workers", workers, 1, per.worker_gib, 0, events),
        Part("Redis shards", shards, 1, state_gib / shards, state_gib / shards, why),
        Part("Redis replicas", shards, 1, state_gib / shards, state_gib / shards, "one a shard"),
        Part("serve", served, 1, per.serve_gib + catalogue_gib, 0, requests),
        Part("model servers", models, 1, per.model_gib, 0, requests),
        Part("Kafka brokers", brokers, 2, 8, kafka_gib / brokers, "disk and bytes/s"),
    )
    warnings = tuple(_warnings(load, per, workers, partitions, catalogue_gib))
    return Plan(load, partitions, shards, parts, warnings, _month(load, per, parts, prices))


def redis_busy(load: Load, per: Constants, shards: int) -> float:
    """Cores' worth of Redis's work on one of so many shards, the hottest place's events on it."""
    touched = min(shards, per.places_per_request) + 1
    read_us = touched * per.redis_us_per_command + per.places_per_request * per.redis_us_per_key
    hot = load.hot_share / 2 * load.events_per_s * per.redis_us_per_event
    even = load.events_per_s * per.redis_us_per_event * (1 - load.hot_share / 2)
    return ((even + load.requests_per_s * read_us) / shards + hot) / 1e6


def _with_spare(cores: float) -> int:
    return max(math.ceil(cores / BUSY), 1) + 1


def _partitions(workers: int) -> int:
    """A power of two with two or more to each worker, so that a lost one's spread over many."""
    wanted = 1 << math.ceil(math.log2(2 * workers))
    return min(max(wanted, LEAST_PARTITIONS), MOST_PARTITIONS)


def _states_gib(load: Load, per: Constants) -> float:
    return REDIS_OVERHEAD * (load.users * per.user_bytes + load.places * per.place_bytes) / GIB


def _shards(load: Load, per: Constants) -> tuple[int, str]:
    by_memory = max(math.ceil(_states_gib(load, per) / SHARD_GIB), 1)
    shards = by_memory
    while redis_busy(load, per, shards) > BUSY and shards < MOST_PARTITIONS:
        shards += max(shards // 50, 1)
    shards = min(shards, MOST_PARTITIONS)
    return shards, "memory" if shards == by_memory else "commands"


def _brokers(load: Load, per: Constants) -> tuple[int, float]:
    bytes_per_s = load.events_per_s * per.kafka_bytes_per_event * KAFKA_REPLICAS
    gib = bytes_per_s * KAFKA_DAYS * 86_400 / GIB
    return max(LEAST_BROKERS, math.ceil(bytes_per_s / BROKER_BYTES_PER_S / BUSY) + 1), gib


def _warnings(
    load: Load, per: Constants, workers: int, partitions: int, catalogue_gib: float
) -> list[str]:
    found = []
    # A place's events are folded by one worker; half of an event's work is on the place's side.
    hot = load.hot_share * load.events_per_s * per.worker_us_per_event / 2e6
    if hot > BUSY:
        found.append(
            f"the hottest place keeps {hot:.1f} cores busy, and one partition has one: it would "
            "fall behind. Its events have to be thinned out before Kafka"
        )
    if workers > partitions:
        found.append(f"more workers than the {partitions} partitions that there can be")
    if redis_busy(load, per, MOST_PARTITIONS) > BUSY:
        found.append("Redis has more to do than its most shards can: split by region")
    if catalogue_gib > 8:
        found.append("each `serve` holds all places in memory: split the service by region")
    return found


def _month(load: Load, per: Constants, parts: tuple[Part, ...], prices: Prices) -> float:
    """Everything for a month; the archive grows, and a year of it is counted."""
    archive_gib = load.events_per_s / 3 * 365 * 86_400 * per.archive_bytes_per_event / GIB
    total = archive_gib * prices.disk_gib_month
    for part in parts:
        hourly = part.cores * prices.core_hour + part.gib * prices.gib_hour
        total += part.number * (hourly * HOURS_A_MONTH + part.disk_gib * prices.disk_gib_month)
    return total
