"""Served answers reach the archive once each, whole, whatever dies meanwhile."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import redis

from contracts.events import DeadLetter, Impression, Location, ServedPlace, encode
from contracts.ids import id64
from contracts.settings import Settings
from contracts.topics import Topics
from online_features.archive import read_columns
from online_features.archive_schema import IMPRESSIONS
from online_features.impressions import ImpressionLog, read_impressions, read_seen
from streams.archive import by_day, merge_files, write_whole
from streams.impressions import decode_impressions
from tests.streams.stream import Sent, offsets, read_topic, send, worker

NOW = datetime.now(UTC).replace(microsecond=250_000)
FEATURES = np.array([[0.1, -2.5, 3.0], [1e-7, 0.0, 60_000.0]], np.float32)
PARTS = np.array([[4.5, 1e-5], [-7.25, 0.0]], np.float32)


def served(number: int, **changes: Any) -> Impression:
    """An answer with two places, a minute after the one of the number before it."""
    places = [
        ServedPlace(f"p{number}", 0, 2.5, 0.25, 1.0, FEATURES[0].tobytes(), PARTS[0].tobytes()),
        ServedPlace("everywhere", 1, 1.5, None, 0.125, FEATURES[1].tobytes(), PARTS[1].tobytes()),
    ]
    answer = Impression(
        request_id=f"r{number}",
        user_id=f"u{number % 7}",
        timestamp=NOW - timedelta(days=2) + timedelta(minutes=number),
        location=Location(40.7, -74.0),
        variant="stable",
        degradation="none",
        models={"candidates": 3, "ranker": 4},
        feature_set="f1",
        places=places,
    )
    return msgspec.structs.replace(answer, **changes)


def bad(field: str, value: Any, *, at: str | None = None) -> bytes:
    """An answer with one field, of itself or of its first place, put to something."""
    document = msgspec.json.decode(encode(served(0)))
    (document if at is None else document[at][0])[field] = value
    return msgspec.json.encode(document)


BAD: list[tuple[bytes, str]] = [
    (b'{"request_id": "r', ""),
    (bad("user_id", ""), "user_id"),
    (bad("request_id", ""), "request_id"),
    (bad("timestamp", (NOW + timedelta(days=9)).isoformat()), "timestamp"),
    (bad("place_id", "x" * 129, at="places"), "places[0].place_id"),
    (bad("propensity", 0, at="places"), "places[0].propensity"),
    (bad("propensity", 1.5, at="places"), "places[0].propensity"),
    (bad("position", 2**31, at="places"), "places[0].position"),
    (bad("models", {"ranker": 2**63}), "models[...]"),
    (bad("features", [1.0, None], at="places"), "places[0].features[1]"),
    (bad("features", [1.0], at="places"), "places"),
    (bad("features", [1.0, 1e39, 1.0], at="places"), "places"),
    (bad("features", "AADAfwAAwH8AAMB/", at="places"), "places"),  # three NaN
    (bad("features", "AAAA", at="places"), "places[0]"),
    (bad("features", "no base64", at="places"), "places[0].features"),
    (bad("parts", "AAAA", at="places"), "places[0]"),
    (bad("parts", "AAAAAA==", at="places"), "places"),
]


def table_of(*values: bytes) -> list[dict[str, Any]]:
    """What the archive gets of some messages, all of them good."""
    stamp = int(NOW.timestamp() * 1_000)
    records: Any = [Sent(1, 40 + i, stamp, b"u", value) for i, value in enumerate(values)]
    decoded = decode_impressions(records)
    assert decoded.bad == []
    rows: list[dict[str, Any]] = decoded.table().to_pylist()
    return rows


def test_a_row_says_all_that_the_answer_said() -> None:
    """Every field under its column, places as parallel lists, features to single precision."""
    (row,) = table_of(encode(served(5)))
    features, parts = row.pop("features"), row.pop("parts")
    assert row == {
        "partition": 1,
        "offset": 40,
        "received_s": int(NOW.timestamp() * 1_000) / 1_000,
        "time_s": (NOW - timedelta(days=2) + timedelta(minutes=5)).timestamp(),
        "request_id": "r5",
        "user_id": "u5",
        "lat": 40.7,
        "lng": -74.0,
        "variant": "stable",
        "degradation": "none",
        "models": [("candidates", 3), ("ranker", 4)],
        "feature_set": "f1",
        "place_ids": ["p5", "everywhere"],
        "positions": [0, 1],
        "scores": [2.5, 1.5],
        "probabilities": [0.25, None],
        "propensities": [1.0, 0.125],
        "raw": None,
    }
    np.testing.assert_array_equal(np.array(features), FEATURES.astype(float))
    np.testing.assert_array_equal(np.array(parts), PARTS.astype(float))


def test_answers_of_older_services_are_read_as_they_were_meant() -> None:
    """Without propensities the order was certain: 1; features may be numbers; parts not there."""
    document = msgspec.json.decode(encode(served(1)))
    for place, features in zip(document["places"], FEATURES.tolist(), strict=True):
        del place["propensity"], place["parts"]
        place["features"] = features
    (row,) = table_of(msgspec.json.encode(document))
    assert row["propensities"] == [1.0, 1.0]
    assert row["parts"] == [[], []]
    np.testing.assert_array_equal(np.array(row["features"]), FEATURES.astype(float))


@pytest.mark.parametrize("at", [None, "places", "location"])
def test_fields_that_nobody_knows_survive_in_the_bytes(at: str | None) -> None:
    """Of the answer, of a place, of its location; of the others no bytes are kept twice."""
    document = msgspec.json.decode(encode(served(1)))
    inner = document if at is None else document[at]
    (inner[0] if at == "places" else inner)["later"] = 'a "later": field'
    values = msgspec.json.encode(document), json.dumps(document, indent=1).encode()
    for value in (*values, values[0].replace(b'"later":', b'"la\\"ter"\n:')):
        known, unknown = table_of(encode(served(2)), value)
        assert (known["raw"], unknown["raw"]) == (None, value)


def test_text_that_looks_like_a_field_is_none() -> None:
    """A request may call itself what it likes; only its bytes are then kept, too."""
    (row,) = table_of(encode(served(1, request_id='"odd": \\"x')))
    assert row["request_id"] == '"odd": \\"x'


def test_an_answer_with_nothing_in_it_is_an_answer() -> None:
    """No place near, or no ranker: still what was served."""
    bare = [ServedPlace("p", 0, 1.0)]
    empty, without = table_of(encode(served(1, places=[])), encode(served(2, places=bare)))
    assert (empty["place_ids"], empty["features"]) == ([], [])
    assert (without["place_ids"], without["features"]) == (["p"], [[]])


def wait_archived(settings: Settings, count: int) -> ImpressionLog:
    """The archive's answers, once there are so many."""
    deadline = time.monotonic() + 60
    while len(log := read_impressions(settings.archive_dir)) < count:
        assert time.monotonic() < deadline, f"{len(log)} of {count} archived"
        time.sleep(0.2)
    return log


def test_every_answer_is_archived_once_after_sigkills(
    settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Killed between files, the worker loses none and doubles none; bad ones become letters."""
    settings = settings.model_copy(update={"stream_session_s": 3})
    good = [served(n) for n in range(400)]
    messages: list[tuple[str | None, bytes | None]] = [(a.user_id, encode(a)) for a in good]
    for i, (value, _) in enumerate(BAD):
        messages.insert(40 * i, ("u0", value))
    with worker(settings, tmp_path / "run") as supervisor:
        for part in np.array_split(np.arange(len(messages)), 3):
            send(settings, topics.impressions.name, [messages[i] for i in part])
            aim = int(part[0] + len(part) // 2)
            while offsets(redis_client, settings, "s") < aim:
                time.sleep(0.005)
            if part[-1] < len(messages) - 1:
                supervisor.kill_role("stream")
                supervisor.start("stream")
        log = wait_archived(settings, len(good))
    assert log.request_id.tolist() == [answer.request_id for answer in good]
    assert log.time_s.tolist() == [answer.timestamp.timestamp() for answer in good]
    assert log.user.tolist() == [id64(answer.user_id) for answer in good]
    assert log.whole.all()
    assert set(log.ranker.tolist()) == {4}
    shown = [id64(place.place_id) for answer in good for place in answer.places]
    assert log.place.tolist() == shown
    assert log.propensity.tolist() == [1.0, 0.125] * len(good)
    letters = {
        letter.value: letter.field
        for m in read_topic(settings, topics.dlq(topics.impressions).name)
        for letter in [msgspec.json.decode(m.value or b"", type=DeadLetter)]
    }
    assert letters == dict(BAD)
    some = log.take(np.array([399, 3, 17]))
    assert some.request_id.tolist() == ["r399", "r3", "r17"]
    seen = read_seen(settings.archive_dir, some, {"features": 3, "parts": 2})
    np.testing.assert_array_equal(seen["features"], np.tile(FEATURES, (3, 1)))
    np.testing.assert_array_equal(seen["parts"], np.tile(PARTS, (3, 1)))
    assert np.isnan(read_seen(settings.archive_dir, some, {"features": 4})["features"]).all()
    days = {path.name for path in (settings.archive_dir / IMPRESSIONS).iterdir()}
    assert days == {f"day={answer.timestamp:%Y-%m-%d}" for answer in good}
    rows = read_columns(settings.archive_dir, IMPRESSIONS, ["partition", "offset"])
    assert len(rows) == len(good)


def test_an_archive_without_answers_has_none(tmp_path: Path) -> None:
    """An installation that has served nothing yet can be trained on."""
    log = read_impressions(tmp_path)
    assert (len(log), log.first.tolist(), len(log.place)) == (0, [0], 0)
    assert read_seen(tmp_path, log, {"parts": 3})["parts"].shape == (0, 3)


def test_files_of_earlier_services_are_read_and_merged_with_new_ones(tmp_path: Path) -> None:
    """They have no column of parts: nothing is known of those, and the features are there."""
    records: Any = [Sent(0, i, 4_000_000_000_000, b"", encode(served(i))) for i in range(2)]
    rows = decode_impressions(records).table()
    ((_, folder),) = by_day(rows, tmp_path / IMPRESSIONS)
    write_whole(rows.slice(0, 1).drop_columns("parts"), folder)
    write_whole(rows.slice(1, 1), folder)
    for _ in range(2):
        log = read_impressions(tmp_path)
        seen = read_seen(tmp_path, log, {"features": 3, "parts": 2})
        np.testing.assert_array_equal(seen["features"], np.tile(FEATURES, (2, 1)))
        assert np.isnan(seen["parts"][:2]).all()
        np.testing.assert_array_equal(seen["parts"][2:], PARTS)
        merge_files(folder)
    assert len(list(folder.glob("*.parquet"))) == 1
