"""Choosing a baseline's parameters on the validation part, one parameter after the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.quality.methods import Method, Recipe
from models.quality.metrics import METRICS, NDCG, per_request
from models.quality.ranks import rank_all
from models.quality.requests import Cuts, Requests
from models.quality.visits import VisitLog

#: Most requests of the validation part that a choice is made on.
MOST_REQUESTS = 6_000


@dataclass(frozen=True)
class Tuned:
    """A method with the best parameters, fitted to all that is known before the judged part.

    Attributes:
        method: fitted.
        parameters: as chosen.
        validation: NDCG@10 of the objective on the validation part.
    """

    method: Method
    parameters: dict[str, Any]
    validation: float


def _ndcg(ranks: NDArray[np.float64]) -> float:
    return float(np.mean(per_request(ranks)[:, METRICS.index(NDCG)])) if len(ranks) else 0.0


def tune(recipe: Recipe, visits: VisitLog, cuts: Cuts, seed: int) -> Tuned:
    """Coordinate descent over the recipe's grid: each parameter in turn, the best value stays.

    What lies at and after `cuts.known` is not looked at.
    """
    under = cuts.tuning()
    known = visits.first(under.end)
    train = known.first(under.train)
    requests = Requests.of(known, under).drawn(MOST_REQUESTS, seed)

    def quality(parameters: Mapping[str, Any]) -> float:
        method = recipe.make(**parameters).fit(train)
        ranks = rank_all(method, requests, "stream")
        every, discover = _ndcg(ranks.all), _ndcg(ranks.discover[requests.is_new])
        return every if recipe.objective == "all" else (every + discover) / 2

    best, reached = dict(recipe.start), quality(recipe.start)
    for name, values in recipe.grid.items():
        for value in values:
            tried = best | {name: value}
            if tried == best:
                continue
            found = quality(tried)
            if found > reached:
                best, reached = tried, found
    return Tuned(recipe.make(**best).fit(visits.first(cuts.known)), best, reached)
