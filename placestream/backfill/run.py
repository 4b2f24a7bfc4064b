"""`placestream backfill`: the tables, the training sets, then Redis."""

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console

from contracts.settings import Settings
from models.backfilled_sets import sets_folder
from placestream.backfill.engine import session
from placestream.backfill.load import load
from placestream.backfill.one_writer import writer
from placestream.backfill.steps import BY_TIME, read_log
from placestream.backfill.tables import TABLES, write_table
from placestream.backfill.training_sets import write_sets

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAY = "%Y-%m-%d"


def midnight_s(day: str | None, otherwise: float) -> float:
    """Begin of a day of UTC, Unix seconds.

    Raises:
        ValueError: not a day as YYYY-MM-DD.
    """
    if day is None:
        return otherwise
    return datetime.strptime(day, DAY).replace(tzinfo=UTC).timestamp()


def run(
    settings: Settings,
    console: Console,
    *,
    since: str | None = None,
    until: str | None = None,
    tables: bool = True,
    training_sets: bool = False,
    into_redis: bool = False,
    with_gaps: bool = False,
) -> None:
    """Write the tables and, asked for, the training sets, and fill Redis.

    Args:
        since, until: days of UTC, YYYY-MM-DD; the tables' days in [since, until).
        tables: whether to write them.
        training_sets: also write the choice sets of a training, of all days.
        into_redis: also fill Redis.
        with_gaps: then also where events are missing.

    Raises:
        ValueError: a bad day, or an empty span.
        TooFewEvents: the archive holds too little to train on.
        NoSpark: it is not installed.
        BeingWritten: another backfill, or an erasure, writes the tables.
        Refused, TakenOver, KafkaSilent: of Redis, as `placestream rebuild`.
    """
    since_s, until_s = midnight_s(since, -math.inf), midnight_s(until, math.inf)
    if since_s >= until_s:
        raise ValueError(f"{since} does not lie before {until}")
    if tables or training_sets:
        with writer(settings.backfill_dir), session(settings) as spark:
            if tables:
                _write_tables(spark, settings, console, since_s, until_s)
            if training_sets:
                sets = write_sets(spark, settings)
                where = sets_folder(settings.backfill_dir)
                console.print(f"{where}: {sets:,} choice sets", soft_wrap=True)
    if into_redis:
        load(settings, console, with_gaps=with_gaps)


def _write_tables(
    spark: "SparkSession", settings: Settings, console: Console, since_s: float, until_s: float
) -> None:
    log = read_log(spark, settings.archive_dir, BY_TIME)
    for table in TABLES:
        rows = write_table(log, table, settings.backfill_dir, since_s=since_s, until_s=until_s)
        where = table.folder(settings.backfill_dir)
        console.print(f"{where}: {rows:,} rows", soft_wrap=True)
    log.rows.unpersist()
