"""The list of the erased: whose events count no more, and how little its file says of them."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import id64
from online_features.archive_schema import INTERACTION_SCHEMA, INTERACTIONS
from online_features.erased import FILE, DamagedList, Erased, erase, followed, writing
from online_features.erased_rows import blank, without_erased

DAY_S = 86_400.0
NOON_S = 1_750_000_000 // DAY_S * DAY_S + DAY_S / 2


def gone(erased: Erased, *events: tuple[str, float]) -> list[bool]:
    """Whether each (user, moment) is erased."""
    users, times = zip(*events, strict=True)
    hashes = np.array([id64(user) for user in users], np.uint64)
    return [bool(is_gone) for is_gone in erased.events(hashes, users, np.array(times))]


def test_what_was_before_is_erased_and_what_comes_later_is_not(tmp_path: Path) -> None:
    """To the moment; other people are not concerned."""
    erased = erase(tmp_path, ["ann", "7"], 100.0)
    assert gone(
        erased, ("ann", 99.0), ("ann", 100.0), ("ann", 100.1), ("bob", 1.0), ("7", 5.0)
    ) == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert [erased.has("ann", 100.0), erased.has("ann", 101.0), erased.has("bob", 1.0)] == [
        True,
        False,
        False,
    ]


def test_with_no_list_nobody_is_erased(tmp_path: Path) -> None:
    """As most installations begin."""
    erased = Erased.read(tmp_path)
    assert not erased
    assert gone(erased, ("ann", 1.0)) == [False]
    assert not erased.has("ann", 1.0)


@given(
    st.lists(st.tuples(st.integers(0, 300), st.floats(0, 200)), max_size=60),
    st.sets(st.integers(0, 300), max_size=10),
)
def test_columns_are_judged_as_each_event_alone(
    events: list[tuple[int, float]], people: set[int]
) -> None:
    """The sieve by 16 bits of the hash lets nobody through that a look at each would stop."""
    salted = Erased("salt", {}, np.zeros(0, np.uint64))
    buckets = np.unique(np.array([id64(str(p)) & 0xFFFF for p in people], np.uint64))
    erased = Erased("salt", {salted.digest(str(p)): 100.0 for p in people}, buckets)
    if events:
        expected = [user in people and at_s <= 100.0 for user, at_s in events]
        assert gone(erased, *((str(user), at_s) for user, at_s in events)) == expected


def test_erased_again_is_erased_later(tmp_path: Path) -> None:
    """Never earlier; the others stay, and so does the salt."""
    first = erase(tmp_path, ["ann", "bob"], 100.0)
    erase(tmp_path, ["ann"], 200.0)
    last = erase(tmp_path, ["ann"], 150.0)
    assert first.salt == last.salt
    assert gone(last, ("ann", 200.0), ("ann", 201.0), ("bob", 100.0), ("bob", 101.0)) == [
        True,
        False,
        True,
        False,
    ]


def test_the_file_does_not_say_who(tmp_path: Path) -> None:
    """Neither the id nor what would be the same on another list."""
    lists = []
    for name in ("one", "other"):
        erase(tmp_path / name, ["somebody"], 100.0)
        lists.append((tmp_path / name / FILE).read_text())
    assert "somebody" not in "".join(lists)
    digests = [json.loads(text)["people"][0]["digest"] for text in lists]
    assert digests[0] != digests[1]
    assert str(id64("somebody")) not in "".join(lists)


@pytest.mark.parametrize("text", ["", "{", '{"salt": 1}', '{"people": []}'])
def test_a_damaged_list_lets_nobody_go_on(tmp_path: Path, text: str) -> None:
    """As if nobody had been erased."""
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DamagedList, match=FILE):
        Erased.read(tmp_path)
    with pytest.raises(DamagedList), writing(tmp_path):
        pass
    with pytest.raises(DamagedList):
        erase(tmp_path, ["ann"], 1.0)
    assert (tmp_path / FILE).read_text() == text


def test_who_follows_the_list_sees_it_at_once(tmp_path: Path) -> None:
    """A batch that begins after somebody was erased goes by it."""
    current = followed(tmp_path)
    assert not current()
    erase(tmp_path, ["ann"], 100.0)
    assert gone(current(), ("ann", 1.0)) == [True]


def test_who_follows_the_list_does_not_go_by_an_older_one(tmp_path: Path) -> None:
    """Somebody is on it whom only the new one names; so nobody goes on until it can be read."""
    current = followed(tmp_path)
    erase(tmp_path, ["ann"], 100.0)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:-9])
    for _ in range(2):
        with pytest.raises(DamagedList):
            current()
    (tmp_path / FILE).write_bytes(whole)
    assert current().has("ann", 1.0)


def rows(*events: tuple[str, float]) -> pa.Table:
    """Interactions of (user, moment), each with something in every column."""
    n = len(events)
    users, times = zip(*events, strict=True)
    columns = {
        "partition": np.arange(n, dtype=np.int32),
        "offset": np.arange(100, 100 + n),
        "received_s": np.array(times) + 1.0,
        "time_s": np.array(times),
        "user_id": list(users),
        "place_id": ["cafe"] * n,
        "user": np.array([id64(user) for user in users], np.uint64),
        "place": np.full(n, 7, np.uint64),
        "kind": np.full(n, 2, np.int8),
        "rating": np.full(n, 4.0, np.float32),
        "age_group": np.full(n, 3, np.int8),
        "event_hash": np.arange(1, n + 1, dtype=np.uint64),
        "lat": np.full(n, 40.7),
        "lng": np.full(n, -74.0),
        "dwell_s": np.full(n, 60.0, np.float32),
        "request_id": ["r"] * n,
        "raw": [b'{"user_id": "ann"}'] * n,
    }
    return pa.table(columns, schema=INTERACTION_SCHEMA)


def test_of_an_erased_row_only_the_position_is_left(tmp_path: Path) -> None:
    """No column that there is, or that somebody adds, keeps what it held; not even the hour."""
    before = rows(("ann", NOON_S))
    after = blank(before).to_pylist()[0]
    kept = {name for name, value in before.to_pylist()[0].items() if after[name] == value}
    assert kept == {"partition", "offset", "received_s"}
    assert after["time_s"] == NOON_S - DAY_S / 2
    assert after["user"] == 0
    assert blank(before).schema == INTERACTION_SCHEMA


def test_what_may_be_written(tmp_path: Path) -> None:
    """Interactions keep positions; of another stream with a `user_id` nothing stays; a stream of
    places is left alone. A late event counts by when it happened, one of a fast clock by when it
    came."""
    erased = erase(tmp_path, ["ann"], NOON_S)
    table = rows(("ann", NOON_S), ("bob", NOON_S), ("ann", NOON_S + 0.5), ("ann", NOON_S - 9e5))
    ahead = table.set_column(3, "time_s", pa.array([NOON_S + 99] * 4))
    assert [r["user_id"] for r in without_erased(INTERACTIONS, table, erased).to_pylist()] == [
        "bob",
        "ann",
        "",
        "",
    ]
    # All say that they happened later; only the last was received before.
    assert without_erased(INTERACTIONS, ahead, erased)["user_id"].to_pylist().count("") == 1
    served = pa.table({"user_id": ["ann", "bob", None], "time_s": [NOON_S] * 3})
    assert without_erased("impressions", served, erased)["user_id"].to_pylist() == ["bob", None]
    timeless = pa.table({"user_id": ["ann", "bob"], "score": [1, 2]})
    assert without_erased("other", timeless, erased)["user_id"].to_pylist() == ["bob"]
    places = pa.table({"key": ["ann"], "time_s": [NOON_S]})
    assert without_erased("place_updates", places, erased) is places
