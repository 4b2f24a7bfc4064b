"""The tables that Spark makes of an archive, against the replay in one process, value for value."""

import datetime as dt
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.dataset as ds
import pytest

from contracts.ids import id64
from contracts.settings import Settings
from online_features.archive import read_interactions
from online_features.columns import EventColumns
from online_features.duplicates import SEEN_DTYPE, mark_new
from online_features.erased import erase
from online_features.grouped import PERIOD_S
from online_features.replay import Queries, point_in_time
from placestream.backfill.engine import session
from placestream.backfill.steps import BY_TIME, read_log
from placestream.backfill.tables import PLACE_HOURLY, TABLES, USER_DAILY, Table, write_table
from placestream.erase.in_tables import InTables
from placestream.simulation.checkins import load_checkins
from placestream.simulation.to_archive import write_archive
from tests.placestream.backfill.archives import write_history

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]
pytest.importorskip("pyspark", reason="`.ci/setup.sh test-all` brings Spark")

#: A file of real check-ins.
CHECKINS = os.environ.get("CHECKINS", "")


@pytest.fixture(scope="module")
def spark() -> Iterator["SparkSession"]:
    """The real engine, in this process's Java, its batches cut small."""
    with session(Settings(_env_file=None, spark_master="local[2]")) as made:
        made.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "211")
        yield made


def test_workers_run_the_python_that_started_them(spark: "SparkSession") -> None:
    """Whatever `python3` the PATH names: a command of a .venv is called by its path as well."""
    ran = spark.sparkContext.parallelize([0]).map(lambda _: sys.executable).collect()
    assert ran == [sys.executable]


def backfilled(
    spark: "SparkSession",
    root: Path,
    since_s: float = -np.inf,
    until_s: float = np.inf,
) -> None:
    """Make both tables of the archive under a folder."""
    log = read_log(spark, root / "archive", BY_TIME)
    for table in TABLES:
        write_table(log, table, root / "tables", since_s=since_s, until_s=until_s)


def rows_of(table: Table, root: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids, ends of periods and values, by period and id."""
    found = ds.dataset(table.folder(root / "tables"), partitioning="hive").to_table()
    found = found.sort_by([("at_s", "ascending"), (table.id_column, "ascending")])
    values = np.stack([found[name].to_numpy() for name in table.features.columns], axis=1)
    return found[table.id_column].to_pylist(), found["at_s"].to_numpy(), values


def what_counts(log: EventColumns) -> EventColumns:
    """No duplicates."""
    users, rows = np.unique(log.user, return_inverse=True)
    return log.take(mark_new(np.zeros(len(users), SEEN_DTYPE), rows, log.event_hash))


def assert_equals_the_replay(table: Table, root: Path) -> int:
    """A row for each period with an event that counts, and the replay's value in every column."""
    log = read_interactions(root / "archive")
    ids, at_s, values = rows_of(table, root)
    counted, width_s = what_counts(log), PERIOD_S[table.period]
    who = getattr(counted, table.id_column)
    ends_s = (counted.time_s // width_s + 1) * width_s
    expected = {*zip(ends_s.tolist(), who.tolist(), strict=True)}
    assert list(zip(at_s.tolist(), ids, strict=True)) == sorted(expected)
    hashes = np.array([id64(entity) for entity in ids], np.uint64)
    nobody = np.zeros((len(ids), 0), np.uint64)
    is_user = table is USER_DAILY
    before = np.searchsorted(log.time_s, at_s)
    queries = Queries(before, hashes, nobody) if is_user else Queries(before, hashes * 0, hashes)
    for part, users, places in point_in_time(log, queries):
        read = table.features.read(users if is_user else places, at_s[part])
        np.testing.assert_array_equal(values[part], read)
    return len(ids)


@pytest.mark.parametrize(("seed", "size", "users"), [(1, 3_000, 40), (2, 1_000, 3)])
def test_random_histories(
    spark: "SparkSession", tmp_path: Path, seed: int, size: int, users: int
) -> None:
    """Late, out of order, sent twice, archived twice; and a place with hundreds of events."""
    write_history(tmp_path / "archive", seed, size, users)
    backfilled(spark, tmp_path)
    for table in TABLES:
        assert assert_equals_the_replay(table, tmp_path) > users


def test_an_empty_archive_makes_empty_tables(spark: "SparkSession", tmp_path: Path) -> None:
    """Before the first event: nothing fails, and nothing is made up."""
    backfilled(spark, tmp_path)
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_run_again_changes_nothing_and_a_span_replaces_its_days_alone(
    spark: "SparkSession", tmp_path: Path
) -> None:
    """Though the archive has grown by late events: days outside of the span stay."""
    write_history(tmp_path / "archive", 4, 800, 5)
    backfilled(spark, tmp_path)
    first = {table: rows_of(table, tmp_path) for table in TABLES}
    backfilled(spark, tmp_path)
    for table in TABLES:
        for before, now in zip(first[table], rows_of(table, tmp_path), strict=True):
            np.testing.assert_array_equal(before, now)
    erase(tmp_path / "archive", ["user 2"], 1e12)
    days = np.unique(first[USER_DAILY][1])
    backfilled(spark, tmp_path, since_s=days[3] - 86_400, until_s=days[5])
    for table in TABLES:
        ids, at_s, _ = rows_of(table, tmp_path)
        inside = (at_s > days[3] - 86_400) & (at_s <= days[5])
        assert set(at_s) <= set(first[table][1])
        if table is USER_DAILY:
            gone = np.array(ids) == "user 2"
            assert not (gone & inside).any(), "erased: no row of theirs is written any more"
            assert (gone & ~inside).any()
        else:
            assert inside.any()
    backfilled(spark, tmp_path)
    assert_equals_the_replay(PLACE_HOURLY, tmp_path)


def test_erased_people_are_gone_and_spark_reads_what_is_left(
    spark: "SparkSession", tmp_path: Path
) -> None:
    """Files that an erasure put in the place of some are Spark's as well, and others' rows stay;
    a backfill after it brings nobody back."""
    write_history(tmp_path / "archive", seed=5, size=800, users=7)
    backfilled(spark, tmp_path)
    folder = USER_DAILY.folder(tmp_path / "tables")
    before = spark.read.parquet(str(folder)).count()
    theirs = rows_of(USER_DAILY, tmp_path)[0].count("user 3")
    people = InTables(tmp_path / "tables", ["user 3"])
    done = people.remove()
    assert theirs == sum(file.rows_removed for file in done.rewritten) > 0
    left = spark.read.parquet(str(folder))
    assert left.count() == before - theirs
    assert left.where("user_id = 'user 3'").count() == 0
    erase(tmp_path / "archive", ["user 3"], 1e12)
    backfilled(spark, tmp_path)
    assert people.left() == 0
    assert_equals_the_replay(USER_DAILY, tmp_path)


def test_days_of_nobody_but_the_erased_go(spark: "SparkSession", tmp_path: Path) -> None:
    """All days of the only user; first those of a span, then all."""
    write_history(tmp_path / "archive", 6, 200, 1)
    backfilled(spark, tmp_path)
    users = sorted(USER_DAILY.folder(tmp_path / "tables").glob("day=*"))
    assert len(users) > 4
    erase(tmp_path / "archive", ["user 1"], 1e12)
    third_s = dt.datetime.strptime(users[2].name, "day=%Y-%m-%d").replace(tzinfo=dt.UTC).timestamp()
    backfilled(spark, tmp_path, since_s=third_s, until_s=third_s + 86_400)
    assert [day.exists() for day in users] == [day != users[2] for day in users]
    backfilled(spark, tmp_path)
    assert not list((tmp_path / "tables").rglob("*.parquet")), "nobody is left"


@pytest.mark.skipif(not CHECKINS, reason="CHECKINS names no file of real check-ins")
def test_new_york(spark: "SparkSession", tmp_path: Path) -> None:
    """All check-ins of a real city."""
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "10000")
    written = write_archive(load_checkins(Path(CHECKINS)), tmp_path / "archive")
    backfilled(spark, tmp_path)
    for table in TABLES:
        assert written / 4 < assert_equals_the_replay(table, tmp_path) <= written
