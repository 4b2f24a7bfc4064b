"""Whatever breaks, and in whatever order: features equal a batch recompute, exactly (DESIGN D2)."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from contracts.kafka import client_config
from contracts.settings import Settings
from contracts.topics import create_topics
from tests.streams.chaos import SLOTS, Chaos
from tests.streams.chaos_events import MessyEvents
from tests.streams.chaos_plan import plan
from tests.streams.fleet import LinkedKafka, OwnRedis

LENGTH_S = 20.0
FAST_SEEDS = range(1)
SLOW_SEEDS = range(1, 20)


@pytest.fixture(scope="module")
def linked_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinkedKafka]:
    """A broker of our own, since it is killed; workers reach it through links."""
    with LinkedKafka(tmp_path_factory.mktemp("chaos-kafka"), SLOTS) as broker:
        yield broker


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    """A Redis of our own. `everysec` loses nothing of a killed process: the kernel has it."""
    with OwnRedis(tmp_path_factory.mktemp("chaos-redis"), append_only="everysec") as server:
        yield server


@pytest.fixture
def own_settings(
    linked_kafka: LinkedKafka, own_redis: OwnRedis, tmp_path: Path
) -> Iterator[Settings]:
    """Eight partitions, short sessions, small batches; the topics exist."""
    run = uuid.uuid4().hex[:10]
    settings = Settings(
        _env_file=None,
        kafka_bootstrap=linked_kafka.bootstrap,
        topic_prefix=f"chaos-{run}",
        partitions=8,
        redis_url=SecretStr(own_redis.url),
        key_prefix=f"c{run}",
        archive_dir=tmp_path / "archive",
        archive_flush_s=1,
        batch_max_events=200,
        stream_session_s=2,
        stream_metrics_port=0,
    )
    admin = AdminClient(client_config(settings))
    create_topics(admin, settings.topics.all(), replication=1)
    yield settings
    admin.delete_topics([topic.name for topic in settings.topics.all()])


@pytest.mark.parametrize(
    "seed",
    [*FAST_SEEDS, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SLOW_SEEDS)],
)
def test_nothing_is_lost_or_doubled_whatever_breaks(
    seed: int,
    own_settings: Settings,
    linked_kafka: LinkedKafka,
    own_redis: OwnRedis,
    tmp_path: Path,
) -> None:
    """Workers killed, held, added, removed; broker and Redis killed; links cut and stalled."""
    events = MessyEvents(seed, time.time())
    chaos = Chaos(own_settings, linked_kafka, own_redis, tmp_path / "run", events)
    chaos.log.append(f"seed {seed}")
    with chaos.running():
        chaos.play(plan(seed, LENGTH_S))
        chaos.settle()
        chaos.check()


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))]
)
def test_nothing_is_lost_when_redis_loses_acknowledged_writes(
    seed: int,
    own_settings: Settings,
    linked_kafka: LinkedKafka,
    own_redis: OwnRedis,
    tmp_path: Path,
) -> None:
    """Redis goes back in time under running workers: they notice, and fold again from there."""
    rng = np.random.default_rng(seed)
    chaos = Chaos(
        own_settings, linked_kafka, own_redis, tmp_path / "run", MessyEvents(seed, time.time())
    )
    with chaos.running():
        chaos.wait_until(lambda: chaos.folded() > 1_000)
        chaos.copy_redis(tmp_path / "copy")
        copied = chaos.folded()
        chaos.wait_until(lambda: chaos.folded() > copied + 1_500)
        chaos.pass_time(float(rng.uniform(0.5, 2)))
        chaos.put_redis_back(tmp_path / "copy")
        chaos.pass_time(float(rng.uniform(1, 3)))
        chaos.settle()
        chaos.check()
