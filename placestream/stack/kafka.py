"""A real Apache Kafka broker: one KRaft node, broker and controller in one process."""

import base64
import uuid
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from placestream.stack.child import Child
from placestream.stack.kafka_jars import ensure_jars, find_java
from placestream.stack.one_child import OneChild
from placestream.stack.ports import LOCALHOST, answers, free_port

START_TIMEOUT_S = 90
_LOG4J = Path(__file__).with_name("kafka-log4j2.properties")


class KafkaBroker(OneChild):
    """Kafka on a data directory of its own, which a restart finds again, killed or not.

    What a producer was told is written survives `kill()`: the process dies, the page cache of
    the machine does not.
    """

    #: A clean stop hands over every partition and writes its index.
    stop_grace_s = 20
    declares_topics = True
    #: How many of its kind are one cluster.
    nodes = 1

    def __init__(
        self, run_dir: Path, *, port: int = 0, heap_mb: int = 512, short_lived: bool = False
    ) -> None:
        """Plan a broker.

        Args:
            run_dir: where its data, configuration and log lie.
            port: for clients; 0: any free one.
            heap_mb: most memory for Java's heap.
            short_lived: halve the work of starting (measured: 2.7 s of CPU in place of 5 s) by
                leaving out Java's optimising compiler, which pays only over minutes.
        """
        self._dir = run_dir.resolve()
        self._port = port or free_port()
        self._controller_port = free_port()
        self._heap_mb = heap_mb
        self._short_lived = short_lived

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"{LOCALHOST}:{self._port}"

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start it and wait until it answers.

        Raises:
            KafkaUnavailable: no Java or no jars.
            StartError: it did not come up; holds the end of its log.
        """
        java, jars = find_java(), ensure_jars()
        self._dir.mkdir(parents=True, exist_ok=True)
        config = self._dir / "server.properties"
        config.write_text(self._properties())
        options = [
            java,
            f"-Xmx{self._heap_mb}m",
            "-XX:+UseSerialGC",  # one small heap, few cores
            *(["-XX:TieredStopAtLevel=1"] if self._short_lived else []),
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={_LOG4J}",
            "-cp",
            f"{jars}/*",
        ]
        if not (self._data / "meta.properties").exists():
            self._format([*options, "kafka.tools.StorageTool"], config)
        child = Child.spawn(
            "kafka", [*options, "kafka.Kafka", str(config)], self._dir / "kafka.log", cwd=self._dir
        )
        self._begin(child, self._answers, timeout_s)

    @property
    def _data(self) -> Path:
        return self._dir / "data"

    def _format(self, tool: list[str], config: Path) -> None:
        command = [*tool, "format", "--cluster-id", self._cluster_id(), "--config", str(config)]
        log_file = self._dir / "kafka-storage.log"
        Child.spawn("kafka-storage", command, log_file).wait_done(START_TIMEOUT_S)

    def _cluster_id(self) -> str:
        """Of a new cluster; one that begins with "-" would read as an option."""
        return "p" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]

    def _answers(self) -> bool:
        if not answers(self._port):
            return False
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        try:
            known = admin.list_topics(timeout=2)
        except KafkaException:
            return False
        # Ours, not another one that holds the port; and it has joined itself.
        ours = f"cluster.id={known.cluster_id}" in (self._data / "meta.properties").read_text()
        return ours and len(known.brokers) == self.nodes

    def _properties(self) -> str:
        """Configuration of one node: the names are Kafka's own."""
        broker, controller = self.bootstrap, f"{LOCALHOST}:{self._controller_port}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{broker}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": self._data,
            "auto.create.topics.enable": "false",
            # One node holds everything once.
            "default.replication.factor": 1,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            # Small: each partition costs files and memory.
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.num.partitions": 4,
            "log.index.size.max.bytes": 1 << 20,
            "log.cleaner.dedupe.buffer.size": 16 << 20,
            # Do not wait for more members when a group starts.
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1_000,  # a killed worker is missed soon
            # After a crash the controller takes the old broker for alive this long, and refuses
            # the new one; the default of 9 s is for networks that fail.
            "broker.session.timeout.ms": 4_000,
            "broker.heartbeat.interval.ms": 500,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())
