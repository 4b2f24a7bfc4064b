"""Which broker this machine can have."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, Protocol

import structlog

from contracts.topics import Topic
from placestream.stack.child import Child, never
from placestream.stack.kafka import KafkaBroker
from placestream.stack.kafka_jars import KafkaUnavailable, ensure_jars, find_java
from placestream.stack.mock_kafka import MockKafka

log = structlog.get_logger(__name__)

BrokerKind = Literal["auto", "kafka", "mock"]


class Broker(Protocol):
    """What the stack asks of a broker."""

    #: Whether clients can create topics; if not, it has them from its start.
    declares_topics: bool

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        ...

    @property
    def children(self) -> list[Child]:
        """Its processes."""
        ...

    def start(self) -> None:
        """Start it and wait until it answers."""
        ...

    def stop(self, hurry: Callable[[], bool] = never) -> None:
        """Stop it; `hurry` is asked meanwhile, and true cuts its grace short."""
        ...


def choose_broker(
    kind: BrokerKind,
    run_dir: Path,
    topics: Iterable[Topic],
    *,
    port: int = 0,
    short_lived: bool = False,
) -> Broker:
    """Return a broker that is not started yet, and say in the log which one and why.

    Args:
        kind: `kafka` is real Kafka, `mock` the one in memory, `auto` real Kafka where Java is
            there and the jars are cached or can be fetched, else the one in memory.
        run_dir: where it keeps its data and its log.
        topics: what the one in memory is to have.
        port: where real Kafka listens; 0: any free port (the one in memory chooses by itself).
        short_lived: whether a quick start of real Kafka is worth more than speed over hours.

    Raises:
        KafkaUnavailable: `kafka` was asked for and cannot run here.
    """
    if kind == "mock":
        log.info("broker_chosen", broker="mock", why="asked for")
        return MockKafka(run_dir, topics)
    try:
        java, jars = find_java(), ensure_jars()
    except KafkaUnavailable as reason:
        if kind == "kafka":
            raise
        log.warning("broker_chosen", broker="mock", why=str(reason))
        return MockKafka(run_dir, topics)
    why = "asked for" if kind == "kafka" else "Java and Kafka's jars are here"
    log.info("broker_chosen", broker="kafka", why=why, java=java, jars=str(jars))
    return KafkaBroker(run_dir, port=port, short_lived=short_lived)
