"""Which places are answered, in which order, and with which chance each of them was shown."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.candidates import Chosen
from inference.course import Ask
from inference.diversity import Places, varied
from inference.exploration import POOL, explore, slots_of
from inference.features import Seen
from inference.ordering import pick
from inference.ranking import Ranked, open_state
from online_features.catalogue import CLOSED, Catalogue

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Selection:
    """The places of an answer, in order.

    Attributes:
        at: int64[k], positions among the chosen places.
        scores: float32[k], never rising.
        propensity: float64[k], chance with which each was shown; 1 for what is not explored.
        explored: how many at the end were shown to find out about them.
    """

    at: Positions
    scores: NDArray[np.float32]
    propensity: NDArray[np.float64]
    explored: int = 0


@dataclass(frozen=True)
class Ordered:
    """The chosen places, what is known and said of them, and which of them are answered."""

    chosen: Chosen
    seen: Seen
    ranked: Ranked
    selection: Selection


def select(
    ask: Ask,
    chosen: Chosen,
    seen: Seen,
    ranked: Ranked,
    catalogue: Catalogue,
) -> Selection:
    """Order the best of the chosen places, and give the last slots to exploration.

    Explored places stand at the end, where a failure costs least, with the score of the place
    before them.

    Args:
        ask: the request; `seed` is where the draws come from.
        chosen: n places.
        seen: what is known of them, among it what came of showing them.
        ranked: their scores.
        catalogue: of the places.
    """
    at, scores = _best(ask, chosen, ranked, catalogue)
    certain = Selection(at, scores, np.ones(len(at)))
    tries = seen.tries
    # Training learns from what a ranker ordered; without one there is nothing to find out.
    if tries is None or ranked.probability is None:
        return certain
    slots = slots_of(ask.query)
    kept = ask.query.limit - slots
    pool = _pool(at[:kept], ranked.scores, open_state(seen.features))
    if len(pool) <= slots:
        return certain  # there is nothing to choose from
    found, chance = explore(tries.at(pool), slots, np.random.default_rng(ask.seed))
    return Selection(
        np.r_[at[:kept], pool[found]],
        np.r_[scores[:kept], np.repeat(scores[kept - 1], slots)],
        np.r_[np.ones(kept), chance],
        explored=slots,
    )


def _best(
    ask: Ask, chosen: Chosen, ranked: Ranked, catalogue: Catalogue
) -> tuple[Positions, NDArray[np.float32]]:
    query = ask.query
    if query.diversity is None:
        return pick(ranked.scores, catalogue.category[chosen.rows], query.limit)
    places = Places(catalogue, chosen.rows, ranked.vectors)
    return varied(ranked.scores, places, query.limit, query.diversity)


def _pool(taken: Positions, scores: NDArray[np.float32], opening: NDArray[np.int8]) -> Positions:
    """The best places that are not taken and not closed on arrival, best first."""
    order = np.argsort(-scores, kind="stable")
    free = ~np.isin(order, taken) & (opening[order] != CLOSED)
    pool: Positions = order[free][:POOL]
    return pool
