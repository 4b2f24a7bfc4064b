"""A broker in memory, for machines where neither Java nor Kafka's jars can be had."""

import sys
from collections.abc import Iterable
from pathlib import Path

import structlog

from contracts.topics import Topic
from placestream.stack.child import Child
from placestream.stack.one_child import OneChild

log = structlog.get_logger(__name__)

START_TIMEOUT_S = 30
#: What a stand-in must say about itself (librdkafka 2.16, `rdkafka_mock.c`).
LIMITS = (
    "nothing is kept once it stops",
    "of each partition only the newest 5 MiB (as sent, compressed) are kept: a consumer that "
    "falls further behind loses events",
    "retention and compaction do nothing",
    "a message keeps its producer's time, not the broker's",
    "topics are fixed at its start",
)


class MockKafka(OneChild):
    """librdkafka's mock cluster in a process of its own, with the topics it is given.

    Producers (idempotent ones too), consumer groups and offset commits work as with a broker,
    for librdkafka and aiokafka alike. `LIMITS` says what does not.
    """

    stop_grace_s = 2
    declares_topics = False

    def __init__(self, run_dir: Path, topics: Iterable[Topic]) -> None:
        self._dir = run_dir.resolve()
        self._topics = tuple(topics)

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients, known once it has started."""
        return self._bootstrap_file.read_text()

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start it, and say in the log what it does not keep.

        Raises:
            StartError: it did not come up; holds the end of its log.
        """
        self._dir.mkdir(parents=True, exist_ok=True)
        self._bootstrap_file.unlink(missing_ok=True)
        topics = [f"{topic.name}:{topic.partitions}" for topic in self._topics]
        module = "placestream.stack.mock_kafka_child"
        command = [sys.executable, "-m", module, str(self._bootstrap_file), *topics]
        child = Child.spawn("mock-kafka", command, self._dir / "mock-kafka.log")
        self._begin(child, self._bootstrap_file.exists, timeout_s)
        log.warning("broker_is_a_stand_in", broker="librdkafka mock cluster", limits=LIMITS)

    @property
    def _bootstrap_file(self) -> Path:
        return self._dir / "mock-kafka.bootstrap"
