"""Reading the archive: what was written in several files, as columns."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from contracts.ids import id64
from online_features.archive import _Rising, read_columns, read_interactions
from online_features.archive_schema import INTERACTION_SCHEMA, INTERACTIONS
from streams.archive import by_day, write_whole


def _rows(first: int, users: list[str], request_ids: list[str | None]) -> pa.Table:
    """Interactions with rising offsets, one an hour."""
    count = len(users)
    offset = first + np.arange(count)
    columns = {
        "offset": offset,
        "time_s": 1.7e9 + 3_600.0 * offset,
        "user": [id64(user) for user in users],
        "user_id": users,
        "place_id": ["p"] * count,
        "request_id": request_ids,
        "raw": [b"{}"] * count,
    }
    full = {
        field.name: columns.get(field.name, np.zeros(count, field.type.to_pandas_dtype()))
        for field in INTERACTION_SCHEMA
    }
    return pa.table(full, schema=INTERACTION_SCHEMA)


def test_texts_are_shared_between_rows_and_files(tmp_path: Path) -> None:
    """A log of millions of rows names few users; what is absent stays so."""
    for table in (
        _rows(0, ["a", "b", "a"], [None, None, None]),
        _rows(3, ["c", "a"], ["r", None]),
    ):
        for part, folder in by_day(table, tmp_path / INTERACTIONS):
            write_whole(part, folder)
    log = read_interactions(tmp_path)
    assert log.user_id.tolist() == ["a", "b", "a", "c", "a"]
    assert log.request_id.tolist() == [None, None, None, "r", None]
    assert len({id(text) for text in log.user_id if text == "a"}) == 1


def test_days_are_read_one_by_one_into_one_order(tmp_path: Path) -> None:
    """As if all had been read and sorted at once; a row that lies in two files counts once."""
    rng = np.random.default_rng(3)
    names = [f"u{i}" for i in range(90)]
    table = _rows(0, names, [None] * 90)
    for at in (rng.permutation(90), np.arange(20, 60)):
        for part, folder in by_day(table.take(pa.array(at)), tmp_path / INTERACTIONS):
            write_whole(part, folder)
    assert len(list((tmp_path / INTERACTIONS).iterdir())) > 3
    log = read_interactions(tmp_path)
    assert log.user_id.tolist() == names
    assert log.offset.tolist() == list(range(90))
    some = read_interactions(tmp_path, float(log.time_s[30]), float(log.time_s[70]))
    assert some.offset.tolist() == list(range(30, 70))


def test_one_day_can_be_read_alone(tmp_path: Path) -> None:
    """By the name of its folder."""
    for part, folder in by_day(_rows(0, ["a"] * 40, [None] * 40), tmp_path / INTERACTIONS):
        write_whole(part, folder)
    days = sorted(
        folder.name.removeprefix("day=") for folder in (tmp_path / INTERACTIONS).iterdir()
    )
    columns = ["partition", "offset", "day"]
    found = [read_columns(tmp_path, INTERACTIONS, columns, day=day) for day in days]
    assert sum(table.num_rows for table in found) == 40
    assert [set(table["day"].to_pylist()) for table in found] == [{day} for day in days]


def test_columns_grow_beyond_what_was_expected() -> None:
    """A worker may write a file after the rows were counted."""
    held = _Rising(3, np.empty)
    for start, stop in ((0, 2), (2, 5), (5, 6)):
        held.append({"n": np.arange(start, stop), "text": np.full(stop - start, "x", object)})
    assert held.columns["n"].tolist() == [0, 1, 2, 3, 4, 5]
    assert held.columns["text"].tolist() == ["x"] * 6


def test_nothing_archived_is_a_log_without_rows(tmp_path: Path) -> None:
    """As on the first start."""
    log = read_interactions(tmp_path)
    assert len(log) == 0
    assert log.user_id.dtype == log.request_id.dtype == object
