"""What the child process does: read the archive, check it, train, judge, export."""

import time
from dataclasses import replace

import structlog

from contracts.settings import Settings
from models.comparison import Comparison, compare, compare_rows
from models.costs import Metered
from models.export import NotExportable
from models.holdout import OtherFeatures
from models.progress import Logged
from models.row_store import RowStore
from models.scoring import NoSuchModel
from models.shown_features import ServedAnswers
from models.split import TooFewEvents
from models.train import LEAST_EVENTS, TrainedPair, export_pair, judge_version, train_pair
from online_features.archive import read_catalogue, read_context
from online_features.redis_client import blocking_client_of
from online_features.training_log import TrainingLog
from retrain.check_data import PROFILE, check_data
from retrain.child import FENCE, Trained
from retrain.gate import Limits, judge
from retrain.keys import Keys
from retrain.lease import check_held
from retrain.refused import by_data, by_gate
from retrain.retention import sweep
from retrain.rollout import current

_log = structlog.get_logger(__name__)


def train_judge_export(settings: Settings, audit_id: str) -> Trained:
    """Train on the archive, and export the pair if it may go into service.

    Nothing is trained on data that are not fit for it (see docs/retraining.md). The pair is
    compared with the version in service on the same held-out requests.

    Args:
        settings: of the installation.
        audit_id: written into the exported pair.

    Raises:
        FloatingPointError: a training diverged.
        LeaseLost: another trainer is at work by now; nothing was exported.
    """
    read_at_s = time.time()
    sweep(settings, read_at_s)
    archive = settings.archive_dir
    progress = Metered(Logged())
    with progress.stage("archive", None) as stage:
        store = RowStore.of(settings)
        events, catalogue = TrainingLog.read(archive, store.arrays), read_catalogue(archive)
        context = read_context(archive)
        served = ServedAnswers.read(settings, events, context)
        stage.advance(len(events))
    checked = None
    if len(events) >= LEAST_EVENTS:  # fewer are told by the training, with their number
        checked = check_data(settings, events, catalogue, audit_id=audit_id, now_s=read_at_s)
        if checked.note:
            return by_data(settings, audit_id, checked)
    try:
        pair = train_pair(events, catalogue, context, settings, served=served, progress=progress)
    except TooFewEvents as few:
        return Trained(None, {}, f"too little data: {few}")
    in_service, comparisons, why_not = _judge_in_service(settings, pair)
    verdict = judge(pair.metrics, in_service, Limits.of(settings), comparisons)
    compared = [part.told() for part in comparisons]
    note = "; ".join(filter(None, (verdict.note, why_not)))
    card = pair.card | {"trained_at_s": read_at_s, "audit_id": audit_id, "compared": compared}
    if checked is not None:
        card |= {PROFILE: checked.profile, "data_report": str(checked.report)}
    pair = replace(pair, card=card)
    if not verdict.passed:
        evidence = {"refused_by": "gate", "failed": list(verdict.failed), "compared": compared}
        return by_gate(settings, audit_id, pair, note, evidence)
    _check_fence(settings)
    try:
        version = export_pair(pair, settings)
    except NotExportable as error:
        return Trained(None, pair.metrics, str(error))
    evidence = {"compared": compared} | ({"not_compared": why_not} if why_not else {})
    return Trained(version, pair.metrics, note, evidence)


def _check_fence(settings: Settings) -> None:
    """A child whose trainer was frozen must not export beside the next one's."""
    if token := FENCE.get():
        with blocking_client_of(settings, socket_timeout=5, socket_connect_timeout=5) as client:
            check_held(client, Keys(settings.key_prefix), token)


def _judge_in_service(
    settings: Settings, pair: TrainedPair
) -> tuple[dict[str, float] | None, list[Comparison], str]:
    """Metrics of the version in service on the same held-out requests, or why there are none.

    And how the new pair compares with it, overall and by slice.
    """
    version = current(settings)
    if version is None:
        return None, [], ""
    try:
        judged = judge_version(settings.models_dir, version, pair.holdout)
    except (NoSuchModel, OtherFeatures) as error:
        _log.warning("nothing_to_compare_with", version=version, cause=str(error))
        return None, [], f"version {version} could not be judged: {error}"
    mine = pair.judged
    comparisons = compare(pair.holdout, mine.ranked, judged.ranked, seed=settings.seed)
    comparisons.append(compare_rows(pair.holdout, mine.row_scores, judged.row_scores))
    return judged.metrics, comparisons, ""
