"""Every Kafka topic, declared once: partitions, retention, compaction.

`create_topics` makes them; auto-creation is off on the broker and in Faust.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

DAY_MS = 86_400_000
LARGEST_LETTER_BYTES = 8_000_000


@dataclass(frozen=True)
class Topic:
    """A topic and how the broker keeps it."""

    name: str
    partitions: int
    retention_ms: int | None = 28 * DAY_MS
    compacted: bool = False
    config: dict[str, str] = field(default_factory=dict)

    def broker_config(self) -> dict[str, str]:
        """Settings of the topic in the broker's own words."""
        cleanup = {"cleanup.policy": "compact"} if self.compacted else {}
        kept = {"retention.ms": str(self.retention_ms)} if self.retention_ms is not None else {}
        return {**cleanup, **kept, **self.config}


@dataclass(frozen=True)
class Topics:
    """All topics of one installation; `prefix` keeps installations (and tests) apart."""

    prefix: str = "placestream"
    partitions: int = 8

    @property
    def interactions(self) -> Topic:
        """Interactions, by user."""
        return Topic(f"{self.prefix}.interactions.v1", self.partitions, config=_BROKER_TIME)

    @property
    def place_updates(self) -> Topic:
        """Partial updates of places, by place; kept for ever, since each holds only a part."""
        return Topic(f"{self.prefix}.place-updates.v1", self.partitions, retention_ms=-1)

    @property
    def places(self) -> Topic:
        """Whole places after merging, by place."""
        return Topic(f"{self.prefix}.places.v1", self.partitions, retention_ms=None, compacted=True)

    @property
    def context(self) -> Topic:
        """Weather, traffic and happenings, by region."""
        return Topic(f"{self.prefix}.context.v1", self.partitions, 7 * DAY_MS, config=_BROKER_TIME)

    @property
    def by_place(self) -> Topic:
        """Interactions re-keyed by place, many in a message (`streams.rekeyed`); made by the user
        shard, read by the place shard.

        Kept longer than the interactions: a place shard that begins anew must find all that the
        user shards sent, or its watermarks would pass over what they send again.
        """
        return Topic(f"{self.prefix}.interactions-by-place.v2", self.partitions, 35 * DAY_MS)

    @property
    def impressions(self) -> Topic:
        """Answers as served, by user; made by the service, read by the stream for the archive."""
        return Topic(f"{self.prefix}.impressions.v1", self.partitions)

    @property
    def retrain(self) -> Topic:
        """Requests for a new pair of models, in one order."""
        return Topic(f"{self.prefix}.retrain.requested.v1", 1)

    @property
    def rollout(self) -> Topic:
        """Steps of models into service, in one order."""
        return Topic(f"{self.prefix}.rollout.v1", 1, retention_ms=-1)

    def dlq(self, topic: Topic) -> Topic:
        """Dead letters of a topic."""
        largest = {"max.message.bytes": str(LARGEST_LETTER_BYTES)}
        return Topic(f"{topic.name}.dlq", 1, retention_ms=-1, config=largest)

    def inputs(self) -> tuple[Topic, ...]:
        """Topics that producers write."""
        return (self.interactions, self.place_updates, self.context)

    def read(self) -> tuple[Topic, ...]:
        """Topics that the stream reads; each has dead letters."""
        return (*self.inputs(), self.by_place, self.impressions)

    def all(self) -> tuple[Topic, ...]:
        """Every topic, dead letters included."""
        return (
            *self.read(),
            self.places,
            self.retrain,
            self.rollout,
            *(self.dlq(topic) for topic in self.read()),
        )


# The broker's clock stamps what producers send, so that "from the future" is judged alike at
# every replay (a producer's own clock may be the one that is wrong).
_BROKER_TIME = {"message.timestamp.type": "LogAppendTime"}


def create_topics(
    admin: AdminClient, topics: Iterable[Topic], *, replication: int, timeout_s: float = 30
) -> list[str]:
    """Create the topics that do not exist, and wait until clients can see all; return the new ones.

    Raises:
        KafkaException: the broker refuses one for another reason than that it exists.
        ValueError: a topic exists with another number of partitions (state is sharded by it).
        TimeoutError: a topic was created but cannot be seen.
    """
    wanted = tuple(topics)
    missing = _missing(admin, wanted, timeout_s)
    if not missing:
        return []
    futures = admin.create_topics(
        [NewTopic(t.name, t.partitions, replication, config=t.broker_config()) for t in missing],
        operation_timeout=timeout_s,
    )
    created = []
    for name, future in futures.items():
        try:
            future.result(timeout_s)
            created.append(name)
        except KafkaException as error:
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise
    # The controller has made them, but a broker (or another role's race with us) shows them
    # only a moment later; until then a producer would get "unknown topic".
    deadline = time.monotonic() + timeout_s
    while unseen := _missing(admin, wanted, timeout_s):
        if time.monotonic() > deadline:
            raise TimeoutError(f"created, but not to be seen: {[topic.name for topic in unseen]}")
        time.sleep(0.02)
    return created


def _missing(admin: AdminClient, topics: Iterable[Topic], timeout_s: float) -> list[Topic]:
    """Return the topics that the broker does not show; refuse those with other partitions."""
    known = admin.list_topics(timeout=timeout_s).topics
    missing = []
    for topic in topics:
        found = known.get(topic.name)
        if found is None or not found.partitions:
            missing.append(topic)
        elif len(found.partitions) != topic.partitions:
            raise ValueError(
                f"topic {topic.name} has {len(found.partitions)} partitions, "
                f"not {topic.partitions}: see PLACESTREAM_PARTITIONS"
            )
    return missing
