"""Workers come and go while events flow: each partition has one of them, and nothing is lost."""

import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from contracts.kafka import client_config
from contracts.settings import Settings
from contracts.topics import Topics
from tests.streams.stream import assert_equals_recompute, offsets, send, wait_folded, worker
from tests.streams.test_exactness import messy_stream

SETTLE_S = 90.0
ASKED_S = 5.0


def spread(settings: Settings) -> list[list[int]]:
    """Partitions of the interactions that each worker has, by Kafka's own account, sorted.

    Empty where Kafka cannot tell yet.
    """
    group, topic = f"{settings.topic_prefix}-stream", settings.topics.interactions.name
    admin = AdminClient(client_config(settings))  # its answers come only while it lives
    asked = admin.describe_consumer_groups([group], request_timeout=ASKED_S)[group]
    try:
        members = asked.result(2 * ASKED_S).members
    except KafkaException:  # the first group of a new broker
        return []
    held = [
        sorted(tp.partition for tp in member.assignment.topic_partitions if tp.topic == topic)
        for member in members
    ]
    return sorted(held)


def wait_spread(settings: Settings, *ways: list[int]) -> None:
    """Wait until all partitions are held, and workers hold so many each, in one of the ways."""
    deadline_s = time.monotonic() + SETTLE_S
    while True:
        held = spread(settings)
        every = sorted(partition for its in held for partition in its)
        if every == list(range(settings.partitions)) and sorted(map(len, held)) in ways:
            return
        assert time.monotonic() < deadline_s, f"partitions are held as {held}"
        time.sleep(0.2)


@pytest.mark.slow
def test_one_worker_is_lost_and_two_are_added(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Four partitions: two and two; all four with the survivor of a SIGKILL; at most two with two
    new ones. Events come before, between and after, and the features equal a recompute."""
    changed = {"batch_max_events": 100, "stream_session_s": 3, "stream_metrics_port": 0}
    settings = settings.model_copy(update=changed)
    messages = messy_stream(5, time.time())
    parts = np.array_split(np.arange(len(messages)), 4)
    sent = 0
    with ExitStack() as running:
        first, _ = (running.enter_context(worker(settings, tmp_path / n)) for n in "ab")
        wait_spread(settings, [2, 2])
        for number, part in enumerate(parts):
            send(settings, topics.interactions.name, [messages[i] for i in part])
            while offsets(redis_client, settings, "i") < sent + len(part) // 4:
                time.sleep(0.005)  # so that the next change falls into its folding
            sent += len(part)
            if number == 0:
                first.kill_role("stream")
            elif number == 1:
                wait_spread(settings, [4])
            elif number == 2:
                for name in "cd":
                    running.enter_context(worker(settings, tmp_path / name))
                # Faust takes from nobody who has no more than a share, rounded up: of two that do
                # not come at once, the second waits.
                wait_spread(settings, [1, 1, 2], [0, 2, 2])
        wait_folded(redis_client, settings, len(messages))
        assert_equals_recompute(redis_client, settings)
        assert sorted(map(len, spread(settings))) in ([1, 1, 2], [0, 2, 2])
