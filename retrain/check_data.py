"""The first step of a training: is the archive fit to learn from? If not, there is no training."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from contracts.settings import Settings
from models.scoring import CARD, RANKER
from online_features.catalogue import Catalogue
from online_features.columns import EventColumns
from retrain.reports import report_folder
from retrain.rollout import current
from retrain.training_data.profile import Profile, parse_profile, profile_of
from retrain.training_data.suite import checks
from retrain.training_data.tables import tables_of
from retrain.training_data.validate import Validation, validate

_log = structlog.get_logger(__name__)
#: Of a card: how the pair's training data looked.
PROFILE = "training_data"


@dataclass(frozen=True)
class DataChecked:
    """What came of the checks.

    Attributes:
        validation: what failed, if anything.
        profile: of the data, for the card of the pair that is trained on them.
        report: folder of the HTML pages.
    """

    validation: Validation
    profile: Profile
    report: Path

    @property
    def note(self) -> str:
        """Why there is no training; empty if the data are fit."""
        failed = self.validation.failures
        if not failed:
            return ""
        return f"the training data are not fit to learn from: {self.validation.note}"

    @property
    def evidence(self) -> dict[str, Any]:
        """The same for a program."""
        failures = self.validation.failures
        told = [{"check": f.check.name, "reason": str(f)} for f in failures]
        return {"refused_by": "data", "failed": told, "report": str(self.report)}


def check_data(
    settings: Settings, events: EventColumns, catalogue: Catalogue, *, audit_id: str, now_s: float
) -> DataChecked:
    """Hold an archive to the suite, against the data of the version in service.

    Args:
        settings: how much may differ, and where reports lie.
        events: sorted by time; at least one.
        catalogue: the places.
        audit_id: of the request; names the report.
        now_s: Unix seconds.
    """
    tables = tables_of(events, catalogue, settings.train_max_rows)
    suite = checks(
        _reference(settings),
        now_s=now_s,
        max_age_s=settings.data_max_age_s,
        mean_shift=settings.data_mean_shift,
    )
    validation = validate(tables, suite)
    report = validation.write(report_folder(settings, audit_id))
    return DataChecked(validation, profile_of(tables), report)


def _reference(settings: Settings) -> Profile | None:
    """How the data of the version in service looked: it passed the gate and answers users."""
    version = current(settings)
    if version is None:
        return None
    try:
        card = json.loads((settings.models_dir / RANKER / str(version) / CARD).read_text())
        return parse_profile(card.get(PROFILE))
    except (OSError, ValueError) as error:
        _log.warning("no_reference_of_data", version=version, cause=str(error))
        return None
