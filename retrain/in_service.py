"""What is known of the version in service: its columns, its reference, its training."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.settings import Settings
from models.holdout import REQUESTS
from models.scoring import CARD, RANKER
from retrain.reference import Reference, parse_reference

#: The ranker's own output is watched like a column. (Not its score: an answer's score has the
#: cost of repetition in it, the training's has not.)
PROBABILITY = "probability"


class NoCard(ValueError):
    """A version's placestream.json is missing or is not what it should be."""


@dataclass(frozen=True)
class InService:
    """A version, as its placestream.json tells.

    Attributes:
        version: of the pair.
        features: the ranker's columns, in order.
        reference: distributions of the columns and of the probability, as served at training.
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
    path = settings.models_dir / RANKER / str(version) / CARD
    try:
        card = json.loads(path.read_text())
        features = tuple(card["columns"])
        # Held-out requests are what the reference was counted on; there are at most so many.
        answers = min(REQUESTS, card["data"]["choices"]["test"])
        return InService(
            version=version,
            features=features,
            reference=parse_reference(card["reference"], (*features, PROBABILITY), answers),
            metrics=card["metrics"],
            # A training by hand says no time; its files are as old as it is.
            trained_at_s=float(card.get("trained_at_s", path.stat().st_mtime)),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoCard(f"{path}: {type(error).__name__}: {error}") from error
