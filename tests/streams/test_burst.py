"""A burst, a bot and a hot place: all of it counts, in memory that it does not decide."""

import os
import time
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest
import redis

from contracts.settings import Settings
from contracts.topics import Topics
from placestream.stack.supervisor import Supervisor
from tests.streams.stream import (
    assert_equals_recompute,
    interaction,
    offsets,
    send,
    wait_folded,
    worker,
)

STEADY, BURST = 300, 20_000
#: Fields that we do not know survive, so they may be large: the burst holds 480 MB.
PAYLOAD_BYTES = 24_000
#: The worker holds some batches of 4 MB, what is fetched (a MB a partition) and what allocators
#: keep of it: 260 MB were seen, of bursts of 240 and of 480 MB. One that reads what it can holds
#: most of it.
MOST_GROWTH_BYTES = 320 * 2**20


def events(count: int, first: int, payload_bytes: int) -> list[tuple[str | None, bytes | None]]:
    """Random events, of which a bot sends a fifth and a place gets a fifth."""
    rng, now_s = np.random.default_rng(first), time.time()
    found: list[tuple[str | None, bytes | None]] = []
    for number in range(first, first + count):
        event = interaction(rng, number, now_s)
        if number % 5 == 0:
            event["user_id"] = "bot"
        if number % 5 == 1:
            event["place_id"] = "hot"
        event["later_field"] = os.urandom(payload_bytes // 2).hex()
        found.append((str(event["user_id"]), msgspec.json.encode(event)))
    return found


def resident_bytes(supervisor: Supervisor) -> int:
    """Memory of the worker."""
    return int(psutil.Process(supervisor.child("stream").process.pid).memory_info().rss)


@pytest.fixture
def small_batches(settings: Settings) -> Settings:
    """The archive is written by its bytes alone."""
    return settings.model_copy(
        update={
            "archive_flush_s": 600,
            "archive_flush_rows": 10**9,
            "batch_max_bytes": 4 * 2**20,
        }
    )


def most_resident_bytes(
    supervisor: Supervisor, client: redis.Redis, settings: Settings, until: int
) -> int:
    """The most memory that the worker has until the users' shards have folded so much."""
    most = 0
    while offsets(client, settings, "i") < until:
        most = max(most, resident_bytes(supervisor))
        supervisor.check()
        time.sleep(0.05)
    return most


@pytest.mark.slow
def test_a_burst_is_absorbed_in_bounded_memory(
    small_batches: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """What the worker cannot take yet stays in Kafka; afterwards every feature is right."""
    name = topics.interactions.name
    with worker(small_batches, tmp_path / "run") as supervisor:
        send(small_batches, name, events(STEADY, 0, 100))
        wait_folded(redis_client, small_batches, STEADY)
        before = resident_bytes(supervisor)
        send(small_batches, name, events(BURST, STEADY, PAYLOAD_BYTES))
        most = most_resident_bytes(supervisor, redis_client, small_batches, STEADY + BURST)
        wait_folded(redis_client, small_batches, STEADY + BURST)
        assert_equals_recompute(redis_client, small_batches)
    assert most - before < MOST_GROWTH_BYTES
