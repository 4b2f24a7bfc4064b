"""From a load to a plan: partitions, workers, shards, replicas, memory, cost.

Each part is given so many processes, of one core each, that none is busy for more than a share of
its time (`BUSY`), and one to spare, so that the loss of any leaves the others enough. Redis's
shards, and the partitions with them, are found by trying (`redis_shards`).
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from online_features.crowds import Crowds
from placestream.capacity.constants import Constants, Prices
from placestream.capacity.crowds import round_s
from placestream.capacity.kafka import BROKER_CORES, BROKER_GIB, DAY_S, LEAST_BROKERS, brokers
from placestream.capacity.load import Load
from placestream.capacity.redis_shards import GIB, Sharding, find
from placestream.capacity.slots import layout_by_hand
from placestream.capacity.spare import BUSY, serves, with_spare

#: Bounds of the setting `partitions`.
LEAST_PARTITIONS, MOST_PARTITIONS = 8, 1_024
#: The archive grows; so much of it is paid for.
ARCHIVE_DAYS = 365
HOURS_A_MONTH = 730.0
#: The fullest shard may hold so many times the mean of pieces; beyond it, machines stand idle.
UNEVEN = 2.0


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
        redis: its shards, each with a replica, and the pieces on them.
        parts: all processes.
        warnings: what the numbers do not tell.
        month: cost.
    """

    load: Load
    redis: Sharding
    parts: tuple[Part, ...]
    warnings: tuple[str, ...]
    month: float

    @property
    def partitions(self) -> int:
        """Of the keyed topics."""
        return self.redis.where.partitions

    def as_dict(self) -> dict[str, Any]:
        """For programs, as what JSON knows."""
        where = self.redis.where
        redis = {
            "busiest_ratio": float(self.redis.busy.max()),
            "tags_of_users": where.users.tolist(),
            "tags_of_places": where.places.tolist(),
        }
        told = {"partitions": self.partitions, "shards": self.redis.shards}
        parts = [asdict(part) for part in self.parts]
        rest = {"parts": parts, "warnings": self.warnings, "month": self.month}
        return {"load": asdict(self.load)} | told | {"redis": redis} | rest

    def part(self, name: str) -> Part:
        """One kind of process.

        Raises:
            KeyError: there is none of that name.
        """
        return {part.name: part for part in self.parts}[name]


def make_plan(load: Load, per: Constants, prices: Prices) -> Plan:
    """Size everything for a load."""
    # A worker folds events, and archives what was served.
    worker_us = load.events_per_s * per.worker_us_per_event
    worker_us += load.requests_per_s * per.worker_us_per_answer
    workers = with_spare(worker_us / 1e6)
    redis = find(load, per, _partitions(workers))
    fullest_gib = float(redis.gib.max())
    catalogue_gib = load.places * per.catalogue_bytes_per_place / GIB
    served = serves(load, per)
    models = with_spare(load.requests_per_s * per.model_ms_per_request / 1e3)
    kafka = brokers(load, per)
    events = f"{load.events_per_s:,.0f} events/s"
    requests = f"{load.requests_per_s:,.0f} requests/s"
    parts = (
        Part("stream workers", workers, 1, per.worker_gib, 0, f"{events}, {requests}"),
        Part("Redis shards", redis.shards, 1, fullest_gib, fullest_gib, redis.why),
        Part("Redis replicas", redis.shards, 1, fullest_gib, fullest_gib, "one a shard"),
        Part("serve", served, 1, per.serve_gib + catalogue_gib, 0, requests),
        Part("model servers", models, 1, per.model_gib, 0, requests),
        Part(
            "Kafka brokers",
            kafka.number,
            BROKER_CORES,
            BROKER_GIB,
            kafka.disk_gib,
            "three replicas" if kafka.number == LEAST_BROKERS else "bytes/s",
        ),
    )
    warnings = tuple(_warnings(load, per, workers, redis, catalogue_gib))
    return Plan(load, redis, parts, warnings, _month(load, per, parts, prices))


def _partitions(workers: int) -> tuple[int, ...]:
    """Powers of two with two or more to each worker, so that a lost one's spread over many."""
    least = max(1 << math.ceil(math.log2(2 * workers)), LEAST_PARTITIONS)
    powers = range(int(math.log2(MOST_PARTITIONS)) + 1)
    return tuple(1 << n for n in powers if 1 << n >= least) or (MOST_PARTITIONS,)


def _warnings(
    load: Load, per: Constants, workers: int, redis: Sharding, catalogue_gib: float
) -> list[str]:
    found = []
    # A place's events are folded by one worker; half of an event's work is on the place's side.
    hot = load.hot_share * load.events_per_s * per.worker_us_per_event / 2e6
    if hot > BUSY:
        found.append(
            f"the hottest place keeps {hot:.1f} cores busy, and one partition has one: it would "
            "fall behind. Its events have to be thinned out before Kafka"
        )
    if workers > redis.where.partitions:
        found.append(f"more workers than the {redis.where.partitions} partitions there can be")
    if not redis.enough:
        found.append("Redis has more to hold or to do than its most shards can: split by region")
    if (tags := redis.where.tags).max() > UNEVEN * tags.mean():
        by_hand = find(load, per, _partitions(workers), layout_by_hand)
        found.append(
            f"as `redis-cli --cluster create` splits the slots, {(tags == 0).sum()} of "
            f"{redis.shards} Redis shards hold nothing, and the fullest {tags.max()} of "
            f"{tags.sum()} pieces. {by_hand.shards} do, with {by_hand.where.partitions} "
            "partitions, if you deal out the slots so that all hold as many (docs/capacity.md)"
        )
    if 2 * (crowds_s := round_s(load)) > Crowds.STALE_S:
        found.append(
            f"a `serve` takes {crowds_s / 60:.0f} minutes to read the crowd of all places once, so "
            "that the oldest may be twice as old, and one older than "
            f"{Crowds.STALE_S / 60:.0f} counts for nothing: split by region, or "
            "raise PLACES_A_SECOND (inference/crowd_watch.py), which Redis has to bear"
        )
    if catalogue_gib > 8:
        found.append("each `serve` holds all places in memory: split the service by region")
    return found


def _month(load: Load, per: Constants, parts: tuple[Part, ...], prices: Prices) -> float:
    """Everything for a month, the archive after a year."""
    archived = load.events_per_s * per.archive_bytes_per_event
    archived += load.requests_per_s * per.archive_bytes_per_answer
    archive_gib = archived * load.mean_ratio * ARCHIVE_DAYS * DAY_S / GIB
    total = archive_gib * prices.disk_gib_month
    for part in parts:
        hourly = part.cores * prices.core_hour + part.gib * prices.gib_hour
        total += part.number * (hourly * HOURS_A_MONTH + part.disk_gib * prices.disk_gib_month)
    return total
