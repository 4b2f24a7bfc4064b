"""The last step of the ladder: what is popular and near, with no model at all.

Popularity is the logarithm of a week's visits, of the reviews that the metadata state (worth
half: they are old), and the rating's lead over an ordinary one. With no feature store the
visits are missing and the rest still orders.
"""

import numpy as np
from numpy.typing import NDArray

from online_features.catalogue import CLOSED, Catalogue
from online_features.request import RANKING_COLUMNS

Scores = NDArray[np.float32]

REVIEW_WEIGHT = 0.5
ORDINARY_RATING = 3.5
#: At this distance a place counts half.
HALF_M = 800.0
#: A place that will be closed on arrival is of little use now.
CLOSED_FACTOR = 0.25

_VISITS = RANKING_COLUMNS.index("place_visits_7d_log")
_REVIEWS = RANKING_COLUMNS.index("review_count_log")
_RATING = RANKING_COLUMNS.index("rating")
_RATED = RANKING_COLUMNS.index("rating_known")


def from_catalogue(catalogue: Catalogue, rows: NDArray[np.int64]) -> Scores:
    """Popularity by metadata alone, float32[n], not negative."""
    reviews = np.log1p(catalogue.review_count[rows])
    lead = np.nan_to_num(catalogue.rating[rows] - ORDINARY_RATING, nan=0.0)
    popular: Scores = np.maximum(REVIEW_WEIGHT * reviews + lead, 0).astype(np.float32)
    return popular


def from_features(features: NDArray[np.float32]) -> Scores:
    """Popularity by the ranker's features, float32[n], not negative."""
    lead = features[:, _RATED] * (features[:, _RATING] - ORDINARY_RATING)
    popular = features[:, _VISITS] + REVIEW_WEIGHT * features[:, _REVIEWS] + lead
    positive: Scores = np.maximum(popular, 0).astype(np.float32)
    return positive


def by_distance(
    popularity: Scores, distance_m: NDArray[np.float32], open_state: NDArray[np.int8]
) -> Scores:
    """(1 + popularity) / (1 + distance / 800 m), a quarter of it where closed on arrival."""
    factor = np.where(open_state == CLOSED, CLOSED_FACTOR, 1.0)
    return ((1 + popularity) / (1 + distance_m / HALF_M) * factor).astype(np.float32)
