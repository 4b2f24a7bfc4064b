"""Which runs stay in MLflow: those of pairs for good, those of refused trainings for a while.

A run of a pair is small without its models, which go with the pair (`models.registry.forget`).
"""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import structlog

from contracts.settings import Settings
from models.tracking import EXPERIMENT, REJECTED_TAG, client_of, uri_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = structlog.get_logger(__name__)
DAY_S = 86_400.0
#: Looked at in one sweep, beyond what stays; the next sweep takes the rest.
_AT_ONCE = 1_000


def drop_runs(settings: Settings, *, now_s: float, unfinished_s: float) -> list[str]:
    """Delete runs of refused trainings that are too many or too old, and those never finished.

    From a file they go for good. A server marks them deleted, and keeps their files until somebody
    runs its `mlflow gc`. A store that is away is told of in the log, and asked at the next sweep.

    Args:
        settings: how many stay, and for how long.
        now_s: Unix seconds.
        unfinished_s: a run that is being written for longer has lost its writer.

    Returns:
        Ids of the runs that went.
    """
    try:
        return _drop(client_of(settings), settings, now_s, unfinished_s)
    except Exception as error:  # whatever MLflow, its store or its server raise
        log.warning("runs_not_dropped", cause=f"{type(error).__name__}: {error}")
        return []


def _drop(
    client: "MlflowClient", settings: Settings, now_s: float, unfinished_s: float
) -> list[str]:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return []
    of = [str(experiment.experiment_id)]
    oldest_ms = (now_s - settings.refused_kept_days * DAY_S) * 1_000
    refused = client.search_runs(
        of,
        f"tags.`{REJECTED_TAG}` != ''",
        max_results=settings.refused_kept + _AT_ONCE,
        order_by=["attributes.start_time DESC"],
    )
    left_ms = int((now_s - unfinished_s) * 1_000)
    unfinished = client.search_runs(
        of,
        f"attributes.status = 'RUNNING' and attributes.start_time < {left_ms}",
        max_results=_AT_ONCE,
    )
    going = {
        run.info.run_id: None
        for i, run in enumerate(refused)
        if i >= settings.refused_kept or run.info.start_time < oldest_ms
    } | {run.info.run_id: None for run in unfinished}
    for run_id in going:
        client.delete_run(run_id)
    if going and not settings.mlflow_uri:
        _for_good(settings, list(going))
    return list(going)


def _for_good(settings: Settings, run_ids: Sequence[str]) -> None:
    """Rows and files of deleted runs, by MLflow's own command."""
    from mlflow.cli import gc

    store = uri_of(settings)
    asked = ["--backend-store-uri", store, "--tracking-uri", store, "--run-ids", ",".join(run_ids)]
    with redirect_stdout(io.StringIO()):  # it tells each run to whoever reads our output
        gc.main(asked, standalone_mode=False)
