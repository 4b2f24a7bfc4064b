"""A training that came to no pair: what stays to be read of it, for a while.

Its run in MLflow and the folder of its reports; `retrain.retention` says how long.
"""

from typing import Any

import structlog

from contracts.settings import Settings
from models.report.training import refused_page
from models.tracking import Refused, record_refused
from models.train import TrainedPair
from retrain.check_data import DataChecked
from retrain.child import Trained
from retrain.reports import report_folder, write_refusal

_log = structlog.get_logger(__name__)


def by_data(settings: Settings, audit_id: str, checked: DataChecked) -> Trained:
    """The data were not fit to learn from; there was no training."""
    record_refused(Refused(audit_id, checked.note, checked.evidence, checked.report), settings)
    write_refusal(checked.report, checked.note, checked.evidence)
    return Trained(None, {}, checked.note, checked.evidence)


def by_gate(
    settings: Settings, audit_id: str, pair: TrainedPair, note: str, evidence: dict[str, Any]
) -> Trained:
    """A pair was trained, and is worse than the one in service.

    Args:
        settings: of the installation.
        audit_id: of the request.
        pair: as it was trained; its models are not kept.
        note: why, for a person.
        evidence: the same for a program; where the report lies is added.
    """
    folder = report_folder(settings, audit_id)
    evidence = evidence | {"report": str(folder)}
    try:
        page = refused_page(pair, note, settings)
    except Exception as error:  # whatever the plotting library raises
        _log.warning("no_report", audit_id=audit_id, cause=f"{type(error).__name__}: {error}")
        page = ""
    record_refused(Refused(audit_id, note, evidence, page=page), settings, pair)
    write_refusal(folder, note, evidence, page)
    return Trained(None, pair.metrics, note, evidence)
