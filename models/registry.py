"""The pairs in MLflow's model registry: one registered model, a version of it for each pair.

Its aliases follow the rollout: `champion` answers users, `challenger` is tried against it. What
decides is the model server's configuration; the registry tells of it, and a registry that is away
holds up nothing.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import structlog

from contracts.settings import Settings
from models.scoring import CANDIDATES, RANKER
from models.tracking import PAIR_TAG, REGISTERED, client_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = structlog.get_logger(__name__)
CHAMPION, CHALLENGER = "champion", "challenger"
#: Stores that the trainer itself may delete from: files beside the models, and those of a server
#: that hands them through. Of others (a bucket) only their keeper has the key.
_OURS = ("file:", "mlflow-artifacts:")


def promoted(settings: Settings, version: int) -> bool:
    """Tell the registry that a pair answers users: the champion, and no challenger any more.

    Returns:
        Whether the registry took it.
    """
    return _told(settings, version, CHAMPION, not_any_more=CHALLENGER)


def challenging(settings: Settings, version: int) -> bool:
    """Tell the registry that a pair is tried (shadow or canary): the challenger.

    Returns:
        Whether the registry took it.
    """
    return _told(settings, version, CHALLENGER)


def no_challenger(settings: Settings) -> bool:
    """Tell the registry that nothing is tried any more.

    Returns:
        Whether the registry took it.
    """
    try:
        _unset(client_of(settings), CHALLENGER)
    except Exception as error:  # whatever MLflow, its store or its server raise
        return _missed(None, CHALLENGER, error)
    return True


def aliases(settings: Settings) -> dict[str, int]:
    """Version of the pair behind each alias."""
    client = client_of(settings)
    model = client.get_registered_model(REGISTERED)
    return {
        alias: int(client.get_model_version(REGISTERED, number).tags[PAIR_TAG])
        for alias, number in model.aliases.items()
    }


def forget(settings: Settings, versions: Iterable[int]) -> None:
    """Drop the models of pairs that are no longer on disk; their runs stay, with all figures."""
    try:
        client = client_of(settings)
        for version in versions:
            for found in _of(client, version):
                _drop_models(client, found.run_id)
                client.delete_model_version(REGISTERED, found.version)
    except Exception as error:  # whatever MLflow, its store or its server raise
        log.warning("registry_not_pruned", cause=f"{type(error).__name__}: {error}")


def _told(settings: Settings, version: int, alias: str, not_any_more: str | None = None) -> bool:
    try:
        client = client_of(settings)
        found = _of(client, version)
        if not found:
            raise LookupError(f"version {version} is not registered")
        client.set_registered_model_alias(REGISTERED, alias, found[0].version)
        if not_any_more and aliases(settings).get(not_any_more) == version:
            _unset(client, not_any_more)
    except Exception as error:  # whatever MLflow, its store or its server raise
        return _missed(version, alias, error)
    return True


def _unset(client: "MlflowClient", alias: str) -> None:
    if alias in client.get_registered_model(REGISTERED).aliases:
        client.delete_registered_model_alias(REGISTERED, alias)


def _missed(version: int | None, alias: str, error: Exception) -> bool:
    cause = f"{type(error).__name__}: {error}"
    log.warning("alias_not_moved", version=version, alias=alias, cause=cause)
    return False


def _of(client: "MlflowClient", version: int) -> list[Any]:
    """Registered versions of a pair, the newest first: a retried export registers twice."""
    found = client.search_model_versions(f"name='{REGISTERED}'")
    same = [v for v in found if v.tags.get(PAIR_TAG) == str(version)]
    return sorted(same, key=lambda v: -int(v.version))


def _drop_models(client: "MlflowClient", run_id: str) -> None:
    """Delete a run's copies of both models."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    uri = client.get_run(run_id).info.artifact_uri
    if not uri.startswith(_OURS):
        return
    kept = get_artifact_repository(uri, tracking_uri=client.tracking_uri)
    for model in (CANDIDATES, RANKER):
        kept.delete_artifacts(model)  # type: ignore[no-untyped-call]
