"""Places and context: partial updates merge, the newer wins, a tombstone closes."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from confluent_kafka import Producer

from contracts.events import MAX_PLACE_BYTES, DeadLetter, PlaceDocument
from contracts.ids import partition_of
from contracts.kafka import producer_config
from contracts.settings import Settings
from contracts.topics import Topics
from online_features.archive import read_catalogue, read_context
from online_features.catalogue import OPEN, Catalogue
from online_features.catalogue_feed import CatalogueFeed
from online_features.keys import Keys
from tests.streams.stream import offsets, read_topic, send, worker

PLACE: dict[str, Any] = {
    "name": "Trattoria",
    "category": "restaurant",
    "location": {"lat": 40.7, "lng": -74.0},
    "price_level": 2,
    "time_zone": "America/New_York",
    "business_hours": {"mon": ["00:00-24:00"], "tue": ["18:00-02:00"]},
    "attributes": {"wifi": True, "terrace": False},
    "unknown_to_us": [1, 2],
}


def update(place_id: int | str, **updates: Any) -> tuple[str, bytes]:
    """A message of the place updates."""
    return str(place_id), msgspec.json.encode({"place_id": place_id, "updates": updates})


@pytest.fixture
def running(settings: Settings, topics: Topics, tmp_path: Path) -> Any:
    """A worker at work."""
    with worker(settings, tmp_path / "run"):
        yield


def wait_offsets(client: redis.Redis, settings: Settings, kind: Any, sent: int) -> None:
    """Wait until all messages of a metadata topic are in the store."""
    deadline = time.monotonic() + 60
    while offsets(client, settings, kind) < sent:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_partial_updates_merge_and_reach_the_catalogue(
    running: None, settings: Settings, topics: Topics, redis_client: redis.Redis
) -> None:
    """What a service reads from the compacted topic is the whole place, unknown fields too."""
    catalogue = Catalogue()
    feed = CatalogueFeed(settings, catalogue)
    feed.start()
    try:
        assert feed.wait_loaded(30)
        messages: list[tuple[str | None, bytes | None]] = [
            update(1, **PLACE),
            update(1, price_level=3, attributes={"terrace": True, "wifi": None}),
            update("two", name="Two", location={"lat": 40.71, "lng": -74.0}),
            update("gone", name="Gone", location={"lat": 40.7, "lng": -74.0}),
            ("gone", None),
        ]
        send(settings, topics.place_updates.name, messages)
        wait_offsets(redis_client, settings, "d", len(messages))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            gone = catalogue.row_of("gone")
            if len(catalogue) == 3 and catalogue.closed[gone]:
                break
            time.sleep(0.02)
        rows, metres = catalogue.near(40.7, -74.0, 5_000, 10)
    finally:
        feed.close()
    assert [catalogue.ids[row] for row in rows] == ["1", "two"]
    assert metres[1] == pytest.approx(1_112, abs=1)  # a hundredth of a degree of latitude
    assert catalogue.price[catalogue.row_of("1")] == 3
    monday_noon = 1_763_985_600.0  # 2025-11-24 12:00 UTC
    assert catalogue.open_state(rows[:1], monday_noon).tolist() == [OPEN]
    stored: Any = redis_client.get(Keys.of(settings).entity("d", "1"))
    document = msgspec.json.decode(stored)
    assert document["attributes"] == {"terrace": True}
    assert document["unknown_to_us"] == [1, 2]
    published = read_topic(settings, topics.places.name)
    assert {m.key: m.value for m in published}[b"gone"] is None
    deadline = time.monotonic() + 10
    expected = [("1", False), ("gone", True), ("two", False)]  # closed, and still known
    while (found := _with_closed(settings)) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found == expected


def _with_closed(settings: Settings) -> list[tuple[str, bool]]:
    """Places of the archive by id, and whether each is closed."""
    catalogue = read_catalogue(settings.archive_dir)
    return sorted(zip(catalogue.ids, catalogue.closed.tolist(), strict=True))


def test_older_updates_and_measurements_change_nothing(
    running: None, settings: Settings, topics: Topics, redis_client: redis.Redis
) -> None:
    """Out of order is the normal case: the newest statement stands."""

    def named(name: str, stamp: str) -> tuple[str, bytes]:
        body = {"place_id": 1, "timestamp": stamp, "updates": {"name": name}}
        return "1", msgspec.json.encode(body)

    def measured(temp: float, stamp: str) -> tuple[str, bytes]:
        return "nyc", msgspec.json.encode({"timestamp": stamp, "weather": {"temp": temp}})

    new, old = "2025-06-02T00:00:00Z", "2025-06-01T00:00:00Z"
    send(settings, topics.place_updates.name, [named("new", new), named("old", old)])
    send(settings, topics.context.name, [measured(20, new), measured(10, old)])
    wait_offsets(redis_client, settings, "d", 2)
    wait_offsets(redis_client, settings, "c", 2)
    place: Any = redis_client.get(Keys.of(settings).entity("d", "1"))
    assert msgspec.json.decode(place, type=PlaceDocument).name == "new"
    context: Any = redis_client.get(Keys.of(settings).entity("c", "nyc"))
    assert msgspec.json.decode(context)["temp"] == 20
    deadline = time.monotonic() + 10
    while "nyc" not in read_context(settings.archive_dir).regions and time.monotonic() < deadline:
        time.sleep(0.2)
    assert read_context(settings.archive_dir).regions == ("nyc",)


def test_a_stray_record_does_not_wipe_the_place(
    running: None, settings: Settings, topics: Topics, redis_client: redis.Redis
) -> None:
    """A key in a foreign partition is bad; the good update beside it keeps what was known."""
    send(settings, topics.place_updates.name, [update("stray", **PLACE)])
    wait_offsets(redis_client, settings, "d", 1)
    own = partition_of("stray", settings.partitions)
    key, body = update("stray", price_level=4)
    producer = Producer(producer_config(settings))
    producer.produce(
        topics.place_updates.name, body, key, partition=(own + 1) % settings.partitions
    )
    producer.produce(topics.place_updates.name, body, key, partition=own)
    assert producer.flush(10) == 0
    wait_offsets(redis_client, settings, "d", 3)
    stored: Any = redis_client.get(Keys.of(settings).entity("d", "stray"))
    assert msgspec.json.decode(stored)["name"] == "Trattoria"
    assert msgspec.json.decode(stored)["price_level"] == 4


def test_bad_metadata_goes_to_its_dead_letters(
    running: None, settings: Settings, topics: Topics, redis_client: redis.Redis
) -> None:
    """Each names its field, and the good update among them counts."""
    bad = {
        "updates.location.lat": update(1, location={"lat": 95, "lng": 0}),
        "updates.price_level": update(1, price_level=9),
        "updates.time_zone": update(1, time_zone="Mars/Olympus"),
        "updates.business_hours.mon": update(1, business_hours={"mon": ["9-5"]}),
        "updates.business_hours.someday": update(1, business_hours={"someday": []}),
        "updates.version": update(1, version=3),
        "place_id": ("1", msgspec.json.encode({"place_id": 2, "updates": {}})),
        "updates": ("1", msgspec.json.encode({"place_id": 1})),
        "key": (None, msgspec.json.encode({"place_id": 1, "updates": {}})),
    }
    send(settings, topics.place_updates.name, [*bad.values(), update(1, name="fine")])
    wait_offsets(redis_client, settings, "d", len(bad) + 1)
    letters = [
        msgspec.json.decode(m.value or b"", type=DeadLetter)
        for m in read_topic(settings, topics.dlq(topics.place_updates).name)
    ]
    assert sorted(letter.field for letter in letters) == sorted(bad)
    stored: Any = redis_client.get(Keys.of(settings).entity("d", "1"))
    assert msgspec.json.decode(stored)["name"] == "fine"


def test_a_place_that_grows_too_large_is_refused_and_holds_nobody_up(
    running: None, settings: Settings, topics: Topics, redis_client: redis.Redis
) -> None:
    """Each update is small enough for Kafka, the whole would not be: a worker that had to publish
    it could never go on. What comes after it counts."""
    half = {"x" * 40: "y" * (MAX_PLACE_BYTES // 2)}
    updates = [
        update("grown", name="before", **half),
        update("grown", **{f"{name}2": text for name, text in half.items()}),
        update("grown", attributes={str(i): i for i in range(300)}),
        update("grown", attributes={str(-i - 1): i for i in range(300)}),
        update("grown", name="after"),
    ]
    send(settings, topics.place_updates.name, updates)
    wait_offsets(redis_client, settings, "d", len(updates))
    stored: Any = redis_client.get(Keys.of(settings).entity("d", "grown"))
    assert len(stored) <= MAX_PLACE_BYTES
    place = msgspec.json.decode(stored, type=PlaceDocument)
    assert place.name == "after"
    assert place.attributes == {str(i): i for i in range(300)}
    letters = [
        msgspec.json.decode(sent.value or b"", type=DeadLetter)
        for sent in read_topic(settings, topics.dlq(topics.place_updates).name)
    ]
    assert [letter.field for letter in letters] == ["updates", "attributes"]
