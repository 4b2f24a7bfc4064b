"""Servers that tests share: one real Kafka and one real Redis a session, started at first use.

Tests keep apart by random prefixes of topics and keys, not by servers of their own. `make test`
gives files out to several processes (pytest-xdist); each is a session with servers of its own.
"""

import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

# A developer's own settings and tools must not change what a test sees, nor may a test use
# more than its share of a small machine. Before anything reads the environment.
for _name in [name for name in os.environ if name.startswith("PLACESTREAM_")]:
    if _name != "PLACESTREAM_CACHE":
        del os.environ[_name]
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# `make setup` puts tools (promtool) beside this Python.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

import hypothesis
import pytest
import redis
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

import inference  # noqa: F401  # before gRPC, whose core it sets up
from contracts.kafka import client_config
from contracts.settings import Settings
from contracts.topics import Topics, create_topics
from placestream.stack import ports
from placestream.stack.kafka import KafkaBroker
from placestream.stack.ports import LOCALHOST, free_port
from placestream.stack.redis import RedisServer
from tests.redis_cluster import ClusterNode, on_cluster, redis_cluster

# How long an example takes, or its making, says more of what else the machine does than of us.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")

#: Files that take longest, the longest first. Files are given out in the order of collection, and a
#: long one that is begun last would leave the other processes idle.
LONGEST = (
    "e2e/test_monitoring.py",
    "streams/test_chaos.py",
    "e2e/test_loop.py",
    "placestream/test_rebuild.py",
    "streams/test_poison.py",
    "streams/test_metadata.py",
    "placestream/console/test_page.py",
    "benchmarks/test_freshness.py",
    "placestream/stack/test_kafka.py",
    "streams/test_exactness.py",
    "retrain/test_trainer.py",
    "models/test_impressions.py",
    "models/test_train.py",
)


def pytest_configure() -> None:
    """Keep this process to its share of the ports.

    Processes that test at once must not be given one port: each sees it free until the other
    listens there, and a port that a test leaves closed on purpose must stay so.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = (ports.LAST - ports.FIRST) // workers
    ports.FIRST += number * share
    ports.LAST = ports.FIRST + share


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, and leave all else in its order."""
    here = Path(__file__).parent
    places = {here / name: place for place, name in enumerate(LONGEST)}
    assert all(path.is_file() for path in places), "LONGEST names a file that is not there"
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A real Kafka broker; who kills it starts it again."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka"), short_lived=True) as broker:
        yield broker


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real Redis whose writes survive a kill; who kills it starts it again."""
    directory = tmp_path_factory.mktemp("redis")
    with RedisServer(directory, append_only="everysec") as server:
        yield server


@pytest.fixture(scope="session")
def cluster_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClusterNode]]:
    """A real Redis Cluster of three masters; who kills one starts it again."""
    with redis_cluster(tmp_path_factory.mktemp("redis-cluster")) as nodes:
        yield nodes


@pytest.fixture
def settings(kafka: KafkaBroker, redis_server: RedisServer, tmp_path: Path) -> Settings:
    """Settings of an installation of its own on the shared servers, with free ports."""
    run = uuid.uuid4().hex[:10]
    return Settings(
        _env_file=None,
        kafka_bootstrap=kafka.bootstrap,
        topic_prefix=f"test-{run}",
        partitions=4,
        redis_url=SecretStr(redis_server.url),
        key_prefix=f"t{run}",
        archive_dir=tmp_path / "archive",
        backfill_dir=tmp_path / "backfill",
        archive_flush_s=1,
        models_dir=tmp_path / "models",
        model_config_file=tmp_path / "models" / "models.config",
        model_server=f"{LOCALHOST}:{free_port()}",
        model_server_rest_port=free_port(),
        serve_port=free_port(),
        serve_metrics_port=free_port(),
        stream_metrics_port=free_port(),
        retrain_metrics_port=free_port(),
    )


@pytest.fixture(params=["server", pytest.param("cluster", marks=pytest.mark.slow)])
def either_redis(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """`settings` on one Redis, and once more on a Redis Cluster: what holds here holds there."""
    if request.param == "server":
        return settings
    return on_cluster(settings, request.getfixturevalue("cluster_nodes"))


@pytest.fixture
def topics(settings: Settings) -> Iterator[Topics]:
    """The topics of `settings`, created, and deleted at the end."""
    admin = AdminClient(client_config(settings))
    create_topics(admin, settings.topics.all(), replication=settings.replication)
    yield settings.topics
    admin.delete_topics([topic.name for topic in settings.topics.all()])


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A synchronous client of the shared Redis."""
    with redis_server.client() as client:
        yield client
