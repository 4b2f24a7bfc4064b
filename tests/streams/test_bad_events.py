"""Bad events reach the dead letters whole, with their reason, and hold nobody up."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import redis

from contracts.events import DeadLetter
from contracts.ids import partition_of
from contracts.settings import Settings
from contracts.topics import Topics
from tests.streams.stream import (
    assert_equals_recompute,
    interaction,
    read_topic,
    send,
    wait_folded,
    worker,
)

NOW = datetime.now(UTC)
GOOD: dict[str, Any] = {
    "user_id": 7,
    "place_id": 3,
    "event_type": "visit",
    "timestamp": NOW.isoformat(),
}
#: What is wrong, and the field that must be named.
BAD: list[tuple[bytes | None, str]] = [
    (b'{"user_id": "' + b"x" * 900_000, ""),  # as large as Kafka takes: its letter is larger
    (b'{"user_id": 7', ""),
    (b"\xff\xfe", ""),
    (None, ""),
    (msgspec.json.encode({k: v for k, v in GOOD.items() if k != "place_id"}), "place_id"),
    (msgspec.json.encode(GOOD | {"event_type": "teleport"}), "event_type"),
    (msgspec.json.encode(GOOD | {"user_id": 1.5}), "user_id"),
    (msgspec.json.encode(GOOD | {"user_id": True}), "user_id"),
    (msgspec.json.encode(GOOD | {"place_id": "x" * 129}), "place_id"),
    (msgspec.json.encode(GOOD | {"place_id": ""}), "place_id"),
    (
        msgspec.json.encode(GOOD | {"place_id": 5}).replace(
            b'"place_id":5', b'"place_id":1' + b"0" * 19
        ),
        "place_id",
    ),
    (msgspec.json.encode(GOOD | {"timestamp": "yesterday"}), "timestamp"),
    (msgspec.json.encode(GOOD | {"timestamp": "2024-01-15T10:30:00"}), "timestamp"),
    (msgspec.json.encode(GOOD | {"timestamp": "1970-01-01T00:00:00Z"}), "timestamp"),
    (
        msgspec.json.encode(GOOD | {"timestamp": (NOW + timedelta(days=9)).isoformat()}),
        "timestamp",
    ),
    (
        msgspec.json.encode(GOOD | {"context": {"location": {"lat": 91, "lng": 0}}}),
        "context.location.lat",
    ),
    (
        msgspec.json.encode(GOOD | {"context": {"location": {"lat": 9, "lng": -181}}}),
        "context.location.lng",
    ),
    (msgspec.json.encode(GOOD | {"event_type": "rate"}), "rating"),
    (msgspec.json.encode(GOOD | {"event_type": "rate", "rating": 6}), "rating"),
    (msgspec.json.encode(GOOD | {"dwell_s": -1}), "dwell_s"),
]


def test_every_bad_event_becomes_a_dead_letter_that_names_the_field(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Each with its bytes, its place in Kafka and its reason; good events around it count."""
    rng = np.random.default_rng(1)
    now_s = time.time()
    good = [interaction(rng, n, now_s) for n in range(40)]
    messages: list[tuple[str | None, bytes | None]] = [
        (str(event["user_id"]), msgspec.json.encode(event)) for event in good
    ]
    for value, _ in BAD:
        messages.insert(int(rng.integers(len(messages))), ("7", value))
    # A good event under another user's key would give its user two states.
    misrouted = next(
        msgspec.json.encode(GOOD | {"user_id": user})
        for user in range(100)
        if partition_of(str(user), settings.partitions) != partition_of("7", settings.partitions)
    )
    messages.append(("7", misrouted))
    with worker(settings, tmp_path / "run"):
        send(settings, topics.interactions.name, messages)
        wait_folded(redis_client, settings, len(messages))
        assert_equals_recompute(redis_client, settings)
    letters = [
        msgspec.json.decode(m.value or b"", type=DeadLetter)
        for m in read_topic(settings, topics.dlq(topics.interactions).name)
    ]
    named = {letter.value: letter.field for letter in letters}
    assert named == dict(BAD) | {misrouted: "user_id"}
    lying = {
        (m.partition, m.offset): m.value for m in read_topic(settings, topics.interactions.name)
    }
    for letter in letters:
        assert letter.reason
        assert letter.key == b"7"
        assert lying[letter.partition, letter.offset] == letter.value
