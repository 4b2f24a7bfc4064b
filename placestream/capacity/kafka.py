"""Kafka's brokers: what they take in at the busiest time, and what they keep."""

import math
from dataclasses import dataclass

from contracts.topics import DAY_MS, Topic, Topics
from placestream.capacity.constants import Constants
from placestream.capacity.load import Load
from placestream.capacity.redis_shards import GIB
from placestream.capacity.spare import BUSY

REPLICAS, LEAST_BROKERS = 3, 3
#: Of each broker; not measured.
BROKER_CORES, BROKER_GIB = 2, 8
#: What a broker writes and passes on without effort; not measured.
BROKER_BYTES_PER_S = 100e6
#: So full may a disk be: a broker whose disk is full stops.
DISK_FULL_RATIO = 0.7
DAY_S = 86_400


@dataclass(frozen=True)
class Kept:
    """A topic as a load fills it.

    Attributes:
        topic: which; how long it is kept, `contracts/topics.py` says.
        bytes_per_s: at the busiest time, one replica.
    """

    topic: Topic
    bytes_per_s: float

    @property
    def days(self) -> float:
        """How long it is kept."""
        assert self.topic.retention_ms is not None
        return self.topic.retention_ms / DAY_MS


@dataclass(frozen=True)
class Brokers:
    """Kafka of an installation.

    Attributes:
        number: of brokers.
        disk_gib: of each.
    """

    number: int
    disk_gib: float


def kept(load: Load, per: Constants) -> tuple[Kept, ...]:
    """The topics that grow with a load; places, context, letters and roll-outs are small."""
    topics = Topics()
    return (
        Kept(topics.interactions, load.events_per_s * per.kafka_bytes_per_event),
        Kept(topics.by_place, load.events_per_s * per.kafka_bytes_per_event_by_place),
        Kept(topics.impressions, load.requests_per_s * per.kafka_bytes_per_answer),
    )


def brokers(load: Load, per: Constants) -> Brokers:
    """As many as the busiest time wants, one to spare, with disks for what is kept."""
    filled = kept(load, per)
    bytes_per_s = REPLICAS * sum(topic.bytes_per_s for topic in filled)
    number = max(LEAST_BROKERS, math.ceil(bytes_per_s / BROKER_BYTES_PER_S / BUSY) + 1)
    stored = sum(topic.bytes_per_s * load.mean_ratio * topic.days * DAY_S for topic in filled)
    return Brokers(number, REPLICAS * stored / DISK_FULL_RATIO / GIB / number)
