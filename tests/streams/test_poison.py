"""A record that cannot be processed costs its own place, and a stuck worker ends."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import redis
from faust.types import TP

from contracts.events import DeadLetter
from contracts.ids import id64
from contracts.settings import Settings
from contracts.topics import Topics
from online_features.definitions import PLACE
from online_features.keys import Keys
from online_features.replay import fold_all
from placestream.stack.environment import environment
from streams.liveness import Liveness, Stuck
from streams.rekeyed import Rekeyed
from streams.shards import Shard, redis_away
from tests.streams.stream import (
    assert_equals_recompute,
    good_interactions,
    interaction,
    read_topic,
    send,
    wait_folded,
    worker,
)


def some_events(count: int) -> list[tuple[str | None, bytes | None]]:
    """Good events of many users."""
    rng, now_s = np.random.default_rng(2), time.time()
    events = [interaction(rng, n, now_s) for n in range(count)]
    return [(str(event["user_id"]), msgspec.json.encode(event)) for event in events]


def test_a_damaged_state_sets_aside_its_own_events_only(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Everybody else's events count; the letters say what was wrong with whom."""
    messages = some_events(120)
    victim = messages[0][0] or ""
    key = Keys.of(settings).entity("i", victim)
    redis_client.set(key, b"no state at all")
    with worker(settings, tmp_path / "run"):
        send(settings, topics.interactions.name, messages)
        wait_folded(redis_client, settings, len(messages))
    letters = [
        msgspec.json.decode(m.value or b"", type=DeadLetter)
        for m in read_topic(settings, topics.dlq(topics.interactions).name)
    ]
    assert sorted(letter.value or b"" for letter in letters) == sorted(
        value or b"" for user, value in messages if user == victim
    )
    assert all("state" in letter.reason for letter in letters)
    assert redis_client.get(key) == b"no state at all"
    # Mended and sent again, they count like any others, once.
    redis_client.delete(key)
    with worker(settings, tmp_path / "again"):
        send(settings, topics.interactions.name, [("x", b"{")])
        for letter in letters:
            send(settings, topics.interactions.name, [(victim, letter.value)])
        wait_folded(redis_client, settings, len(messages) + 1 + len(letters))
        assert_equals_recompute(redis_client, settings)


def test_a_damaged_place_sets_aside_its_own_share_only(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Its events lie in one message with those of other places: those count all the same."""
    messages = some_events(200)
    place = str(msgspec.json.decode(messages[0][1] or b"")["place_id"])
    key = Keys.of(settings).entity("b", place)
    redis_client.set(key, b"no state at all")
    with worker(settings, tmp_path / "run"):
        send(settings, topics.interactions.name, messages)
        wait_folded(redis_client, settings, len(messages))
    aside = [
        msgspec.json.decode(m.value or b"", type=DeadLetter)
        for m in read_topic(settings, topics.dlq(topics.by_place).name)
    ]
    shares = Rekeyed.joined([Rekeyed.decode(letter.value or b"") for letter in aside])
    assert {*shares.place_ids} == {place}
    assert len(shares) == sum(
        str(msgspec.json.decode(value or b"")["place_id"]) == place for _, value in messages
    )
    assert {letter.field for letter in aside} == {"place_id"}
    assert all("state" in letter.reason for letter in aside)
    assert redis_client.get(key) == b"no state at all"
    good = good_interactions(settings)
    _, _, places, states = fold_all(good.folded())
    others = sorted({*good.place_id} - {place})
    wanted = PLACE.pack(states[np.searchsorted(places, [id64(other) for other in others])])
    assert redis_client.mget([Keys.of(settings).entity("b", p) for p in others]) == wanted


#: A worker whose sink never comes back from its second batch.
STUCK_WORKER = """
import asyncio
from contracts.settings import Settings
from streams.interactions import InteractionSink
from streams.worker import run
fold, calls = InteractionSink.process, []
async def process(self, poll, consumer):
    calls.append(poll)
    if len(calls) > 1:
        await asyncio.Event().wait()
    await fold(self, poll, consumer)
InteractionSink.process = process
run(Settings())
"""


def test_a_stuck_worker_names_its_partitions_and_ends(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """The process is alive and answers, but nothing moves: that is what counts."""
    messages = some_events(400)
    stuck = settings.model_copy(update={"stream_stall_s": 3, "stream_session_s": 3})
    log_file = tmp_path / "stuck.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", STUCK_WORKER],
            env={**os.environ, **environment(stuck)},
            stdout=log,
            stderr=log,
        )
        try:
            deadline = time.monotonic() + 90
            while process.poll() is None and time.monotonic() < deadline:
                send(settings, topics.interactions.name, messages[:5])
                time.sleep(1)
            assert process.poll() not in (None, 0), log_file.read_text()[-2_000:]
        finally:
            process.kill()
            process.wait()
    assert f"{topics.interactions.name}[" in log_file.read_text()
    with worker(settings, tmp_path / "run"):
        send(settings, topics.interactions.name, messages)
        lying = len(read_topic(settings, topics.interactions.name))
        wait_folded(redis_client, settings, lying)
        assert_equals_recompute(redis_client, settings)


def test_a_partition_is_stuck_only_if_it_has_work_and_redis_is_there() -> None:
    """Idle partitions stand still by right, and so does everything while Redis is away."""
    now_s = [0.0]
    liveness = Liveness(10, lambda: now_s[0])
    busy = Shard(TP("t", 0), "i", 1, 5, {})
    idle = Shard(TP("t", 1), "i", 1, 7, {})
    ends: Any = {busy.tp: 9, idle.tp: 7}

    def after(seconds: float) -> None:
        now_s[0] += seconds
        liveness.observe([busy, idle], ends)

    after(0)
    after(9)
    busy.position = 6
    after(9)
    redis_away.set()
    try:
        after(60)
    finally:
        redis_away.clear()
    after(9)
    with pytest.raises(Stuck) as caught:
        after(2)
    assert "t[0] at 6, lag 3" in str(caught.value)
    assert "t[1]" not in str(caught.value)
