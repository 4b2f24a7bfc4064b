"""The archive: whole files by day, not many small ones, nothing lost, nothing seen twice."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.ids import id64
from contracts.settings import Settings
from online_features.archive import read_interactions, read_positions
from online_features.archive_schema import CONTEXT, INTERACTION_SCHEMA, INTERACTIONS, RAW_SCHEMA
from online_features.erased import erase
from streams.archive import MAX_FILES, MOST_HELD_BATCHES, Archive

DAY_S = 86_400.0
NOON_S = 1_750_000_000 // DAY_S * DAY_S + DAY_S / 2


class Clock:
    """A clock that a test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """Time at zero."""
    return Clock()


@pytest.fixture
def archive(tmp_path: Path, clock: Clock) -> Archive:
    """Written every 60 seconds or 100 rows."""
    settings = Settings(
        _env_file=None, archive_dir=tmp_path, archive_flush_s=60, archive_flush_rows=100
    )
    return Archive(settings, clock)


def rows(offsets: range, *, partition: int = 0, time_s: float = NOON_S) -> pa.Table:
    """Interactions at some offsets, an hour apart."""
    n = len(offsets)
    columns: dict[str, Any] = {
        "partition": np.full(n, partition, np.int32),
        "offset": np.array(offsets),
        "received_s": np.full(n, time_s),
        "time_s": time_s + 3_600.0 * np.arange(n),
        "user_id": ["u"] * n,
        "place_id": ["p"] * n,
        "user": np.full(n, id64("u"), np.uint64),
        "place": np.ones(n, np.uint64),
        "kind": np.zeros(n, np.int8),
        "rating": np.full(n, np.nan, np.float32),
        "age_group": np.full(n, -1, np.int8),
        "event_hash": np.arange(1, n + 1, dtype=np.uint64),
        "lat": np.full(n, np.nan),
        "lng": np.full(n, np.nan),
        "dwell_s": np.full(n, np.nan, np.float32),
        "request_id": [None] * n,
        "raw": [b"{}"] * n,
    }
    return pa.table(columns, schema=INTERACTION_SCHEMA)


def offsets(archive_dir: Path) -> list[int]:
    """Offsets in the archive, in order of time."""
    return list(read_interactions(archive_dir).offset.tolist())


def files_of(archive_dir: Path) -> list[Path]:
    """All files of an archive."""
    return sorted(archive_dir.rglob("*.parquet"))


async def test_rows_are_durable_only_once_they_are_on_disk(
    archive: Archive, clock: Clock, tmp_path: Path
) -> None:
    """Due by age or by number; who waits is told after the file is there."""
    told: list[int] = []
    archive.append(INTERACTIONS, rows(range(5)), lambda: told.append(len(offsets(tmp_path))))
    due_at_once = archive.due
    assert not due_at_once
    clock.now_s = 60
    assert told == []
    due_now = archive.due
    assert due_now
    await archive.flush()
    assert told == [5]
    assert not archive.due
    archive.append(INTERACTIONS, rows(range(5, 105)), lambda: None)
    assert archive.due


async def test_days_are_folders_and_can_be_asked_for(archive: Archive, tmp_path: Path) -> None:
    """Twenty-four rows from noon on lie in two days; a span reads only what it covers."""
    archive.append(INTERACTIONS, rows(range(24)), lambda: None)
    await archive.flush()
    assert len(list((tmp_path / INTERACTIONS).glob("day=*"))) == 2
    log = read_interactions(tmp_path, since_s=NOON_S + 3_600 * 10, until_s=NOON_S + 3_600 * 14)
    assert log.offset.tolist() == [10, 11, 12, 13]


async def test_what_a_crash_wrote_twice_is_read_once(archive: Archive, tmp_path: Path) -> None:
    """One row for each partition and offset."""
    archive.append(INTERACTIONS, rows(range(6)), lambda: None)
    await archive.flush()
    archive.append(INTERACTIONS, rows(range(3, 9), time_s=NOON_S + 3 * 3_600), lambda: None)
    archive.append(INTERACTIONS, rows(range(3), partition=1), lambda: None)
    await archive.flush()
    log = read_interactions(tmp_path)
    assert sorted(zip(log.partition.tolist(), log.offset.tolist(), strict=True)) == [
        *((0, offset) for offset in range(9)),
        *((1, offset) for offset in range(3)),
    ]


async def test_many_small_files_become_one(archive: Archive, tmp_path: Path) -> None:
    """A day never holds more than a handful of small files, and keeps every row."""
    for i in range(3 * MAX_FILES):
        archive.append(INTERACTIONS, rows(range(i, i + 1)), lambda: None)
        await archive.flush()
    (day,) = (tmp_path / INTERACTIONS).glob("day=*")
    assert len(list(day.glob("*.parquet"))) <= MAX_FILES
    assert not list(day.glob(".*.tmp"))
    assert sorted(offsets(tmp_path)) == list(range(3 * MAX_FILES))


async def test_what_cannot_be_written_waits_and_is_not_durable(
    archive: Archive, tmp_path: Path
) -> None:
    """A full disk loses nothing: the next flush writes all of it, in order."""
    told: list[int] = []
    (tmp_path / INTERACTIONS).touch()  # where a folder should be
    archive.append(INTERACTIONS, rows(range(3)), lambda: told.append(3))
    with pytest.raises(NotADirectoryError):
        await archive.flush()
    archive.append(INTERACTIONS, rows(range(3, 5)), lambda: told.append(5))
    with pytest.raises(NotADirectoryError):
        await archive.flush()
    assert told == []
    (tmp_path / INTERACTIONS).unlink()
    await archive.flush()
    assert told == [3, 5]
    assert sorted(offsets(tmp_path)) == [0, 1, 2, 3, 4]


async def test_streams_do_not_mix(archive: Archive, tmp_path: Path) -> None:
    """Context has a folder and a schema of its own."""
    row = {"partition": 0, "offset": 0, "received_s": NOON_S, "time_s": NOON_S, "raw": b"{}"}
    table = pa.Table.from_pylist([row | {"key": "nyc"}], RAW_SCHEMA)
    archive.append(CONTEXT, table, lambda: None)
    await archive.flush()
    assert (tmp_path / CONTEXT).exists()
    assert len(read_interactions(tmp_path)) == 0


async def test_a_disk_that_does_not_take_it_holds_the_stream_back(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that cannot be written do not pile up without end: nobody goes on until they are."""
    table = rows(range(40))
    monkeypatch.setattr(archive, "_flush_bytes", 2 * table.nbytes / MOST_HELD_BATCHES)
    archive.append(INTERACTIONS, table, lambda: None)
    await asyncio.wait_for(archive.room(), 1)
    archive.append(INTERACTIONS, table, lambda: None)

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(archive, "_write", full)
        with pytest.raises(OSError, match="no space"):
            await archive.flush()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(archive.room(), 0.05)
    await archive.flush()
    await asyncio.wait_for(archive.room(), 1)


async def test_rows_of_the_erased_are_not_written(archive: Archive, tmp_path: Path) -> None:
    """Whoever is erased while rows wait in memory does not come back with them; the positions do,
    so that nobody takes them for missing."""
    archive.append(INTERACTIONS, rows(range(3)), lambda: None)
    erase(tmp_path, ["u"], NOON_S + 3_600)
    archive.append(INTERACTIONS, rows(range(3, 6)), lambda: None)
    archive.append(INTERACTIONS, rows(range(6, 8), time_s=NOON_S + DAY_S), lambda: None)
    await archive.flush()
    assert offsets(tmp_path) == [6, 7]
    assert sorted(read_positions(tmp_path)["offset"].to_pylist()) == list(range(8))
    written = [pq.ParquetFile(file).read() for file in files_of(tmp_path)]
    assert sum(table["raw"].to_pylist().count(b"{}") for table in written) == 2


async def test_whoever_is_erased_waits_for_who_is_writing(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is begun under an older list is there, to be rewritten, when `erase` returns."""
    archive.append(INTERACTIONS, rows(range(3)), lambda: None)
    began = threading.Event()
    write = archive._write_days

    def slow(stream: str, table: pa.Table) -> None:
        began.set()
        time.sleep(0.3)
        write(stream, table)

    monkeypatch.setattr(archive, "_write_days", slow)
    flushed = asyncio.create_task(archive.flush())
    await asyncio.to_thread(began.wait, 10)
    await asyncio.to_thread(erase, tmp_path, ["u"], NOON_S)
    assert len(files_of(tmp_path)) == 1
    await flushed


def test_many_bytes_are_due_at_once(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large events fill memory long before they fill a file's rows."""
    table = rows(range(10))
    monkeypatch.setattr(archive, "_flush_bytes", table.nbytes + 1)
    archive.append(INTERACTIONS, table, lambda: None)
    assert not archive.due
    archive.append(INTERACTIONS, table, lambda: None)
    assert archive.due
