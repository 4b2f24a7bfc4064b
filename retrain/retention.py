"""What stays on disk: whatever may be needed to go back, and no more.

Kept are the versions that the model server's configuration names (in service, and under any
experiment), the one that was in service before, and the newest few. What a killed trainer left
goes too: half an export, half a pair, half a deletion. So does what is known of trainings that
were refused, once it is old.
"""

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from contracts.settings import Settings
from models import registry
from models.run_retention import drop_runs
from models.tracking import tracked
from retrain.model_config import MODELS, read
from retrain.reports import outlived

_log = structlog.get_logger(__name__)
#: Versions that were in service, oldest first, beside the models.
HISTORY = "in_service.json"
_REMEMBERED = 20
#: An export takes seconds; what is older has no process any more.
LEFT_S = 3_600.0
EXPORTING, DELETED = ".export-", ".deleted-"


def labels_moved(settings: Settings, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """What follows a move of labels: the way back is noted, and the registry's aliases follow.

    Args:
        settings: where models and registry are.
        before, after: label to version, all of them.
    """
    stable = settings.model_label  # any other is an experiment's
    version = after.get(stable)
    if version is not None:
        came_into_service(settings, version, before.get(stable))
    if not tracked(settings):
        return
    if version is not None:
        registry.promoted(settings, version)
    tried = [v for label, v in after.items() if label != stable and v != version]
    if tried:
        registry.challenging(settings, max(tried))
    else:
        registry.no_challenger(settings)


def models_deleted(settings: Settings, versions: Sequence[int]) -> None:
    """Let the registry drop its copies of versions that are no longer on disk."""
    if versions and tracked(settings):
        registry.forget(settings, versions)


def history(settings: Settings) -> list[int]:
    """Versions in the order in which they came into service, as far back as is remembered."""
    try:
        told = json.loads((settings.models_dir / HISTORY).read_text())
    except (FileNotFoundError, ValueError):
        return []
    return [int(version) for version in told]


def came_into_service(settings: Settings, version: int, before: int | None) -> None:
    """Remember that `version` answers users now, and `before` did until now."""
    told = history(settings)
    for each in (before, version):
        if each is not None and told[-1:] != [each]:
            told.append(each)
    path = settings.models_dir / HISTORY
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with new.open("w") as file:
        json.dump(told[-_REMEMBERED:], file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def way_back(settings: Settings) -> int | None:
    """The version that was in service before the one that is."""
    told = history(settings)
    return next((version for version in reversed(told[:-1]) if version != told[-1]), None)


def needed(settings: Settings) -> set[int]:
    """Versions that must stay whatever their age.

    Raises:
        ValueError: the configuration file is damaged, and nothing may be deleted.
    """
    back = way_back(settings)
    return {*read(settings).versions, *([] if back is None else [back])}


def sweep(settings: Settings, now_s: float | None = None) -> list[str]:
    """Delete what killed trainers left, and what tells of trainings long refused.

    Args:
        settings: where the models are, and how long refused trainings can be read about.
        now_s: Unix seconds.

    Returns:
        The names of what went: paths under `models_dir`, and runs of MLflow as `run ID`.
    """
    now_s = time.time() if now_s is None else now_s
    before_s = now_s - LEFT_S
    left = [
        path
        for path in settings.models_dir.glob(f"{EXPORTING}*")
        if path.stat().st_mtime < before_s
    ]
    left += [path for name in MODELS for path in (settings.models_dir / name).glob(f"{DELETED}*")]
    left += [path for path in _halves(settings) if path.stat().st_mtime < before_s]
    left += outlived(settings, now_s)
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    names = [str(path.relative_to(settings.models_dir)) for path in left]
    if tracked(settings):
        runs = drop_runs(settings, now_s=now_s, unfinished_s=LEFT_S)
        names += [f"run {run_id}" for run_id in runs]
    if names:
        _log.info("left_overs_deleted", names=names)
    return names


def _halves(settings: Settings) -> list[Path]:
    """Models whose other half is missing; not the newest, whose number must stay used."""
    found = {
        name: {int(p.name): p for p in (settings.models_dir / name).glob("*") if p.name.isdecimal()}
        for name in MODELS
    }
    every = set().union(*found.values())
    whole = set(every).intersection(*found.values())
    halves = every - whole - {max(every, default=0)} - needed(settings)
    return [
        held[version] for version in sorted(halves) for held in found.values() if version in held
    ]
