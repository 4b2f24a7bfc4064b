"""What is written down beside a pair of models: its data, and the distributions it served."""

import hashlib
from typing import Any

import numpy as np

from contracts.ids import as_int64
from models.dataset import Dataset
from models.holdout import LISTED, Ranked
from models.moments import Moments
from models.served_answers import Answers, error_of
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


#: The ranker's own output is watched like a column. (Not its score: an answer's score has the
#: cost of repetition in it, the training's has not.)
PROBABILITY = "probability"
SERVED_COLUMNS = (*RANKING_COLUMNS, PROBABILITY)


def served_answers(ranked: Ranked, moments: Moments, radius_m: float) -> Answers:
    """What the pair would have served: the first places within the service's usual radius.

    That is the population that impressions log; training rows, of which four in five are
    negatives, would look like drift from the first answer on. Answers without a place are left
    out, unless all are: then all places count.

    Args:
        ranked: answers to held-out requests.
        moments: the requests.
        radius_m: the service's usual radius, metres.
    """
    within = (ranked.rows >= 0) & (ranked.distance_m <= radius_m)
    served = within & (np.cumsum(within, axis=1) <= LISTED)
    if not served.any():
        served = ranked.rows >= 0
    count = served.sum(axis=1)
    answered = count > 0
    first = np.r_[0, np.cumsum(count[answered])].astype(np.int64)
    probability = ranked.probability[served]
    chosen = (ranked.rows == moments.place[:, None])[served]
    return Answers(
        values=np.concatenate([ranked.features[served], probability[:, None]], axis=1),
        first=first,
        time_s=moments.time_s[answered],
        user=moments.user[answered],
        error=error_of(probability, chosen, first),
    )
