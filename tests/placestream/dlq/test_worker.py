"""Dead letters of a real worker, replayed into it: what counts, and how often."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from contracts.events import BadEvent
from contracts.ids import partition_of
from contracts.settings import Settings
from contracts.topics import Topics
from online_features.keys import Keys
from placestream.dlq.batches import OF_ONE_KEY
from placestream.dlq.check import Check
from placestream.dlq.letters import TopicName
from placestream.dlq.reader import DeadLetterReader
from streams.rekeyed import Rekeyed
from tests.placestream.dlq.putting_aside import messages_of, run, visit
from tests.streams.stream import assert_equals_recompute, offsets, send, wait_folded, worker
from tests.streams.test_bad_events import BAD

INTERACTIONS, PLACES, CONTEXT, *_ = TopicName


def counted(settings: Settings) -> int:
    """How many interactions counted: each of them is passed on to its place."""
    messages = messages_of(settings, settings.topics.by_place.name)
    return sum(len(Rekeyed.decode(message.value() or b"")) for message in messages)


def wrong_key(user: str, partitions: int) -> str:
    """A key that leads to another partition than the user's own."""
    right = partition_of(user, partitions)
    return next(key for key in map(str, range(100)) if partition_of(key, partitions) != right)


def visits(user: str, numbers: range) -> list[bytes]:
    """Different events of one user, without ids: they are known by their bytes."""
    now = datetime.now(UTC)
    stamps = [(now - timedelta(seconds=n)).isoformat() for n in numbers]
    return [visit(user_id=user, place_id=n % 3, timestamp=stamp) for n, stamp in enumerate(stamps)]


def test_replayed_events_count_once(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Replayed twice, replayed after a crash before its note, or still bad: the count is right."""
    key = wrong_key("ann", settings.partitions)
    lost, live = visits("ann", range(100, 120)), visits("ann", range(OF_ONE_KEY))
    sent = 0

    def send_and_wait(messages: list[tuple[str | None, bytes | None]], more: int = 0) -> None:
        nonlocal sent
        send(settings, topics.interactions.name, messages)
        sent += len(messages) + more
        wait_folded(redis_client, settings, sent)

    with worker(settings, tmp_path / "run"):
        send_and_wait([(key, value) for value in lost] + [("7", value) for value, _ in BAD])
        assert counted(settings) == 0
        first = run(settings, "replay", "--yes")
        assert f"{len(lost)} letters to send" in first.output
        assert f"{len(BAD)} letters still bad" in first.output
        send_and_wait([], more=len(lost))
        assert counted(settings) == len(lost)

        assert "0 letters to send" in run(settings, "replay", "--yes").output

        # As if it had died before the note of its last batch, and life went on before the next run.
        send_and_wait([("ann", value) for value in live])
        last = [f"{m.partition()}:{m.offset()}" for m in of_user(settings, key)[-OF_ONE_KEY:]]
        redis_client.hdel(Keys.of(settings).replayed(INTERACTIONS), *last)
        assert f"{OF_ONE_KEY} letters sent" in run(settings, "replay", "--yes").output
        send_and_wait([], more=OF_ONE_KEY)
        assert counted(settings) == len(lost) + len(live)
        assert_equals_recompute(redis_client, settings)


def of_user(settings: Settings, key: str) -> list[Any]:
    """Messages of the interactions topic that were sent with a key, in order."""
    name = settings.topics.interactions.name
    return [m for m in messages_of(settings, name) if m.key() == key.encode()]


def test_the_check_refuses_what_the_worker_refuses(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Field for field, so that nothing is sent only to come back; and takes what it would take."""
    keyless = msgspec.json.encode({"place_id": 5, "updates": {"name": "five"}})
    bad_places: list[bytes] = [
        msgspec.json.encode({"place_id": 5, "updates": updates} | more)
        for updates, more in (
            ({"price_level": 9}, {}),
            ({"time_zone": "Mars/Olympus"}, {}),
            ({"business_hours": {"mon": ["9-5"]}}, {}),
            ({"version": 3}, {}),
            ({}, {"timestamp": "1970-01-01T00:00:00Z"}),
        )
    ]
    bad_contexts = [b"{}", b'{"timestamp": "1970-01-01T00:00:00Z"}', b"\xff"]
    with worker(settings, tmp_path / "run"):
        send(settings, topics.interactions.name, [("7", value) for value, _ in BAD])
        send(settings, topics.place_updates.name, [("5", value) for value in bad_places])
        send(settings, topics.place_updates.name, [(None, keyless)])
        send(settings, topics.context.name, [("nyc", value) for value in bad_contexts])
        wait_folded(redis_client, settings, len(BAD))
        wait_metadata(redis_client, settings, len(bad_places) + 1, len(bad_contexts))
    check = Check(settings)
    with DeadLetterReader(settings, TopicName) as reader:
        letters = list(reader)
    assert len(letters) == len(BAD) + len(bad_places) + 1 + len(bad_contexts)
    for letter in letters:
        if letter.dead.value == keyless:
            assert letter.dead.field == "key"
            assert check.ready(letter, time.time(), named=False).key == b"5"
            continue
        with pytest.raises(BadEvent) as caught:
            check.ready(letter, time.time(), named=False)
        assert caught.value.field == letter.dead.field


def wait_metadata(client: redis.Redis, settings: Settings, places: int, contexts: int) -> None:
    """Wait until all messages of both topics are worked off."""
    deadline = time.monotonic() + 60
    while offsets(client, settings, "d") < places or offsets(client, settings, "c") < contexts:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_replayed_place_update_is_no_news(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """What came since stands, though neither says when it is from; a lost place is found again."""

    def named(place_id: int, name: str) -> bytes:
        return msgspec.json.encode({"place_id": place_id, "updates": {"name": name}})

    lost: list[tuple[str | None, bytes | None]] = [(None, named(1, "old")), (None, named(2, "two"))]
    with worker(settings, tmp_path / "run"):
        send(settings, topics.place_updates.name, lost)
        wait_metadata(redis_client, settings, 2, 0)
        send(settings, topics.place_updates.name, [("1", named(1, "new"))])
        wait_metadata(redis_client, settings, 3, 0)
        assert run(settings, "replay", "--yes", "--topic", PLACES).exit_code == 0
        wait_metadata(redis_client, settings, 5, 0)
    keys = Keys.of(settings)
    stored: Any = redis_client.mget([keys.entity("d", "1"), keys.entity("d", "2")])
    assert [msgspec.json.decode(value)["name"] for value in stored] == ["new", "two"]
