"""Each day: the tables of features, and Redis where no worker fills it.

A run computes its day and the two before it again, for events that came late. Whatever is run
again, at whatever time, gives the same rows: the command replaces whole days. Days that were missed
are caught up with, one after the other, from `PLACESTREAM_FIRST_DAY` (YYYY-MM-DD) on. Without it no
day is caught up with: every run folds the whole archive, and `placestream backfill` makes all days
in one.
"""

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable
from placestream_commands import command, deadline

# A moment that moves with the clock would be another one each time that Airflow reads this file.
FIRST_DAY = os.environ.get("PLACESTREAM_FIRST_DAY")

with DAG(
    "placestream_features",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime.strptime(FIRST_DAY or "2025-01-01", "%Y-%m-%d").replace(tzinfo=UTC),
    catchup=FIRST_DAY is not None,
    # Two at once would write the days that they share.
    max_active_runs=1,
    deadline=deadline("placestream_features", timedelta(hours=8)),
    params={"late_days": 2},
    tags=["placestream"],
    doc_md=__doc__,
) as dag:
    tables = command(
        "tables",
        "backfill --since {{ macros.ds_add(data_interval_start | ds, -params.late_days) }}"
        " --until {{ data_interval_end | ds }}",
        at_most=timedelta(hours=4),
    )
    redis = command("redis", "backfill --no-tables --into-redis", at_most=timedelta(hours=2))
    tables >> redis
