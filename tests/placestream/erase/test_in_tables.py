"""People removed from the tables of a backfill: real files, as Spark names and lays them out."""

import hashlib
import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.ids import as_int64, id64
from placestream.backfill.one_writer import BeingWritten, writer
from placestream.backfill.tables import PLACE_HOURLY, USER_DAILY
from placestream.erase.in_tables import InTables

MIDNIGHT_S = 1_750_032_000.0


def part(folder: Path, number: int, table: pa.Table) -> Path:
    """A file as a task of Spark leaves it, with Hadoop's checksum beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"part-{number:05d}-a1b2.c000.snappy.parquet"
    pq.write_table(table, file)
    file.with_name(f".{file.name}.crc").write_bytes(b"crc\0")
    return file


def daily(*users: str) -> pa.Table:
    """Some users at the end of a day."""
    n = len(users)
    return pa.table(
        {
            "user_id": list(users),
            "at_s": np.full(n, MIDNIGHT_S),
            "visits": np.arange(n, dtype="f4"),
        }
    )


def sets(*users: str) -> pa.Table:
    """Choice sets of some users: whose they are says a hash, signed as Spark has it."""
    hashes = np.array([id64(user) for user in users], np.uint64)
    return pa.table({"number": np.arange(len(users)), "user": as_int64(hashes)})


def rows(root: Path) -> list[dict[str, Any]]:
    """All rows of all files."""
    return [
        row
        for file in sorted(root.rglob("*.parquet"))
        for row in pq.ParquetFile(file).read().to_pylist()
    ]


def test_their_rows_go_from_every_version_of_every_table(tmp_path: Path) -> None:
    """By id and by hash, whatever the version; the proof names each file with its checksums."""
    now = USER_DAILY.folder(tmp_path)
    mixed = part(now / "day=2025-06-15", 0, daily("ann", "bob", "42"))
    alone = part(now / "day=2025-06-14", 0, daily("ann"))
    older = part(tmp_path / "user_daily-0ld" / "day=2025-06-15", 1, daily("bob", "ann"))
    drawn = part(tmp_path / "choice_sets-1a2b" / "day=2025-06-15", 0, sets("bob", "ann", "ann"))
    others = part(now / "day=2025-06-13", 0, daily("bob"))
    places = part(
        PLACE_HOURLY.folder(tmp_path) / "day=2025-06-15", 0, pa.table({"place_id": ["ann"]})
    )
    digest = hashlib.sha256(mixed.read_bytes()).hexdigest()
    tables = InTables(tmp_path, ["ann"])
    done = tables.remove()
    assert tables.left() == 0
    assert not any(file.exists() for file in (mixed, alone, older, drawn))
    assert others.exists()
    assert places.exists()
    left = [row["user_id"] for row in rows(now)]
    assert sorted(left) == ["42", "bob", "bob"]
    assert [row["user"] for row in rows(tmp_path / "choice_sets-1a2b")] == [
        sets("bob")["user"][0].as_py()
    ]
    removed = {file.before: file.rows_removed for file in done.rewritten}
    assert removed == {
        str(file.relative_to(tmp_path)): count
        for file, count in ((mixed, 1), (alone, 1), (older, 1), (drawn, 2))
    }
    by_name = {file.before: file for file in done.rewritten}
    changed = by_name[str(mixed.relative_to(tmp_path))]
    after = (tmp_path / changed.after).read_bytes()
    assert (changed.sha256_before, changed.sha256_after) == (
        digest,
        hashlib.sha256(after).hexdigest(),
    )
    assert by_name[str(alone.relative_to(tmp_path))].after == ""
    assert done.files_looked_at == {
        now.name: 3,
        "user_daily-0ld": 1,
        "choice_sets-1a2b": 1,
        PLACE_HOURLY.folder(tmp_path).name: 1,
    }


def test_a_checksum_without_its_file_does_not_stay(tmp_path: Path) -> None:
    """Hadoop's checksum of a file that held them goes with it; those of others stay."""
    mixed = part(tmp_path / "user_daily-1" / "day=2025-06-15", 0, daily("ann", "bob"))
    others = part(tmp_path / "user_daily-1" / "day=2025-06-15", 1, daily("bob"))
    InTables(tmp_path, ["ann"]).remove()
    left = {file.name for file in tmp_path.rglob("*.crc")}
    assert left == {f".{others.name}.crc"}
    assert f".{mixed.name}.crc" not in left


def test_what_a_crashed_backfill_left_goes(tmp_path: Path) -> None:
    """Spark's staging folders and half-written files: no reader sees them, but they hold people."""
    table = tmp_path / "user_daily-1"
    staging = table / ".spark-staging-77" / "day=2025-06-15"
    part(staging, 0, daily("ann"))
    half = table / "_temporary" / "0" / "part-00000.snappy.parquet"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"PAR1 half of ann")
    whole = part(table / "day=2025-06-15", 0, daily("bob"))
    (whole.parent / ".0123.tmp").write_bytes(b"PAR1")
    done = InTables(tmp_path, ["ann"]).remove()
    assert done.leftovers_removed == 4  # with the checksum of the staged file
    assert whole.exists()
    assert {path.name for path in table.iterdir()} == {"day=2025-06-15"}
    assert not list(whole.parent.glob(".*.tmp"))


def test_twice_is_as_once_and_no_folder_holds_nobody(tmp_path: Path) -> None:
    """The second time there is nothing to do; where no backfill ran, nothing is made."""
    part(tmp_path / "user_daily-1" / "day=2025-06-15", 0, daily("ann", "bob"))
    tables = InTables(tmp_path, ["ann"])
    tables.remove()
    before = sorted(tmp_path.rglob("*.parquet"))
    assert tables.remove().rewritten == []
    assert sorted(tmp_path.rglob("*.parquet")) == before
    none = InTables(tmp_path / "none", ["ann"])
    with none.alone():
        assert (none.remove().files_looked_at, none.left()) == ({}, 0)
    assert not (tmp_path / "none").exists()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """Nobody knows who is in it, so it is not passed over."""
    file = tmp_path / "user_daily-1" / "day=2025-06-15" / "part-0.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"PAR1 half")
    with pytest.raises(ValueError, match=r"part-0\.parquet is no whole Parquet file"):
        InTables(tmp_path, ["ann"]).remove()


def _hold(folder: Path, held: Event, go: Event) -> None:
    with writer(folder):
        held.set()
        go.wait(60)


def test_beside_a_backfill_it_does_not_go_on(tmp_path: Path) -> None:
    """A backfill that began before would bring them back; a killed one is in nobody's way."""
    file = part(tmp_path / "user_daily-1" / "day=2025-06-15", 0, daily("ann"))
    spawned = multiprocessing.get_context("spawn")
    held, go = spawned.Event(), spawned.Event()
    backfill = spawned.Process(target=_hold, args=(tmp_path, held, go))
    backfill.start()
    try:
        assert held.wait(60)
        tables = InTables(tmp_path, ["ann"])
        with pytest.raises(BeingWritten, match="run this again when it has ended"), tables.alone():
            pass
        assert file.exists()
    finally:
        backfill.kill()
        backfill.join()
    with tables.alone():
        assert tables.remove().rewritten
