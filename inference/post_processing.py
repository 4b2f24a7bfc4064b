"""Fifth stage, its end: each place of the answer with what a caller wants to know."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.answer import AnsweredPlace
from inference.ranking import open_state
from inference.reasons import Reason
from inference.selection import Ordered
from online_features.catalogue import Catalogue


@dataclass(frozen=True)
class Logged:
    """What the ranker saw of the places of an answer, in their order.

    Attributes:
        features: float32[n, RANKING_COLUMNS].
        parts: float32[n, PARTS]; NaN where the candidate model told nothing.
    """

    features: NDArray[np.float32]
    parts: NDArray[np.float32]


def finish(
    ordered: Ordered, why: Sequence[tuple[Reason, ...]], catalogue: Catalogue
) -> tuple[list[AnsweredPlace], Logged]:
    """Describe the places that were selected, with their reasons.

    Returns:
        The places, and what the ranker saw of them.
    """
    chosen, seen, selection = ordered.chosen, ordered.seen, ordered.selection
    at = selection.at
    rows = chosen.rows[at]
    columns = zip(
        rows.tolist(),
        catalogue.category[rows].tolist(),
        catalogue.lat[rows].tolist(),
        catalogue.lng[rows].tolist(),
        chosen.distance_m[at].tolist(),
        selection.scores.tolist(),
        _at(ordered.ranked.probability, at),
        _at(chosen.scores, at),
        open_state(seen.features[at]).tolist(),
        why,
        selection.propensity.tolist(),
        strict=True,
    )
    places = [_place(catalogue, *column) for column in columns]
    return places, Logged(seen.features[at], chosen.parts[at])


def _at(values: NDArray[np.float32] | None, at: NDArray[np.int64]) -> list[float | None]:
    return [None] * len(at) if values is None else values[at].tolist()


def _place(
    catalogue: Catalogue,
    row: int,
    category: int,
    lat: float,
    lng: float,
    distance_m: float,
    score: float,
    probability: float | None,
    candidate_score: float | None,
    open_state: int,
    why: tuple[Reason, ...],
    propensity: float,
) -> AnsweredPlace:
    return AnsweredPlace(
        place_id=catalogue.place_id(row),
        name=catalogue.names[row] or "",
        category=catalogue.categories[category] if category >= 0 else "",
        lat=lat,
        lng=lng,
        distance_m=distance_m,
        score=score,
        probability=probability,
        candidate_score=candidate_score,
        open_state=open_state,
        reasons=why,
        propensity=propensity,
    )
