"""Spark itself: a session by the settings, and how finely work is cut."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Rows that Spark hands to Python at once: with an entity a row, some 40 MB of states.
BATCH_ROWS = 10_000
#: Bytes of the archive to each task. Tasks stream: it bounds what is lost with one, not memory.
TASK_BYTES = 16 * 2**20
#: The code that workers of `local[*]` import: this very tree, wherever it was started from.
_ROOT = Path(__file__).parents[2]


class NoSpark(RuntimeError):
    """pyspark is not installed."""


@contextmanager
def session(settings: Settings) -> Iterator["SparkSession"]:
    """A Spark session, stopped at the end.

    What more Spark shall know (where its files go, its executors) it reads from its own
    `spark-defaults.conf`, as ever.

    Raises:
        NoSpark: it is an extra of its own.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise NoSpark("this needs Spark: pip install 'placestream[spark]', and Java 17") from error
    # Of pandas, which nothing here uses: batches are Arrow's.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    if _is_local(settings):
        # Else Spark asks the PATH for a python3, which need not be the one that runs this.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(settings.spark_master).appName("placestream backfill")
    for name, value in _configuration(settings).items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()


def _configuration(settings: Settings) -> dict[str, str]:
    local = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executorEnv.PYTHONPATH": str(_ROOT),
    }
    return (local if _is_local(settings) else {}) | {
        "spark.driver.memory": f"{settings.spark_memory_mb}m",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH_ROWS),
        # A run again replaces the days that it computes, and leaves the others.
        "spark.sql.sources.partitionOverwriteMode": "dynamic",
        # Tasks are cut by us, evenly; a cut once more would move rows for nothing.
        "spark.sql.adaptive.enabled": "false",
    }


def _is_local(settings: Settings) -> bool:
    return settings.spark_master.startswith("local")


def tasks(spark: "SparkSession", total_bytes: int) -> int:
    """Into how many tasks a step over so many bytes of the archive is cut."""
    at_once: int = spark.sparkContext.defaultParallelism
    return max(2 * at_once, -(-total_bytes // TASK_BYTES))
