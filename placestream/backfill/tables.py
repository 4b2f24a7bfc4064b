"""The tables of a batch pipeline: users by the day, places by the hour, in Parquet."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from online_features.definitions import PLACE, USER
from online_features.feature_set import FeatureSet
from online_features.grouped import Period, Snapshots
from placestream.backfill.rows import Batches
from placestream.backfill.steps import Fold, Log, mapped


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: its folder, before the version of the definitions.
        features: whose columns it has.
        period: at the end of which a row tells how an entity stood.
    """

    name: str
    features: FeatureSet
    period: Period

    def folder(self, backfill_dir: Path) -> Path:
        """Where it lies: definitions that changed make another table."""
        return backfill_dir / f"{self.name}-{self.features.version}"

    @property
    def id_column(self) -> str:
        """Name of the column of ids."""
        return f"{self.features.entity}_id"

    @property
    def schema(self) -> str:
        """Of Spark: id, end of the period (Unix seconds), the features' columns, day."""
        columns = ", ".join(f"`{name}` float" for name in self.features.columns)
        return f"`{self.id_column}` string, `at_s` double, {columns}, `day` string"


USER_DAILY = Table("user_daily", USER, "day")
PLACE_HOURLY = Table("place_hourly", PLACE, "hour")
TABLES = (USER_DAILY, PLACE_HOURLY)


@dataclass(frozen=True)
class MakeRows:
    """Rows of a table from rows of the log by entity.

    Attributes:
        table: which.
        since_s, until_s: only periods that begin in `[since_s, until_s)`, Unix seconds.
    """

    table: Table
    since_s: float
    until_s: float

    def __call__(self, batches: Batches) -> Batches:
        """Yield batches of the table's schema."""
        for found in Fold(self.table.features, self.table.period)(batches):
            # The last moment of a period lies within its day.
            wanted = (found.at_s > self.since_s) & (found.at_s <= self.until_s)
            if wanted.any():
                yield self._rows(
                    Snapshots(found.ids[wanted], found.at_s[wanted], found.states[wanted])
                )

    def _rows(self, found: Snapshots) -> pa.RecordBatch:
        features = self.table.features
        values = np.ascontiguousarray(features.read(found.states, found.at_s).T)
        days = np.datetime_as_string((found.at_s - 1).astype("datetime64[s]"), unit="D")
        columns = [pa.array(found.ids, pa.string()), pa.array(found.at_s), *map(pa.array, values)]
        names = [self.table.id_column, "at_s", *features.columns, "day"]
        return pa.RecordBatch.from_arrays([*columns, pa.array(days.tolist(), pa.string())], names)


def write_table(
    log: Log, table: Table, backfill_dir: Path, *, since_s: float, until_s: float
) -> int:
    """Write the days of a table in `[since_s, until_s)`; return how many rows it has then.

    Each day is replaced as a whole, or removed if it has no row any more; others are left, so that
    a run again gives the same.

    Args:
        log: by event time.
        table: which.
        backfill_dir: root of the tables.
        since_s, until_s: midnights of UTC, Unix seconds; may be infinite.
    """
    rows = mapped(log.by_entity(table.features), MakeRows(table, since_s, until_s), table.schema)
    folder = table.folder(backfill_dir)
    by_day = rows.repartition(log.tasks, "day").sortWithinPartitions("day", table.id_column, "at_s")
    before = _files(folder)
    by_day.write.mode("overwrite").partitionBy("day").parquet(str(folder))
    # Spark leaves the days of which it has no row, though all of theirs may be erased by now.
    for day, files in _files(folder).items():
        begin_s = datetime.strptime(day.name, "day=%Y-%m-%d").replace(tzinfo=UTC).timestamp()
        if since_s <= begin_s < until_s and files == before.get(day):
            shutil.rmtree(day)
    return int(ds.dataset(folder, partitioning="hive").count_rows())


def _files(folder: Path) -> dict[Path, set[str]]:
    """Names of the files in each day's folder; Spark gives every run's files new ones."""
    return {day: {file.name for file in day.iterdir()} for day in folder.glob("day=*")}
