"""A real Redis Cluster of three masters on this machine."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis
from pydantic import SecretStr

from contracts.settings import Settings
from online_features.redis_client import blocking_client_of
from placestream.stack.ports import LOCALHOST, free_port, is_free
from placestream.stack.redis import RedisServer

MASTERS = 3
SLOTS = 16_384
FORM_TIMEOUT_S = 60


class ClusterNode(RedisServer):
    """A node; it comes back to its slots after a restart, killed or not."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir, port=_port(), append_only="everysec")

    def join(self, first: "ClusterNode", slots: range) -> None:
        """Take slots, and be told of another node."""
        with self.client() as client:
            client.execute_command("CLUSTER ADDSLOTS", *slots)
            if self is not first:
                client.execute_command("CLUSTER MEET", LOCALHOST, first.port)

    def knows_all(self) -> bool:
        """Whether every slot has a node that this one can name."""
        with self.client() as client:
            told: dict[str, str] = client.execute_command("CLUSTER INFO")
        return told["cluster_state"] == "ok" and told["cluster_known_nodes"] == str(MASTERS)

    def _config(self) -> str:
        cluster = {
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": 2_000,
        }
        return super()._config() + "".join(f"{name} {value}\n" for name, value in cluster.items())


def _port() -> int:
    """A port for clients; nodes talk to each other 10,000 above it."""
    return next(port for _ in range(100) if is_free((port := free_port()) + 10_000))


@contextmanager
def redis_cluster(run_dir: Path) -> Iterator[list[ClusterNode]]:
    """Three masters, each with a third of the slots."""
    with ExitStack() as running:
        nodes = [ClusterNode(run_dir / f"node-{i}") for i in range(MASTERS)]
        for number, node in enumerate(nodes):
            running.enter_context(node)
            first, after = (SLOTS * n // MASTERS for n in (number, number + 1))
            node.join(nodes[0], range(first, after))
        deadline_s = time.monotonic() + FORM_TIMEOUT_S
        while not all(node.knows_all() for node in nodes):
            assert time.monotonic() < deadline_s, "the nodes did not find each other"
            time.sleep(0.05)
        yield nodes


def on_cluster(settings: Settings, nodes: list[ClusterNode]) -> Settings:
    """The same installation with a cluster for its Redis; one node is named."""
    update = {"redis_url": SecretStr(nodes[0].url), "redis_cluster": True}
    return settings.model_copy(update=update)


def client_of_cluster(settings: Settings) -> redis.Redis:
    """A blocking client, as the command line has it."""
    return blocking_client_of(settings, socket_timeout=10)
