"""Three real Kafka brokers that are one cluster: any one of them may die."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from placestream.stack.kafka import KafkaBroker
from placestream.stack.ports import LOCALHOST

BROKERS = 3
#: What a producer is told is written lies on so many brokers.
IN_SYNC = 2
_CLUSTER_ID = "p" + "C" * 21


class ClusterBroker(KafkaBroker):
    """One of three: broker and controller, every topic on all of them."""

    nodes = BROKERS

    def __init__(self, run_dir: Path, number: int) -> None:
        super().__init__(run_dir, heap_mb=256, short_lived=True)
        self.number = number
        self._peers: Sequence[ClusterBroker] = ()

    def among(self, peers: "Sequence[ClusterBroker]") -> None:
        """Tell it of all, itself among them, before it starts."""
        self._peers = peers

    def _cluster_id(self) -> str:
        return _CLUSTER_ID

    def _properties(self) -> str:
        voters = (f"{p.number}@{LOCALHOST}:{p._controller_port}" for p in self._peers)
        cluster = {
            "node.id": self.number,
            "controller.quorum.voters": ",".join(voters),
            "default.replication.factor": BROKERS,
            "min.insync.replicas": IN_SYNC,
            "offsets.topic.replication.factor": BROKERS,
            "transaction.state.log.replication.factor": BROKERS,
            "transaction.state.log.min.isr": IN_SYNC,
        }
        # Of two lines with one name, Java reads the last.
        return super()._properties() + "".join(f"{name}={is_}\n" for name, is_ in cluster.items())


@contextmanager
def kafka_cluster(run_dir: Path) -> Iterator[list[ClusterBroker]]:
    """Three brokers, all of which know each other."""
    brokers = [ClusterBroker(run_dir / f"broker-{n}", n) for n in range(1, BROKERS + 1)]
    with ExitStack() as running:
        # None is there before most are. The threads outlive the processes (see `Child.spawn`).
        starters = running.enter_context(ThreadPoolExecutor(BROKERS))
        for broker in brokers:
            running.callback(broker.kill)
            broker.among(brokers)
        for started in [starters.submit(broker.start) for broker in brokers]:
            started.result()
        yield brokers


def bootstrap(brokers: Sequence[ClusterBroker]) -> str:
    """All of them, for clients."""
    return ",".join(broker.bootstrap for broker in brokers)
