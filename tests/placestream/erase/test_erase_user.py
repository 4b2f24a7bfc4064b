"""`placestream erase-user` beside a worker at work: a person goes from everywhere and stays away,
and everybody else's features are exactly what they would be."""

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import redis
import structlog
from typer.testing import CliRunner

from contracts.ids import id64
from contracts.settings import Settings
from contracts.topics import Topics
from online_features.archive import read_interactions, read_positions
from online_features.definitions import USER
from online_features.erased import FILE, erase
from online_features.history import history
from online_features.keys import Keys
from online_features.replay import fold_all
from placestream.backfill.one_writer import writer
from placestream.backfill.tables import USER_DAILY
from placestream.cli import app
from placestream.rebuild.plan import make_plan
from placestream.stack.environment import environment
from placestream.stack.ports import LOCALHOST, free_port
from streams.careful import WHOLE_ATTEMPTS
from tests.placestream.erase.test_in_models import exported
from tests.placestream.erase.test_in_tables import daily, part, rows
from tests.streams.stream import (
    assert_equals_recompute,
    good_interactions,
    interaction,
    offsets,
    read_topic,
    send,
    worker,
)

#: Ids as `interaction` makes them: odd ones are integers, even ones texts.
PERSON, OTHERS = "7", ("user-8", "9")
EVENTS = 3_000
Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command with some settings; gives its result."""
    root = logging.getLogger()

    def command(settings: Settings, *words: str, **more: Any) -> Any:
        for name, value in environment(settings).items():
            monkeypatch.setenv(name, value)
        before = (root.handlers, root.level)
        try:
            return CliRunner().invoke(app, ["erase-user", *words], **more)
        finally:
            root.handlers, root.level = before
            structlog.reset_defaults()

    return command


def happened(
    number: int, rng: np.random.Generator, now_s: float, **changes: Any
) -> tuple[str, bytes]:
    """A message of one random interaction."""
    event = interaction(rng, number, now_s) | changes
    return str(event["user_id"]), msgspec.json.encode(event)


def until(condition: Callable[[], bool], timeout_s: float = 120) -> None:
    """Wait."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def raw_rows(archive_dir: Path, user_id: str) -> int:
    """How many rows of all files say anything of somebody."""
    tables = [pq.ParquetFile(file).read() for file in archive_dir.rglob("*.parquet")]
    found = [row for table in tables for row in table.to_pylist()]
    return sum(
        row["user_id"] == user_id or row["user"] == id64(user_id) or _of(row["raw"]) == user_id
        for row in found
    )


def _of(raw: bytes) -> str:
    return str(msgspec.json.decode(raw)["user_id"]) if raw else ""


def test_a_person_goes_while_the_worker_works(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path, run: Run
) -> None:
    """With a batch under way, rows waiting for the disk, events still in Kafka, and late ones."""
    settings = settings.model_copy(update={"batch_max_events": 200, "archive_flush_s": 0.3})
    rng, now_s, topic = np.random.default_rng(3), time.time(), topics.interactions.name
    before = [happened(n, rng, now_s) for n in range(EVENTS)]
    before.append((PERSON, b'{"user_id": 7, "event_type": "teleport"}'))
    key = Keys.of(settings).entity("i", PERSON)
    with worker(settings, tmp_path / "run"):
        send(settings, topic, before)
        # Some of them are folded and archived, some are on their way.
        until(lambda: offsets(redis_client, settings, "i") > EVENTS // 3)
        until(lambda: raw_rows(settings.archive_dir, PERSON) > 0)
        assert redis_client.exists(key)
        result = run(settings, PERSON, *OTHERS, "nobody", "--yes", "--json")
        assert result.exit_code == 0, result.output
        proof = json.loads(result.stdout)
        late = [happened(EVENTS + n, rng, now_s, user_id=7) for n in range(50)]
        send(settings, topic, [*late, *(happened(2 * EVENTS + n, rng, now_s) for n in range(500))])
        sent = EVENTS + 1 + 50 + 500
        until(lambda: offsets(redis_client, settings, "i") >= sent)
        until(lambda: read_positions(settings.archive_dir).num_rows >= sent - 1)
    assert proof["redis"]["removed"] >= 1
    assert proof["archive"]["rewritten"]
    assert proof["left"]["redis_states"] == proof["left"]["archive_rows"] == 0
    assert len(proof["people"]) == 4
    for user_id in (PERSON, *OTHERS):
        assert not redis_client.exists(Keys.of(settings).entity("i", user_id))
        assert raw_rows(settings.archive_dir, user_id) == 0
        assert f'"{user_id}"' not in result.stdout
    _assert_others_are_exact(settings, redis_client)
    # A rebuild misses nothing, and training sees nothing of them.
    plan = make_plan(settings, time.time, with_gaps=False)
    assert sum(part.end for part in plan.parts) == sent
    assert {PERSON, *OTHERS}.isdisjoint(read_interactions(settings.archive_dir).user_id.tolist())


def _assert_others_are_exact(settings: Settings, client: redis.Redis) -> None:
    """Every other user's state equals a recompute of the topic, byte for byte."""
    good = good_interactions(settings)
    users, states, _, _ = fold_all(good.folded())
    ids = sorted(set(good.user_id) - {PERSON, *OTHERS})
    stored = client.mget([Keys.of(settings).entity("i", user_id) for user_id in ids])
    rows = np.searchsorted(users, np.array([id64(user_id) for user_id in ids], np.uint64))
    assert stored == USER.pack(states[rows])
    assert len(ids) > 50


def test_who_comes_back_is_a_new_person(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path, run: Run
) -> None:
    """What they do later counts, and nothing else does, although Kafka holds all of it."""
    rng, topic = np.random.default_rng(4), topics.interactions.name
    key = Keys.of(settings).entity("i", PERSON)

    def visit() -> tuple[str, bytes]:
        return happened(
            0, rng, 0.0, user_id=7, event_type="visit", timestamp=datetime.now(UTC).isoformat(),
            event_id=str(time.time_ns()),
        )  # fmt: skip

    with worker(settings, tmp_path / "run") as supervisor:
        send(settings, topic, [visit() for _ in range(5)])
        until(lambda: offsets(redis_client, settings, "i") >= 5)
        assert run(settings, PERSON, "--yes").exit_code == 0
        send(settings, topic, [visit() for _ in range(3)])
        until(lambda: offsets(redis_client, settings, "i") >= 8)
        stored: Any = redis_client.get(key)
        assert (history(USER.unpack([stored])[0]).ids > 0).sum() == 3
        # Redis loses all: the worker folds again what Kafka holds.
        supervisor.kill_role("stream")
        keys = Keys.of(settings)
        redis_client.delete(*redis_client.scan_iter(keys.pattern("i", keys.version("i"))))
        supervisor.start("stream")
        until(lambda: offsets(redis_client, settings, "i") >= 8)
    again: Any = redis_client.get(key)
    assert again == stored
    until(lambda: len(read_interactions(settings.archive_dir)) == 3)


def test_while_the_list_cannot_be_read_the_worker_waits(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """It folds nothing by an older list, takes no event for a poisonous one, and then goes on."""
    settings = settings.model_copy(update={"archive_flush_s": 0.3})
    rng, topic = np.random.default_rng(5), topics.interactions.name
    some = [happened(n, rng, time.time()) for n in range(400)]
    listed = settings.archive_dir / FILE
    log = tmp_path / "run" / "stream.log"
    with worker(settings, tmp_path / "run"):
        send(settings, topic, some[:100])
        until(lambda: offsets(redis_client, settings, "i") >= 100)
        erase(settings.archive_dir, ["nobody"], time.time())
        whole = listed.read_bytes()
        listed.write_bytes(whole[:-9])
        send(settings, topic, some[100:])
        # Longer than a batch may fail as a whole.
        waited = b"list of the erased cannot be read"
        until(lambda: log.read_bytes().count(waited) > 3 * (WHOLE_ATTEMPTS + 1))
        assert offsets(redis_client, settings, "i") == 100
        listed.write_bytes(whole)
        until(lambda: offsets(redis_client, settings, "i") >= len(some))
        until(lambda: read_positions(settings.archive_dir).num_rows >= len(some))
    assert read_topic(settings, topics.dlq(topics.interactions).name) == []
    assert_equals_recompute(redis_client, settings)


def test_the_proof_says_what_was_done_and_what_remains(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path, run: Run
) -> None:
    """For people on the terminal, as a file for whoever asked."""
    key = Keys.of(settings).entity("i", "ann")
    redis_client.set(key, b"a state")
    exported(settings.models_dir / "ranker" / "1", {"users_known": 5})
    day = USER_DAILY.folder(settings.backfill_dir) / "day=2025-06-15"
    file = part(day, 0, daily("ann", "bob"))
    result = run(settings, "ann", "--yes", "--proof", str(tmp_path / "proof.json"))
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    assert "1 states removed" in said
    assert "1 rows removed, 1 of 1 files rewritten" in said
    assert [row["user_id"] for row in rows(settings.backfill_dir)] == ["bob"]
    assert topics.interactions.name in said
    proof = json.loads((tmp_path / "proof.json").read_text())
    assert proof["is_clean"]
    assert proof["left"]["table_rows"] == 0
    (rewritten,) = proof["tables"]["rewritten"]
    assert settings.backfill_dir / rewritten["before"] == file
    assert proof["redis"]["found"] == {Keys.of(settings).version("i"): 1}
    assert "ranker/1 (5 persons)" in proof["remains"]["models"]
    for topic in (topics.interactions, topics.impressions, topics.by_place):
        assert "no letter names them" in proof["remains"][topics.dlq(topic).name]
    assert "ann" not in proof["people"]
    again = json.loads(run(settings, "ann", "--yes", "--json").stdout)
    assert again["people"] == proof["people"]
    assert again["redis"]["removed"] == 0


def test_without_kafka_it_says_that_nobody_looked_at_the_letters(
    settings: Settings, redis_client: redis.Redis, run: Run
) -> None:
    """Redis and the archive are cleared all the same."""
    nowhere = settings.model_copy(update={"kafka_bootstrap": f"{LOCALHOST}:{free_port()}"})
    redis_client.set(Keys.of(settings).entity("i", "ann"), b"a state")
    proof = json.loads(run(nowhere, "ann", "--yes", "--json").stdout)
    assert proof["redis"]["removed"] == 1
    assert "not looked at" in "".join(proof["remains"].values())


def test_nobody_is_erased_by_mistake(
    settings: Settings, redis_client: redis.Redis, run: Run
) -> None:
    """It asks, and a no, or nobody there to answer, is a no; an id that cannot be is an error."""
    key = Keys.of(settings).entity("i", "ann")
    redis_client.set(key, b"a state")
    for said in ("n\n", ""):
        assert run(settings, "ann", input=said).exit_code == 1
    assert run(settings, "x" * 129, "--yes").exit_code == 1
    assert redis_client.exists(key)
    assert not settings.archive_dir.exists()
    assert run(settings, "ann", input="y\n").exit_code == 0
    assert not redis_client.exists(key)


def test_beside_a_backfill_it_is_not_done(
    settings: Settings, redis_client: redis.Redis, run: Run
) -> None:
    """It says so and names the next step, and removes nothing: what goes is in a proof."""
    key = Keys.of(settings).entity("i", "ann")
    redis_client.set(key, b"a state")
    with writer(settings.backfill_dir):
        result = run(settings, "ann", "--yes")
    assert result.exit_code == 1
    assert "run this again" in result.output
    assert redis_client.exists(key)
    assert run(settings, "ann", "--yes").exit_code == 0
    assert not redis_client.exists(key)


def test_what_was_done_is_proved_though_it_broke_off(
    settings: Settings, redis_client: redis.Redis, tmp_path: Path, run: Run
) -> None:
    """The next proof cannot name what is gone already."""
    redis_client.set(Keys.of(settings).entity("i", "ann"), b"a state")
    damaged = settings.archive_dir / "interactions" / "day=2025-06-15" / "damaged.parquet"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"PAR1 half")
    file = tmp_path / "proof.json"
    result = run(settings, "ann", "--yes", "--proof", str(file))
    assert result.exit_code == 1
    said = " ".join(result.stdout.split())
    assert "1 states removed" in said
    assert "no whole Parquet file" in said
    assert "run it again" in said
    proof = json.loads(file.read_text())
    assert (proof["redis"]["removed"], proof["is_clean"], proof["left"]) == (1, False, None)
    assert "damaged.parquet" in proof["failed"]
    damaged.unlink()
    again = json.loads(run(settings, "ann", "--yes", "--json").stdout)
    assert (again["redis"]["removed"], again["is_clean"], again["failed"]) == (0, True, "")


def test_a_proof_that_cannot_be_written_was_shown(
    settings: Settings, redis_client: redis.Redis, tmp_path: Path, run: Run
) -> None:
    """Only then is it said that the file is missing."""
    redis_client.set(Keys.of(settings).entity("i", "ann"), b"a state")
    nowhere = str(tmp_path / "none" / "proof.json")
    result = run(settings, "ann", "--yes", "--json", "--proof", nowhere)
    assert result.exit_code == 1
    assert nowhere in result.stderr
    assert json.loads(result.stdout)["redis"]["removed"] == 1


def test_without_redis_it_is_not_done(settings: Settings, run: Run) -> None:
    """And says so; from then on nothing of them is written all the same."""
    url = f"redis://{LOCALHOST}:{free_port()}/0"
    away = settings.model_copy(update={"redis_url": type(settings.redis_url)(url)})
    result = run(away, "ann", "--yes")
    assert result.exit_code == 1
    assert "run this again" in result.output
