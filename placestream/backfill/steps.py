"""The steps of a backfill as Spark runs them: read, count once, group by entity, fold.

Nothing is folded here. Spark reads, partitions and sorts (spilling to disk what does not fit);
`online_features.grouped` folds what it hands over, batch by batch, by the definitions. A task holds
a batch and one carried state, however many events an entity has, so that a place that everybody
visits costs time, not memory.

What counts is decided by user, in the order of the log, and what counts is then grouped by place:
as in the stream.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from online_features.archive_schema import INTERACTIONS
from online_features.erased import Erased
from online_features.feature_set import FeatureSet
from online_features.grouped import GroupedDuplicates, GroupedFold, Period, Snapshots
from placestream.backfill.engine import tasks
from placestream.backfill.rows import SCHEMA, Batches, ReadFiles, events_of, ids, position

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Task = Callable[[Batches], Batches]
#: Orders of a log. By event time: as training replays it. By arrival: as the stream folded it.
BY_TIME, BY_ARRIVAL = ("time_s", "partition", "offset"), ("partition", "offset")


def mapped(frame: "DataFrame", task: Task, schema: str) -> "DataFrame":
    """What a task makes of each partition."""
    return frame.mapInArrow(lambda batches: task(batches), schema)


@dataclass(frozen=True)
class Log:
    """What counts of the archive: rows of `COLUMNS`, by user, in one order of the log.

    Attributes:
        rows: computed once, then read from Spark's disk.
        order: of the rows of a user.
        tasks: into how many a step is cut.
    """

    rows: "DataFrame"
    order: tuple[str, ...]
    tasks: int

    def by_entity(self, features: FeatureSet) -> "DataFrame":
        """Those of one user, or place, beside each other, in order."""
        if features.entity == "user":
            return self.rows
        return _grouped(self.rows, features.entity, self.order, self.tasks)


def read_log(
    spark: "SparkSession",
    archive_dir: Path,
    order: tuple[str, ...],
    ends: tuple[int, ...] | None = None,
) -> Log:
    """What counts of all that is archived.

    Args:
        spark: where.
        archive_dir: root of the archive, the same path on every machine.
        order: `BY_TIME` or `BY_ARRIVAL`.
        ends: of each partition, the offset before which events are taken.
    """
    from pyspark import StorageLevel

    files = sorted((archive_dir / INTERACTIONS).glob("day=*/*.parquet"))
    files = [file for file in files if not file.name.startswith((".", "_"))]
    number = tasks(spark, sum(file.stat().st_size for file in files))
    every = mapped(named(spark, files, number), ReadFiles(Erased.read(archive_dir), ends), SCHEMA)
    by_user = _grouped(every, "user", order, number)
    return Log(mapped(by_user, count_once, SCHEMA).persist(StorageLevel.DISK_ONLY), order, number)


def named(spark: "SparkSession", files: Sequence[Path], most: int) -> "DataFrame":
    """Rows that name files, over so many tasks at most."""
    spark.conf.set("spark.sql.leafNodeDefaultParallelism", max(min(most, len(files)), 1))
    return spark.createDataFrame([(str(file),) for file in files], "path string")


def _grouped(rows: "DataFrame", entity: str, order: tuple[str, ...], tasks: int) -> "DataFrame":
    return rows.repartition(tasks, entity).sortWithinPartitions(entity, *order)


def count_once(batches: Batches) -> Batches:
    """Rows by user: those that are no duplicates."""
    marks = GroupedDuplicates()
    for rows in batches:
        events = events_of(rows)
        yield rows.filter(pa.array(marks.push(events.user, events.event_hash, position(rows))))


@dataclass(frozen=True)
class Fold:
    """Folds rows by entity.

    Attributes:
        features: the definitions.
        period: see `GroupedFold`.
    """

    features: FeatureSet
    period: Period | None

    def __call__(self, batches: Batches) -> Iterator[Snapshots]:
        """Yield what has ended after each batch."""
        fold = GroupedFold(self.features, self.period)
        for rows in batches:
            yield fold.push(events_of(rows), ids(rows, self.features.entity))
        yield fold.close()
