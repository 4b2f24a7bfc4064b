"""A feature is one line: the stream, the replay, the reader and the training set all have it.

And since it makes a new version of the states, `rebuild` fills these while the old go on.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import redis

from contracts.settings import Settings
from contracts.topics import Topics
from online_features.archive import EventLog, read_interactions, read_positions
from online_features.columns import CLICK, VIEW
from online_features.definitions import FEATURE_SET
from online_features.duplicates import SEEN_DTYPE, mark_new
from online_features.keys import Keys, ShardKind
from placestream.simulation.command import open_source
from placestream.simulation.source import messages
from placestream.stack.environment import environment
from placestream.stack.supervisor import Supervisor
from tests.streams.stream import offsets, read_topic, send, wait_folded, worker

NEW_CODE = [sys.executable, str(Path(__file__).with_name("with_new_features.py"))]
KINDS: tuple[ShardKind, ...] = ("i", "b")
Run = Callable[..., str]


@pytest.fixture
def new_code(settings: Settings) -> Run:
    """Run a command of the new code to its end; return what it printed."""

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*NEW_CODE, *arguments],
            env=os.environ | environment(settings),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def events_of_a_city(settings: Settings) -> dict[str, list[tuple[str | None, bytes | None]]]:
    """Messages of a small city by topic, in order of time."""
    topics = settings.topics
    names = {
        "interactions": topics.interactions.name,
        "place_updates": topics.place_updates.name,
        "context": topics.context.name,
    }
    source = open_source(ending_s=time.time() - 60, seed=4, users=40, places=80, days=10)
    found: dict[str, list[tuple[str | None, bytes | None]]] = {name: [] for name in names.values()}
    for message in messages(source):
        found[names[message.stream]].append((message.key, msgspec.json.encode(message.event)))
    return found


def old_states(client: redis.Redis, settings: Settings) -> dict[bytes, Any]:
    """All that the definitions of this process have in Redis."""
    keys = Keys.of(settings)
    patterns = [keys.pattern(kind, keys.version(kind)) for kind in KINDS]
    found = [key for pattern in patterns for key in client.scan_iter(pattern)]
    return {key: client.dump(key) for key in found}


def new_places_behind(client: redis.Redis, settings: Settings) -> int:
    """Re-keyed events that the place shards of the other version have not read yet."""
    keys = Keys.of(settings)
    read = 0
    for key in client.scan_iter(keys.pattern("b", "*")):
        parsed = keys.version_of(key.decode())
        if parsed is not None and parsed[1] != keys.version("b") and parsed[2] == "#shard":
            read += int(client.hget(key, "offset") or 0)
    return len(read_topic(settings, settings.topics.by_place.name)) - read


def looks(log: EventLog) -> EventLog:
    """Views and clicks that count."""
    _, rows = np.unique(log.user, return_inverse=True)
    counted = mark_new(np.zeros(len(log), SEEN_DTYPE), rows.astype(np.int64), log.event_hash)
    return log.take(counted & np.isin(log.kind, (VIEW, CLICK)))


def test_one_line_is_enough(
    settings: Settings,
    topics: Topics,
    redis_client: redis.Redis,
    new_code: Run,
    tmp_path: Path,
) -> None:
    """Old code streams, the new code rebuilds, streams the rest, reads, and trains."""
    settings = settings.model_copy(update={"stream_session_s": 3})
    city = events_of_a_city(settings)
    happened = city.pop(topics.interactions.name)
    first = len(happened) * 2 // 3
    for topic, its_messages in city.items():
        send(settings, topic, its_messages)
    with worker(settings, tmp_path / "old"):
        send(settings, topics.interactions.name, happened[:first])
        wait_folded(redis_client, settings, first)
        deadline = time.monotonic() + 30
        while read_positions(settings.archive_dir).num_rows < first:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    before = old_states(redis_client, settings)

    assert "filled" in new_code("rebuild")
    assert old_states(redis_client, settings) == before, "what the old code serves was touched"
    with Supervisor(
        tmp_path / "new", environment(settings), lambda role: [*NEW_CODE, role]
    ) as supervisor:
        supervisor.start("stream")
        send(settings, topics.interactions.name, happened[first:])
        deadline = time.monotonic() + 60
        while read_positions(settings.archive_dir).num_rows < len(happened):
            assert time.monotonic() < deadline
            supervisor.check()
            time.sleep(0.2)
        while new_places_behind(redis_client, settings):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert offsets(redis_client, settings, "i") == first, "the old states stayed where they were"

    seen = json.loads(new_code("look"))
    assert seen["feature_set"] != FEATURE_SET
    assert seen["stream_equals_replay"]
    log = looks(read_interactions(settings.archive_dir))
    mine = log.user_id == seen["user_id"]
    here = log.place_id == seen["place_id"]
    expected = {"looks_28d": mine.sum(), "lookers_28d": len(set(log.user_id[here]))}
    assert seen["replay"] == seen["reader"] == expected
    assert_trained_on(seen, log)

    new_code("rebuild", "--drop-old", "--yes")
    assert old_states(redis_client, settings) == {}
    assert json.loads(new_code("look"))["stream_equals_replay"]


def assert_trained_on(seen: dict[str, Any], log: EventLog) -> None:
    """Rows of the training set hold the new columns, as they were before each moment."""
    rows = zip(
        seen["training_user"],
        seen["training_place"],
        seen["training_time_s"],
        seen["training"]["user_looks_28d"],
        seen["training"]["place_lookers_28d"],
        strict=True,
    )
    some = 0.0
    for user, place, time_s, user_looks, place_lookers in islice(rows, 0, None, 97):
        past = log.take(log.time_s < time_s)
        assert user_looks == pytest.approx(np.log1p((past.user == int(user)).sum()), rel=1e-5)
        assert place_lookers == len(set(past.user[past.place == int(place)].tolist()))
        some += user_looks + place_lookers
    assert some > 0
