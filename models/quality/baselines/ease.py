"""EASE (Steck 2019, "Embarrassingly shallow autoencoders for sparse data"), times nearness.

Place-place weights B = I - P / diag(P) with P = (X'X + l2 I)^-1, X the 0/1 matrix of who has been
where; a user's score of a place is the sum of the weights from the places where they have been.
Needs a dense matrix of places by places, so only the most visited ones take part.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri

from models.quality.distances import Distances
from models.quality.methods import Method
from models.quality.requests import Questions
from models.quality.visits import VisitLog

#: 8,000 squared numbers of 8 bytes are half a gigabyte, twice while it is inverted.
MOST_PLACES = 8_000
#: Added to each score, so that a place without any evidence can still be near.
_FLOOR = 0.003


@lru_cache(maxsize=2)
def ease_scores(train: VisitLog, l2: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The most visited places, int64[k] ascending, and EASE's scores of them, float32[users, k].

    Raises:
        ValueError: the matrix has no inverse; `l2` must be above 0.
    """
    visits = np.bincount(train.place, minlength=train.places)
    kept = np.sort(np.argsort(-visits, kind="stable")[:MOST_PLACES])
    column = np.full(train.places, -1)
    column[kept] = np.arange(len(kept))
    mine = column[train.place] >= 0
    been = np.zeros((train.users, len(kept)), np.float32)
    been[train.user[mine], column[train.place[mine]]] = 1
    weights = _weights((been.T @ been).astype(np.float64), l2)
    return kept, been @ weights.astype(np.float32)


def _weights(gram: NDArray[np.float64], l2: float) -> NDArray[np.float64]:
    gram[np.diag_indices_from(gram)] += l2
    factor, failed = dpotrf(gram, lower=1, overwrite_a=1)
    if not failed:
        inverse, failed = dpotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise ValueError(f"EASE has no solution with l2 = {l2}")
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights: NDArray[np.float64] = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


class EaseNearby:
    """score = log(max(EASE, 0) + floor) - steepness * log(metres + offset).

    Args:
        l2: of EASE.
        steepness, offset_m: of nearness.
    """

    name = "EASE x distance"
    streams = False

    def __init__(self, l2: float, steepness: float, offset_m: float) -> None:
        self._l2, self._steepness, self._offset_m = l2, steepness, offset_m

    def fit(self, train: VisitLog) -> Self:
        """Solve for the weights."""
        self._kept, self._scores = ease_scores(train, self._l2)
        self._distances = Distances(train.lat, train.lng)
        return self

    def score(self, questions: Questions) -> NDArray[np.float32]:
        """The logarithm of the product."""
        taste = np.zeros((len(questions), questions.visits.places), np.float32)
        taste[:, self._kept] = self._scores[questions.user]
        metres = self._distances.rows(questions.origin)
        near = self._steepness * np.log(metres + self._offset_m)
        score: NDArray[np.float32] = np.log(np.maximum(taste, 0) + _FLOOR) - near
        return score


class EaseRecipe:
    """Shrinkage first, then how much nearness counts."""

    start: Mapping[str, Any] = {"l2": 500.0, "steepness": 1.0, "offset_m": 100.0}
    grid: Mapping[str, tuple[Any, ...]] = {
        "steepness": (0.5, 0.75, 1.0, 1.5),
        "offset_m": (30.0, 100.0, 300.0),
        "l2": (200.0, 1_500.0),
    }
    objective = "both"

    def make(self, **parameters: Any) -> Method:
        """See `EaseNearby`."""
        return EaseNearby(**parameters)
