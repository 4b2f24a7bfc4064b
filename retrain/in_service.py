"""What is known of the version in service: its columns, its reference, its training."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.settings import Settings
from models.reference import Reference
from models.reference_file import read_reference
from models.scoring import CARD, RANKER, versions


class NoCard(ValueError):
    """A version's placestream.json is missing or is not what it should be."""


@dataclass(frozen=True)
class InService:
    """A version, as its placestream.json tells.

    Attributes:
        version: of the pair.
        features: the ranker's columns, in order.
        reference: what it would have served at training, the probability among its columns.
        metrics: held-out, at training.
        trained_at_s: when its data were read, Unix seconds.
    """

    version: int
    features: tuple[str, ...]
    reference: Reference
    metrics: Mapping[str, float]
    trained_at_s: float


def load_in_service(settings: Settings, version: int) -> InService:
    """Read the card of a version.

    Raises:
        NoCard: it cannot be read.
    """
    directory = settings.models_dir / RANKER / str(version)
    path = directory / CARD
    try:
        card = json.loads(path.read_text())
        features = tuple(card["columns"])
        reference = read_reference(directory)
        if reference.columns[:-1] != features:
            raise ValueError("its reference is of other columns")
        return InService(
            version=version,
            features=features,
            reference=reference,
            metrics=card["metrics"],
            trained_at_s=_trained_at_s(card, path),
        )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise NoCard(f"{path}: {type(error).__name__}: {error}") from error


def newest_trained_at_s(settings: Settings) -> float | None:
    """When the data of the newest pair on disk were read, Unix seconds; None: it cannot be told."""
    for version in reversed(versions(settings.models_dir)):
        path = settings.models_dir / RANKER / str(version) / CARD
        try:
            return _trained_at_s(json.loads(path.read_text()), path)
        except (OSError, ValueError, AttributeError, TypeError):
            return None
    return None


def _trained_at_s(card: Mapping[str, Any], path: Path) -> float:
    # A training by hand says no time; its files are as old as it is.
    return float(card.get("trained_at_s", path.stat().st_mtime))
