"""Where the reports on trainings lie, and which of them stay."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.settings import Settings

FOLDER = "reports"
#: Of trainings that came to a pair, or to nothing at all: so many newest reports stay.
KEPT = 30
#: In the folder of a training that was refused: why, and its report.
REFUSED, PAGE = "refused.json", "report.html"
DAY_S = 86_400.0


def report_folder(settings: Settings, audit_id: str) -> Path:
    """Where the reports on a request lie; an audit id comes from outside and is no path."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", audit_id)[:100]
    return settings.models_dir / FOLDER / (name or "_")


def write_refusal(folder: Path, note: str, evidence: Mapping[str, Any], page: str = "") -> None:
    """Leave in a training's folder why it was refused.

    Args:
        folder: of its reports; made if need be.
        note: for a person.
        evidence: for a program; see docs/retraining.md.
        page: the training's report, HTML, if it came that far.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if page:
        (folder / PAGE).write_text(page, encoding="utf-8")
    told = {"note": note} | dict(evidence)
    (folder / REFUSED).write_text(json.dumps(told, indent=1), encoding="utf-8")


def outlived(settings: Settings, now_s: float) -> list[Path]:
    """Folders of reports that need not stay.

    Refused trainings have a number and an age of their own (`refused_kept`, `refused_kept_days`):
    those that came to a pair do not crowd them out.
    """
    newest = sorted(
        (settings.models_dir / FOLDER).glob("*"),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    refused = [path for path in newest if (path / REFUSED).exists()]
    others = [path for path in newest if path not in refused]
    oldest_s = now_s - settings.refused_kept_days * DAY_S
    young = [path for path in refused if path.stat().st_mtime >= oldest_s]
    kept = {*young[: settings.refused_kept], *others[:KEPT]}
    return [path for path in newest if path not in kept]
