"""What the DAGs of placestream share: they call its commands, and import none of its code.

Airflow has a Python environment of its own, so a task is a shell command. `PLACESTREAM_COMMAND`
names the `placestream` to run; its settings (`PLACESTREAM_*`) are those of Airflow's workers.
"""

import logging
import os
from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback

_log = logging.getLogger(__name__)

#: What is away (Kafka, Redis, a machine of Spark's) is mostly back within the hour.
RETRIES = {
    "retries": 4,
    "retry_delay": timedelta(minutes=2),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=30),
}


def command(task_id: str, arguments: str, *, at_most: timedelta) -> BashOperator:
    """A task that runs one command of placestream's.

    Args:
        task_id: its name.
        arguments: of the command; a template.
        at_most: then the command is ended, and tried again.
    """
    return BashOperator(
        task_id=task_id,
        bash_command='"${PLACESTREAM_COMMAND:-placestream}" ' + arguments,
        append_env=True,
        execution_timeout=at_most,
        **RETRIES,
    )


def say_late(dag: str, hours: float, context: object = None) -> None:
    """Told by Airflow when a run has missed its deadline: an error in the log, to alert on."""
    _log.error("%s did not end within %g hours", dag, hours)


def deadline(dag: str, within: timedelta) -> DeadlineAlert | None:
    """A run must have ended so long after it was queued.

    None with `PLACESTREAM_DAG_DEADLINES=off`: `airflow dags test` of 3.3.2 runs a DAG that has one
    to its end, and then fails (apache/airflow#73428).
    """
    if os.environ.get("PLACESTREAM_DAG_DEADLINES") == "off":
        return None
    hours = within.total_seconds() / 3_600
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=within,
        callback=SyncCallback(f"{__name__}.say_late", kwargs={"dag": dag, "hours": hours}),
    )
