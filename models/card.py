"""What is written down beside a pair of models: its data, its limits, what it would serve."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.ids import as_int64
from models.costs import Cost, total
from models.holdout import LISTED, Ranked
from models.moments import Moments
from models.served_answers import Answers, error_of
from models.targets import Chances
from models.training_rows import Dataset
from online_features.catalogue import Catalogue
from online_features.columns import VISIT, EventColumns
from online_features.definitions import VISITS_KEPT
from online_features.request import RANKING_COLUMNS
from online_features.rings import DAY_S


def fingerprint(events: EventColumns, catalogue: Catalogue, data: Dataset) -> dict[str, Any]:
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


def limits(
    events: EventColumns, catalogue: Catalogue, metrics: Mapping[str, float], candidates: int
) -> dict[str, Any]:
    """What a pair does not know, and what its figures do not say.

    Args:
        events: that it was trained and judged on, sorted by time.
        catalogue: all places.
        metrics: on the held-out requests.
        candidates: places that the candidate stage lets through.

    Returns:
        `area`, the corners (degrees) of the places that it knows; `days` of events;
        `places_never_visited`; and `said`, sentences for a person.
    """
    visited = np.isin(catalogue.hash, events.place[events.kind == VISIT])
    never, days = int((~visited).sum()), float(events.time_s[-1] - events.time_s[0]) / DAY_S
    let_through = metrics[f"candidate_recall_at_{candidates}"]
    return {
        "area": {
            "south": float(np.nanmin(catalogue.lat)),
            "west": float(np.nanmin(catalogue.lng)),
            "north": float(np.nanmax(catalogue.lat)),
            "east": float(np.nanmax(catalogue.lng)),
        },
        "days": round(days, 2),
        "places_never_visited": never,
        "said": [
            f"Trained and judged on {days:.0f} days: what comes once a year was not seen.",
            "Places outside of the area, and categories that no place of it has, were never seen.",
            f"{never} of {len(catalogue)} places have no visit: distance, category and what is "
            "said of them speak for these alone.",
            f"Of held-out choices {let_through:.0%} were among the {candidates} places that the "
            "candidate stage lets through; the others cannot be found, however they are ranked.",
            f"Of a user the last {VISITS_KEPT} visits are known.",
            "The probability is that of the user's next choice, given that there is one: over all "
            "places it sums to about one. It says nothing of whether the user goes out.",
            "Ratings and review counts are those of each choice's moment; category, position, "
            "price and hours of a place are the newest.",
            "Choices among served answers are not corrected for the position of a place.",
        ],
    }


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
    served = _served(ranked, radius_m)
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


def _served(ranked: Ranked, radius_m: float) -> NDArray[np.bool_]:
    """Which of the ranked places would have been shown; bool[r, k]."""
    within = (ranked.rows >= 0) & (ranked.distance_m <= radius_m)
    served = within & (np.cumsum(within, axis=1) <= LISTED)
    return served if served.any() else ranked.rows >= 0


def served_chances(ranked: Ranked, moments: Moments, radius_m: float) -> Chances:
    """What was chosen of `served_answers`, and by what chance; arguments as there."""
    served = _served(ranked, radius_m)
    count = served.sum(axis=1)
    return Chances.of(
        ranked.probability[served],
        (ranked.rows == moments.place[:, None])[served],
        np.r_[0, np.cumsum(count[count > 0])].astype(np.int64),
        moments.user[count > 0],
    )


def costs_told(costs: Sequence[Cost]) -> dict[str, Any]:
    """Seconds, cores, rows a second and peak memory of a training, whole and by stage."""
    return {
        **total(costs).figures(),
        "stages": {cost.stage: cost.figures() for cost in costs},
    }
