"""The nearest place first, and the most popular one near."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.quality.distances import Distances
from models.quality.methods import Method
from models.quality.requests import Questions
from models.quality.visits import VisitLog


class Nearest:
    """Orders places by their distance alone."""

    name = "nearest"
    streams = False

    def fit(self, train: VisitLog) -> Self:
        """Learn where the places are."""
        self._distances = Distances(train.lat, train.lng)
        return self

    def score(self, questions: Questions) -> NDArray[np.float32]:
        """Minus the metres."""
        return -self._distances.rows(questions.origin)


class PopularNearby:
    """score = weight * log(1 + visits) - log(metres + offset).

    Args:
        weight: of popularity; its exponent in the product of popularity and nearness.
        offset_m: within so many metres distance hardly matters.
    """

    name = "popularity x distance"
    streams = False

    def __init__(self, weight: float, offset_m: float) -> None:
        self._weight, self._offset_m = weight, offset_m

    def fit(self, train: VisitLog) -> Self:
        """Count visits."""
        self._popularity = self._weight * np.log1p(np.bincount(train.place, minlength=train.places))
        self._distances = Distances(train.lat, train.lng)
        return self

    def score(self, questions: Questions) -> NDArray[np.float64]:
        """The logarithm of the product."""
        metres = self._distances.rows(questions.origin)
        score: NDArray[np.float64] = self._popularity - np.log(metres + self._offset_m)
        return score


class NearestRecipe:
    """Nothing to choose."""

    start: Mapping[str, Any] = {}
    grid: Mapping[str, tuple[Any, ...]] = {}
    objective = "all"

    def make(self, **parameters: Any) -> Method:
        """See `Nearest`."""
        return Nearest(**parameters)


class PopularNearbyRecipe:
    """Which share popularity has."""

    start: Mapping[str, Any] = {"weight": 0.4, "offset_m": 50.0}
    grid: Mapping[str, tuple[Any, ...]] = {
        "weight": (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0),
        "offset_m": (10.0, 25.0, 50.0, 100.0, 200.0, 400.0),
    }
    objective = "all"

    def make(self, **parameters: Any) -> Method:
        """See `PopularNearby`."""
        return PopularNearby(**parameters)
