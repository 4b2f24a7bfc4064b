"""The promise of DESIGN D2: after any SIGKILL, features equal a batch recompute, exactly."""

import time
from pathlib import Path

import msgspec
import numpy as np
import redis

from contracts.settings import Settings
from contracts.topics import Topics
from online_features.archive import read_interactions
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
