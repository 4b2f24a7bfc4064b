"""The promise of DESIGN D2: after any SIGKILL, features equal a batch recompute, exactly."""

import asyncio
import io
import time
from contextlib import aclosing
from pathlib import Path

import msgspec
import numpy as np
import pytest
import redis
from numpy.testing import assert_array_equal
from rich.console import Console

from contracts.ids import id64
from contracts.settings import Settings
from contracts.topics import Topics
from online_features.archive import EventLog, read_interactions
from online_features.definitions import PLACE, USER
from online_features.reader import OnlineReader
from online_features.redis_client import client_of
from online_features.replay import fold_all
from placestream import replay
from tests.redis_cluster import ClusterNode, client_of_cluster, on_cluster
from tests.streams.stream import (
    assert_equals_recompute,
    good_interactions,
    interaction,
    offsets,
    send,
    wait_folded,
    worker,
)

EVENTS = 6_000
#: Hashes of ids, ascending, and the state of each.
Folded = tuple[np.ndarray, np.ndarray]


def messy_stream(seed: int, now_s: float) -> list[tuple[str | None, bytes | None]]:
    """Late and out-of-order events, a tenth of them sent twice, a few that are no events."""
    rng = np.random.default_rng(seed)
    messages: list[tuple[str | None, bytes | None]] = []
    for number in range(EVENTS):
        event = interaction(rng, number, now_s)
        message = (str(event["user_id"]), msgspec.json.encode(event))
        messages.append(message)
        if rng.random() < 0.1:
            messages.append(message)
        if rng.random() < 0.01:
            messages.append((str(event["user_id"]), b'{"user_id": 1, '))
    return messages


def test_features_are_exact_after_sigkills_mid_stream(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Killed four times between random events, the worker loses nothing and doubles nothing."""
    stay_exact(settings, topics, redis_client, tmp_path)


@pytest.mark.slow
def test_features_are_exact_on_a_redis_cluster_and_equal_the_replay(
    settings: Settings, topics: Topics, cluster_nodes: list[ClusterNode], tmp_path: Path
) -> None:
    """The same on three masters; then what a request reads equals what the archive folds to."""
    settings = on_cluster(settings, cluster_nodes)
    with client_of_cluster(settings) as client:
        stay_exact(settings, topics, client, tmp_path)
        for node in cluster_nodes:
            with node.client() as one:
                assert one.dbsize(), "all was on other nodes"
    assert replay.run(settings, Console(file=io.StringIO()))
    log = read_interactions(settings.archive_dir).in_arrival_order()
    users, user_states, places, place_states = fold_all(log)
    asyncio.run(_reads_as_folded(settings, log, (users, user_states), (places, place_states)))


async def _reads_as_folded(
    settings: Settings, log: EventLog, of_users: Folded, of_places: Folded
) -> None:
    """Compare what the service's own reader finds with recomputed states, aged alike."""
    now_s = time.time()
    async with aclosing(client_of(settings, socket_timeout=10)) as client:
        reader = OnlineReader(client, settings)
        place_ids = sorted(set(log.place_id))
        rows = np.searchsorted(of_places[0], [id64(place_id) for place_id in place_ids])
        found, known = await reader.places(place_ids)
        assert known.all()
        assert_array_equal(PLACE.read(found, now_s), PLACE.read(of_places[1][rows], now_s))
        for user_id in sorted(set(log.user_id)):
            row = np.searchsorted(of_users[0], [id64(user_id)])
            read, offsets = await reader.user_after(user_id, range(settings.partitions))
            assert sum(offsets) > len(log)  # duplicates and bad ones too
            assert_array_equal(USER.read(read.states, now_s), USER.read(of_users[1][row], now_s))


def stay_exact(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Send, kill and start; then compare states and archive with a recompute of the topic."""
    settings = settings.model_copy(update={"batch_max_events": 300, "stream_session_s": 3})
    messages = messy_stream(7, time.time())
    rng = np.random.default_rng(3)
    with worker(settings, tmp_path / "run") as supervisor:
        sent = 0
        for part in np.array_split(np.arange(len(messages)), 5):
            send(settings, topics.interactions.name, [messages[i] for i in part])
            # Kill it while it is at work on this part: some of it folded, some not.
            aim = sent + int(len(part) * rng.uniform(0.2, 0.8))
            while offsets(redis_client, settings, "i") < aim:
                time.sleep(0.005)
            sent += len(part)
            if sent < len(messages):
                supervisor.kill_role("stream")
                supervisor.start("stream")
        wait_folded(redis_client, settings, len(messages))
        assert_equals_recompute(redis_client, settings)
        good = good_interactions(settings)
        archived = len(read_interactions(settings.archive_dir))
        deadline = time.monotonic() + 20
        while archived < len(good) and time.monotonic() < deadline:
            time.sleep(0.5)
            archived = len(read_interactions(settings.archive_dir))
    assert archived == len(good)
    log = read_interactions(settings.archive_dir).in_arrival_order()
    assert list(zip(log.partition.tolist(), log.offset.tolist(), strict=True)) == list(
        zip(good.partition, good.offset, strict=True)
    )
