"""Each week: a training, if nothing else has asked for one.

Drift, falling quality, new samples and age ask by themselves while `placestream retrain` runs. This
is the net below it. It decides with the trainer's own memory in Redis, so that what the trainer has
asked for is not asked for twice, and a run again asks for nothing; and the request is worked off
under the trainer's lease like any other. Weeks that were missed need no training of their own.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable
from placestream_commands import command, deadline

with DAG(
    "placestream_training",
    schedule=CronDataIntervalTimetable("0 4 * * 1", timezone="UTC"),
    start_date=datetime(2025, 1, 6, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    deadline=deadline("placestream_training", timedelta(hours=4)),
    tags=["placestream"],
    doc_md=__doc__,
) as dag:
    command("request", "retrain --if-due", at_most=timedelta(minutes=10))
