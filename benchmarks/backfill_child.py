"""The processes of `benchmarks.backfill`: tables, or sets, of an archive, by Spark or the replay.

Each prints one line of JSON at the end: the seconds, of which `ready_s` before any event was read.
"""

import json
import math
import sys
import time
from pathlib import Path

import numpy as np

from contracts.settings import Settings
from models.choice_sets import choice_sets
from models.set_plan import plan_of_log
from online_features.archive import EventLog, read_catalogue, read_context, read_interactions
from online_features.duplicates import SEEN_DTYPE, mark_new
from online_features.grouped import PERIOD_S
from online_features.replay import Queries, point_in_time
from placestream.backfill.tables import TABLES, USER_DAILY, Table


def by_spark(archive: Path, tables: Path, cores: int) -> dict[str, float]:
    """`placestream backfill` itself."""
    from placestream.backfill.engine import session
    from placestream.backfill.steps import BY_TIME, read_log
    from placestream.backfill.tables import write_table

    began_s = time.monotonic()
    settings = Settings(_env_file=None, spark_master=f"local[{cores}]")
    with session(settings) as spark:
        ready_s = time.monotonic()
        log = read_log(spark, archive, BY_TIME)
        rows = sum(
            write_table(log, table, tables, since_s=-math.inf, until_s=math.inf) for table in TABLES
        )
        done_s = time.monotonic()
    return {"seconds": done_s - ready_s, "ready_s": ready_s - began_s, "rows": rows}


def by_replay(archive: Path) -> dict[str, float]:
    """The same values in this process, of the replay that training asks; nothing is written."""
    began_s = time.monotonic()
    log = read_interactions(archive)
    users, of = np.unique(log.user, return_inverse=True)
    counted = log.take(mark_new(np.zeros(len(users), SEEN_DTYPE), of, log.event_hash))
    rows = sum(_values(log, counted, table) for table in TABLES)
    return {"seconds": time.monotonic() - began_s, "ready_s": 0.0, "rows": rows}


def _values(log: EventLog, counted: EventLog, table: Table) -> int:
    width_s = PERIOD_S[table.period]
    at_s = (counted.time_s // width_s + 1) * width_s
    who = counted.user if table is USER_DAILY else counted.place
    order = np.lexsort((who, at_s))
    first = np.r_[True, (np.diff(at_s[order]) != 0) | (np.diff(who[order]) != 0)]
    at_s, who = at_s[order][first], who[order][first]
    before, nobody = np.searchsorted(log.time_s, at_s), np.zeros((len(who), 0), np.uint64)
    is_user = table is USER_DAILY
    queries = Queries(before, who, nobody) if is_user else Queries(before, np.zeros_like(who), who)
    for part, users, places in point_in_time(log, queries):
        table.features.read(users if is_user else places, at_s[part])
    return len(who)


def sets_by_spark(archive: Path, tables: Path, cores: int) -> dict[str, float]:
    """`placestream backfill --no-tables --training-sets` itself."""
    from placestream.backfill.engine import session
    from placestream.backfill.training_sets import write_sets

    began_s = time.monotonic()
    settings = Settings(
        _env_file=None, archive_dir=archive, backfill_dir=tables, spark_master=f"local[{cores}]"
    )
    with session(settings) as spark:
        ready_s = time.monotonic()
        rows = write_sets(spark, settings)
        done_s = time.monotonic()
    return {"seconds": done_s - ready_s, "ready_s": ready_s - began_s, "rows": rows}


def sets_by_replay(archive: Path) -> dict[str, float]:
    """The same sets in this process, as a training makes them; nothing is written."""
    began_s = time.monotonic()
    log, catalogue = read_interactions(archive), read_catalogue(archive)
    settings = Settings(_env_file=None, archive_dir=archive)
    known, plan = plan_of_log(log, catalogue, read_context(archive), settings)
    made = choice_sets(known, catalogue, plan.moments, plan.at, plan.rng)
    rows = sum(len(some) for some in made)
    return {"seconds": time.monotonic() - began_s, "ready_s": 0.0, "rows": rows}


def main() -> None:
    """Do as the arguments say: `spark[-sets] ARCHIVE TABLES CORES`, or `replay[-sets] ARCHIVE`."""
    what, archive, *rest = sys.argv[1:]
    spark = {"spark": by_spark, "spark-sets": sets_by_spark}
    replay = {"replay": by_replay, "replay-sets": sets_by_replay}
    if what in spark:
        print(json.dumps(spark[what](Path(archive), Path(rest[0]), int(rest[1]))))
    else:
        print(json.dumps(replay[what](Path(archive))))


if __name__ == "__main__":
    main()
