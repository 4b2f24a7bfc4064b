"""Every training as a run in MLflow: what it was asked, how it went, what came of it.

By default in a SQLite file beside the models; `mlflow_uri` names a server instead. A training
whose run cannot be written down is worth no less: that is logged, and the pair goes on.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import structlog

from contracts.settings import Settings
from models.code_version import code_version
from models.costs import Cost
from models.mlmodel import write_mlmodel
from models.plots import plots_of
from models.report.training import report_path
from models.scoring import CANDIDATES, RANKER

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from models.train import TrainedPair

log = structlog.get_logger(__name__)
EXPERIMENT = "placestream"
#: The pair as one model of the registry; `PAIR_TAG` of its versions tells the pair's version.
REGISTERED, PAIR_TAG = "placestream-pair", "placestream.version"
#: Of runs that came to no pair: by what they were refused, "data" or "gate".
REJECTED_TAG = "placestream.rejected"
#: The request to retrain that a run answers; a training by hand answers none.
AUDIT_TAG = "placestream.audit_id"
#: A tag of MLflow holds 8,000 characters.
_NOTE = 8_000
#: Settings that a training depends on.
PARAMETERS = (
    "seed",
    "candidate_model",
    "ranker_model",
    "candidates",
    "near_places",
    "max_radius_m",
    "train_epochs",
    "train_max_rows",
    "train_max_impressions",
    "train_sets",
    "train_sets_from",
)


def record(
    pair: "TrainedPair", version: int, settings: Settings, costs: Sequence[Cost] = ()
) -> str | None:
    """Write a pair down as a finished run of the experiment `placestream`.

    Parameters: the settings and the data's fingerprint; metrics: those of the held-out requests,
    the losses of each epoch, and what each stage cost (`cost.<stage>.<figure>`); artifacts: the
    card, the report, that on the data, plots, and both exported models with their signatures. The
    pair becomes a version of the registered model. Tags: `placestream.version`, and
    `placestream.audit_id` if it was trained for a request.

    Args:
        pair: as it was trained.
        version: as which it was exported.
        settings: of the training.
        costs: of all its stages.

    Returns:
        The run's id; `None` if it could not be written.
    """
    try:
        run_id = _record(pair, version, settings, costs)
    except Exception as error:  # whatever MLflow, its store or its server raise
        log.warning("run_not_tracked", version=version, cause=f"{type(error).__name__}: {error}")
        return None
    log.info("run_tracked", version=version, run_id=run_id, uri=uri_of(settings))
    return run_id


@dataclass(frozen=True)
class Refused:
    """Why a training came to no pair.

    Attributes:
        audit_id: of the request.
        note: for a person.
        evidence: what the gate, or the checks of the data, found; see docs/retraining.md.
        report: folder of the report on the data, where no pair knows it.
        page: the training's report, HTML, if it came that far.
    """

    audit_id: str
    note: str
    evidence: Mapping[str, Any]
    report: Path | None = None
    page: str = ""


def record_refused(
    refused: Refused, settings: Settings, pair: "TrainedPair | None" = None
) -> str | None:
    """Write a training that was refused down as a run, with all but the models.

    Tags: `placestream.rejected` says by what, `placestream.audit_id` for whom; `rejected.json` is
    the evidence. No version of the registered model comes of it. `models.run_retention` says how
    long it stays.

    Args:
        refused: why.
        settings: of the training.
        pair: as it was trained, unless the data forbade it.

    Returns:
        The run's id; `None` if it could not be written.
    """
    try:
        run_id = _record_refused(refused, settings, pair)
    except Exception as error:  # whatever MLflow, its store or its server raise
        cause = f"{type(error).__name__}: {error}"
        log.warning("run_not_tracked", audit_id=refused.audit_id, cause=cause)
        return None
    log.info("run_tracked", audit_id=refused.audit_id, run_id=run_id, uri=uri_of(settings))
    return run_id


def uri_of(settings: Settings) -> str:
    """Where runs are written: the setting, else a SQLite file beside the models."""
    return settings.mlflow_uri or f"sqlite:///{_folder(settings) / 'mlflow.db'}"


def tracked(settings: Settings) -> bool:
    """Whether there is a store that could know of a training: a server, or the file."""
    return bool(settings.mlflow_uri) or (_folder(settings) / "mlflow.db").exists()


def _folder(settings: Settings) -> Path:
    return settings.models_dir.absolute() / "mlflow"


def client_of(settings: Settings) -> "MlflowClient":
    """A client of the tracking store, which is made if it is a file that is not there yet."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would call home
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # by default it takes minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")  # seconds, of each; by default 120
    # Standard output is the log's.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    _folder(settings).mkdir(parents=True, exist_ok=True)
    return MlflowClient(uri_of(settings))


def _record(pair: "TrainedPair", version: int, settings: Settings, costs: Sequence[Cost]) -> str:
    client = client_of(settings)
    run_id = _begin(client, settings, f"version {version}")
    _write(client, run_id, pair, settings, costs)
    client.set_tag(run_id, PAIR_TAG, str(version))
    if audit_id := pair.card.get("audit_id"):
        client.set_tag(run_id, AUDIT_TAG, audit_id)
    if (page := report_path(settings.models_dir, version)).exists():
        client.log_artifact(run_id, str(page))
    for model in (CANDIDATES, RANKER):
        client.log_artifacts(run_id, str(settings.models_dir / model / str(version)), model)
        with TemporaryDirectory() as folder:
            client.log_artifact(run_id, str(write_mlmodel(model, run_id, Path(folder))), model)
    client.set_terminated(run_id)
    _register(client, run_id, version)
    return run_id


def _record_refused(refused: Refused, settings: Settings, pair: "TrainedPair | None") -> str:
    client = client_of(settings)
    run_id = _begin(client, settings, f"rejected {refused.audit_id}")
    client.set_tag(run_id, REJECTED_TAG, str(refused.evidence.get("refused_by", "")))
    if pair is not None:
        _write(client, run_id, pair, settings, pair.costs)
    if refused.page:
        client.log_text(run_id, refused.page, "report.html")
    if refused.report is not None:
        client.log_artifacts(run_id, str(refused.report), "data")
    client.set_tag(run_id, AUDIT_TAG, refused.audit_id)
    client.set_tag(run_id, "mlflow.note.content", refused.note[:_NOTE])
    client.log_dict(run_id, dict(refused.evidence), "rejected.json")
    client.set_terminated(run_id)
    return run_id


def _begin(client: "MlflowClient", settings: Settings, name: str) -> str:
    run_id: str = client.create_run(_experiment(client, settings), run_name=name).info.run_id
    client.set_tag(run_id, "placestream.code", code_version())
    return run_id


def _write(
    client: "MlflowClient",
    run_id: str,
    pair: "TrainedPair",
    settings: Settings,
    costs: Sequence[Cost],
) -> None:
    """All that is known of a pair but its models."""
    client.log_batch(
        run_id,
        metrics=[*_metrics(pair), *_costs(costs)],
        params=list(_parameters(pair, settings)),
        tags=[],
    )
    client.log_dict(run_id, pair.card, "card.json")
    for name, svg in plots_of(pair).items():
        client.log_text(run_id, svg, f"plots/{name}")
    if report := pair.card.get("data_report"):
        client.log_artifacts(run_id, report, "data")


def _register(client: "MlflowClient", run_id: str, version: int) -> None:
    """Make the run's pair a version of the registered model."""
    if not client.search_registered_models(f"name='{REGISTERED}'"):
        client.create_registered_model(REGISTERED)
    source = client.get_run(run_id).info.artifact_uri
    client.create_model_version(REGISTERED, source, run_id, tags={PAIR_TAG: str(version)})


def _experiment(client: "MlflowClient", settings: Settings) -> str:
    if found := client.get_experiment_by_name(EXPERIMENT):
        return str(found.experiment_id)
    # A server knows where its artifacts lie; a file does not.
    place = None if settings.mlflow_uri else (_folder(settings) / "artifacts").as_uri()
    return str(client.create_experiment(EXPERIMENT, artifact_location=place))


def _parameters(pair: "TrainedPair", settings: Settings) -> Iterator[Any]:
    from mlflow.entities import Param

    for name in PARAMETERS:
        yield Param(name, str(getattr(settings, name)))
    for name, value in pair.card["data"].items():
        yield Param(f"data.{name}", str(value))


def _metrics(pair: "TrainedPair") -> Iterator[Any]:
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1_000)
    for name, value in {**pair.metrics, "training_s": pair.training_s}.items():
        yield Metric(name, value, now_ms, 0)
    for model, epochs in pair.curves.items():
        for epoch in epochs:
            for name in ("train_loss", "validation_loss", "rate"):
                value = float(getattr(epoch, name))
                yield Metric(f"{model}.{name}", value, now_ms, epoch.number)


def _costs(costs: Sequence[Cost]) -> Iterator[Any]:
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1_000)
    for cost in costs:
        for name, value in cost.figures().items():
            yield Metric(f"cost.{cost.stage.replace(' ', '_')}.{name}", value, now_ms, 0)
