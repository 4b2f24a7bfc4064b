"""What is known of the version in service: its columns, its reference, its training."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.settings import Settings
from models.reference import Reference
from models.reference_file import read_reference
from models.scoring import CARD, RANKER


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
            # A training by hand says no time; its files are as old as it is.
            trained_at_s=float(card.get("trained_at_s", path.stat().st_mtime)),
        )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise NoCard(f"{path}: {type(error).__name__}: {error}") from error
