"""Fifth stage: the places of the answer, in order, each with what a caller wants to know."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.answer import AnsweredPlace
from inference.candidates import Chosen
from inference.course import Ask
from inference.exploration import Tries
from inference.features import Seen
from inference.person import Person
from inference.ranking import Ranked, open_state
from inference.reasons import MOST_REASONS, Evidence, Reason, explored, reasons
from inference.selection import Selection, select
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
    ask: Ask,
    chosen: Chosen,
    seen: Seen,
    ranked: Ranked,
    person: Person,
    catalogue: Catalogue,
) -> tuple[list[AnsweredPlace], Logged]:
    """Order the places and describe the first `limit` of them.

    Returns:
        The places, and what the ranker saw of them.
    """
    opening = open_state(seen.features)
    # Training learns from what a ranker ordered; without one there is nothing to find out.
    tries = seen.tries if ranked.probability is not None else None
    selection = select(ask, chosen, ranked, opening, tries, catalogue)
    at = selection.at
    features, rows, distance_m = seen.features[at], chosen.rows[at], chosen.distance_m[at]
    why: Sequence[tuple[Reason, ...]] = [()] * len(at)
    if ask.query.explain:
        evidence = Evidence(features, rows, distance_m, ask.course.level, ask.now_s)
        why = _with_explored(reasons(evidence, person, catalogue), selection, tries)
    columns = zip(
        rows.tolist(),
        distance_m.tolist(),
        selection.scores.tolist(),
        _at(ranked.probability, at),
        _at(chosen.scores, at),
        opening[at].tolist(),
        why,
        selection.propensity.tolist(),
        strict=True,
    )
    places = [_place(catalogue, *column) for column in columns]
    return places, Logged(features, chosen.parts[at])


def _with_explored(
    why: list[tuple[Reason, ...]], selection: Selection, tries: Tries | None
) -> list[tuple[Reason, ...]]:
    """Say first of the places that a slot explores that it does."""
    first = len(why) - selection.explored
    if tries is None:
        return why
    views = tries.at(selection.at[first:]).views.tolist()
    found = ((explored(n), *held) for n, held in zip(views, why[first:], strict=True))
    return why[:first] + [held[:MOST_REASONS] for held in found]


def _at(values: NDArray[np.float32] | None, at: NDArray[np.int64]) -> list[float | None]:
    return [None] * len(at) if values is None else values[at].tolist()


def _place(
    catalogue: Catalogue,
    row: int,
    distance_m: float,
    score: float,
    probability: float | None,
    candidate_score: float | None,
    open_state: int,
    why: tuple[Reason, ...],
    propensity: float,
) -> AnsweredPlace:
    category = int(catalogue.category[row])
    return AnsweredPlace(
        place_id=catalogue.place_id(row),
        name=catalogue.names[row] or "",
        category=catalogue.categories[category] if category >= 0 else "",
        lat=float(catalogue.lat[row]),
        lng=float(catalogue.lng[row]),
        distance_m=distance_m,
        score=score,
        probability=probability,
        candidate_score=candidate_score,
        open_state=open_state,
        reasons=why,
        propensity=propensity,
    )
