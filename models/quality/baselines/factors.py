"""Factor models of `implicit`: ALS (Hu, Koren, Volinsky 2008) and BPR (Rendle et al. 2009).

Each user's visits at a place count log(1 + n). Users unknown to the fit are shown what is
popular.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from models.quality.methods import Method
from models.quality.requests import Questions
from models.quality.visits import VisitLog

FACTORS = 64


def user_place_counts(visits: VisitLog) -> sparse.csr_matrix:
    """log(1 + visits) of users at places, float32[users, places]."""
    ones = np.ones(len(visits), np.float32)
    shape = (visits.users, visits.places)
    counts = sparse.coo_matrix((ones, (visits.user, visits.place)), shape).tocsr()
    counts.data = np.log1p(counts.data)
    return counts


class Factors:
    """Dot products of user and place factors.

    Args:
        name: as the table says it.
        model: of `implicit`, not fitted.
    """

    streams = False

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        self._model = model

    def fit(self, train: VisitLog) -> Self:
        """Factorise; in one thread, so that the same seed gives the same factors."""
        counts = user_place_counts(train)
        with threadpool_limits(1, "blas"):
            self._model.fit(counts, show_progress=False)
        self._known = np.diff(counts.indptr) > 0
        self._popular = np.bincount(train.place, minlength=train.places).astype(np.float32)
        return self

    def score(self, questions: Questions) -> NDArray[np.float32]:
        """Dot products."""
        users, places = self._model.user_factors, self._model.item_factors
        score: NDArray[np.float32] = users[questions.user] @ places.T
        score[~self._known[questions.user]] = self._popular
        return score


class AlsRecipe:
    """How far to trust a count, and how far to shrink."""

    start: Mapping[str, Any] = {"regularization": 5.0, "alpha": 5.0}
    grid: Mapping[str, tuple[Any, ...]] = {
        "alpha": (1.0, 5.0, 20.0, 50.0),
        "regularization": (0.1, 1.0, 5.0, 20.0, 50.0),
    }
    objective = "both"

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def make(self, **parameters: Any) -> Method:
        """See `Factors`."""
        model = AlternatingLeastSquares(
            FACTORS, iterations=15, num_threads=1, random_state=self._seed, **parameters
        )
        return Factors("implicit ALS", model)


class BprRecipe:
    """Learning rate and shrinkage."""

    start: Mapping[str, Any] = {"learning_rate": 0.05, "regularization": 0.01}
    grid: Mapping[str, tuple[Any, ...]] = {
        "learning_rate": (0.01, 0.02, 0.05, 0.1),
        "regularization": (0.001, 0.01, 0.05, 0.1),
    }
    objective = "both"

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def make(self, **parameters: Any) -> Method:
        """See `Factors`."""
        model = BayesianPersonalizedRanking(
            FACTORS, iterations=100, num_threads=1, random_state=self._seed, **parameters
        )
        return Factors("implicit BPR", model)
