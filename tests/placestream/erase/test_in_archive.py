"""People removed from a real archive, beside workers that write and merge."""

import asyncio
import hashlib
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.ids import id64
from contracts.settings import Settings
from online_features.archive import read_interactions, read_positions
from online_features.archive_schema import INTERACTIONS
from online_features.erased import erase
from placestream.erase.in_archive import InArchive
from streams.archive import MAX_FILES, Archive, write_whole
from tests.inference.waiting import eventually
from tests.online_features.test_erased import DAY_S, NOON_S, rows

PEOPLE = ["ann", "bob", "42"]


def write(root: Path, stream: str, table: pa.Table, day: str = "2025-06-15") -> Path:
    """One more file of a stream."""
    folder = root / stream / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    return write_whole(table, folder)


def everything(root: Path) -> list[dict[str, Any]]:
    """All rows of all files, as they are."""
    files = sorted(root.rglob("*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def test_their_rows_go_from_every_file_and_nobody_elses(tmp_path: Path) -> None:
    """Files without them are not touched; the proof has the checksums of those that were."""
    mixed = write(tmp_path, INTERACTIONS, rows(("ann", NOON_S), ("bob", NOON_S), ("ann", NOON_S)))
    alone = write(tmp_path, INTERACTIONS, rows(("ann", NOON_S - DAY_S)), "2025-06-14")
    others = write(tmp_path, INTERACTIONS, rows(("bob", NOON_S), ("42", NOON_S)))
    digest = hashlib.sha256(mixed.read_bytes()).hexdigest()
    done = InArchive(tmp_path, ["ann"], NOON_S).remove()
    assert not mixed.exists()
    assert not alone.exists()
    assert others.exists()
    assert done.files_looked_at == {INTERACTIONS: 3}
    assert [(f.rows_before, f.rows_removed) for f in done.rewritten] == [(1, 1), (3, 2)]
    assert done.rewritten[1].sha256_before == digest
    for file in done.rewritten:
        assert hashlib.sha256((tmp_path / file.after).read_bytes()).hexdigest() == file.sha256_after
    users = sorted(row["user_id"] for row in everything(tmp_path))
    assert users == ["", "", "", "42", "bob", "bob"]
    assert b"ann" not in b"".join(row["raw"] for row in everything(tmp_path) if not row["user_id"])
    assert InArchive(tmp_path, ["ann"], NOON_S).left() == (0, 0)


def test_twice_is_as_once(tmp_path: Path) -> None:
    """The second time there is nothing to do."""
    write(tmp_path, INTERACTIONS, rows(("ann", NOON_S), ("bob", NOON_S)))
    InArchive(tmp_path, ["ann"], NOON_S).remove()
    before = sorted(tmp_path.rglob("*.parquet"))
    assert InArchive(tmp_path, ["ann"], NOON_S).remove().rewritten == []
    assert sorted(tmp_path.rglob("*.parquet")) == before


def test_what_they_did_later_stays(tmp_path: Path) -> None:
    """They came back: new consent, new person."""
    write(tmp_path, INTERACTIONS, rows(("ann", NOON_S), ("ann", NOON_S + 1)))
    archive = InArchive(tmp_path, ["ann"], NOON_S)
    archive.remove()
    assert archive.left() == (0, 1)


@pytest.mark.parametrize("column", ["user_id", "user"])
def test_every_stream_that_says_whose_a_row_is(tmp_path: Path, column: str) -> None:
    """By id or by its hash; their rows go whole, and a file of theirs alone goes too."""
    name = {"user_id": lambda u: u, "user": id64}[column]
    kind = {"user_id": pa.string(), "user": pa.uint64()}[column]

    def served(*users: str) -> pa.Table:
        column_of = pa.array([name(user) for user in users], kind)
        times = pa.array([NOON_S] * len(users))
        return pa.table({column: column_of, "time_s": times, "answer": list(users)})

    write(tmp_path, "impressions", served("ann", "bob"))
    write(tmp_path, "impressions", served("ann"))
    places = write(tmp_path, "place_updates", pa.table({"key": ["ann"], "time_s": [NOON_S]}))
    done = InArchive(tmp_path, ["ann"], NOON_S).remove()
    assert sorted(bool(file.after) for file in done.rewritten) == [False, True]
    impressions = everything(tmp_path / "impressions")
    assert [row["answer"] for row in impressions] == ["bob"]
    assert places.exists()


def test_whole_numbers_are_ids_too(tmp_path: Path) -> None:
    """A stream may keep them as integers."""
    table = pa.table({"user_id": pa.array([42, 43], pa.int64()), "time_s": [NOON_S] * 2})
    write(tmp_path, "impressions", table)
    InArchive(tmp_path, ["42"], NOON_S).remove()
    assert [row["user_id"] for row in everything(tmp_path)] == [43]


def test_half_written_files_of_crashed_writers_go(tmp_path: Path) -> None:
    """No reader sees them, but they hold people."""
    file = write(tmp_path, INTERACTIONS, rows(("bob", NOON_S)))
    (file.parent / ".0123.tmp").write_bytes(b"PAR1 half of ann")
    assert InArchive(tmp_path, ["ann"], NOON_S).remove().leftovers_removed == 1
    assert not list(file.parent.glob(".*.tmp"))
    assert file.exists()


def test_a_day_of_which_only_half_a_file_is_there_is_looked_at(tmp_path: Path) -> None:
    """Its writer crashed over the first one."""
    day = tmp_path / INTERACTIONS / "day=2025-06-15"
    day.mkdir(parents=True)
    (day / ".0123.tmp").write_bytes(b"PAR1 half of ann")
    assert InArchive(tmp_path, ["ann"], NOON_S).remove().leftovers_removed == 1
    assert not list(day.glob(".*.tmp"))


def test_where_it_breaks_off_what_was_done_is_known(tmp_path: Path) -> None:
    """A damaged file ends it; what was rewritten before stands in the proof."""
    write(tmp_path, INTERACTIONS, rows(("ann", NOON_S - DAY_S)), "2025-06-14")
    day = tmp_path / INTERACTIONS / "day=2025-06-15"
    day.mkdir()
    (day / "damaged.parquet").write_bytes(b"PAR1 half")
    archive = InArchive(tmp_path, ["ann"], NOON_S)
    with pytest.raises(ValueError, match="no whole Parquet file"):
        archive.remove()
    assert [file.rows_removed for file in archive.removed.rewritten] == [1]
    assert archive.removed.files_looked_at == {INTERACTIONS: 2}


def test_an_archive_that_is_not_there_holds_nobody(tmp_path: Path) -> None:
    """Nothing to do, and nothing is made."""
    archive = InArchive(tmp_path / "none", ["ann"], NOON_S)
    assert archive.remove().files_looked_at == {}
    assert archive.left() == (0, 0)
    assert not (tmp_path / "none").exists()


def test_columns_that_a_file_has_from_before_are_kept(tmp_path: Path) -> None:
    """An older archive has fewer columns; it is not made to look newer."""
    older = rows(("ann", NOON_S), ("bob", NOON_S)).drop_columns(["dwell_s", "request_id"])
    write(tmp_path, INTERACTIONS, older)
    InArchive(tmp_path, ["ann"], NOON_S).remove()
    (file,) = tmp_path.rglob("*.parquet")
    assert pq.read_schema(file).names == older.schema.names


async def test_beside_a_worker_that_writes_and_merges(tmp_path: Path) -> None:
    """Hundreds of small files, merged all the time: nobody's rows are lost, theirs are all gone,
    though they wait in the writer's memory when it begins."""
    settings = Settings(_env_file=None, archive_dir=tmp_path, archive_flush_s=60)
    archive = Archive(settings, time.monotonic)
    erased_s = NOON_S + DAY_S
    stop, written = asyncio.Event(), 0

    async def work() -> None:
        nonlocal written
        while not stop.is_set() or written < 12 * MAX_FILES:
            table = rows(*((user, NOON_S) for user in PEOPLE))
            offset = pa.array([written * len(PEOPLE) + i for i in range(len(PEOPLE))])
            archive.append(INTERACTIONS, table.set_column(1, "offset", offset), lambda: None)
            written += 1
            await archive.flush()

    working = asyncio.create_task(work())
    await eventually(lambda: written >= 4 * MAX_FILES)
    erase(tmp_path, ["ann"], erased_s)
    people = InArchive(tmp_path, ["ann"], erased_s)
    done = await asyncio.to_thread(people.remove)
    assert done.rewritten
    stop.set()
    await working
    assert people.left() == (0, 0)
    log = read_interactions(tmp_path)
    assert sorted(log.user_id.tolist()) == sorted(["bob", "42"] * written)
    assert read_positions(tmp_path).num_rows == len(PEOPLE) * written
