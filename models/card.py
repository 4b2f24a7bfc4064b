"""What is written down beside a pair of models: its data, and the distributions it served."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from contracts.ids import as_int64
from models.costs import Cost, total
from models.holdout import LISTED, Ranked
from models.reference import references_of
from models.training_rows import Dataset
from online_features.archive import EventLog
from online_features.catalogue import Catalogue
from online_features.request import RANKING_COLUMNS


def fingerprint(events: EventLog, catalogue: Catalogue, data: Dataset) -> dict[str, Any]:
    """What a pair was trained on: counts, times (Unix seconds) and a hash of the events."""
    identity = hashlib.sha256(np.ascontiguousarray(as_int64(events.event_hash)).tobytes())
    identity.update(events.time_s.tobytes())
    return {
        "sha256": identity.hexdigest(),
        "events": len(events),
        "users": len(np.unique(events.user)),
        "places": len(catalogue),
        "choices": {
            "train": len(data.train.moments),
            "validation": len(data.validation.moments),
            "test": len(data.test.moments),
        },
        "first_s": float(events.time_s[0]),
        "last_s": float(events.time_s[-1]),
    }


def served_reference(ranked: Ranked, radius_m: float) -> dict[str, Any]:
    """Distributions of the ranker's columns, score and probability, to judge drift by.

    Of what the pair would have served: the first places, within the service's usual radius, of
    its answers to the held-out requests. That is the population that impressions log; training
    rows, of which four in five are negatives, would look like drift from the first answer on.
    """
    within = (ranked.rows >= 0) & (ranked.distance_m <= radius_m)
    served = within & (np.cumsum(within, axis=1) <= LISTED)
    if not served.any():
        served = ranked.rows >= 0
    columns = references_of(RANKING_COLUMNS, ranked.features[served])
    outputs = np.stack([ranked.scores[served], ranked.probability[served]], axis=1)
    return columns | references_of(("score", "probability"), outputs)


def costs_told(costs: Sequence[Cost]) -> dict[str, Any]:
    """Seconds, cores, rows a second and peak memory of a training, whole and by stage."""
    return {
        **total(costs).figures(),
        "stages": {cost.stage: cost.figures() for cost in costs},
    }
