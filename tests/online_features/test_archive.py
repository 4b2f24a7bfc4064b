"""Reading the archive: what was written in several files, as columns."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from contracts.ids import id64
from online_features.archive import INTERACTION_SCHEMA, INTERACTIONS, read_interactions
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


def test_nothing_archived_is_a_log_without_rows(tmp_path: Path) -> None:
    """As on the first start."""
    log = read_interactions(tmp_path)
    assert len(log) == 0
    assert log.user_id.dtype == log.request_id.dtype == object
