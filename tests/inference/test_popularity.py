"""The last step of the ladder: popular and near, with no model."""

import numpy as np
import pytest

from inference import popularity
from inference.popularity import CLOSED_FACTOR, HALF_M, ORDINARY_RATING, REVIEW_WEIGHT
from online_features.catalogue import CLOSED, OPEN, UNKNOWN
from online_features.request import RANKING_COLUMNS
from tests.inference.fakes import catalogue_of, place


def test_metadata_alone_order_by_reviews_and_rating() -> None:
    """With no store: half the logarithm of the reviews, and the rating's lead over 3.5."""
    catalogue = catalogue_of(
        place("unknown"),
        place("reviewed", review_count=99),
        place("loved", review_count=99, rating=4.5),
        place("disliked", rating=1.0),
    )
    popular = popularity.from_catalogue(catalogue, np.arange(4))
    reviews = REVIEW_WEIGHT * np.log(100)
    expected = [0, reviews, reviews + 4.5 - ORDINARY_RATING, 0]
    assert popular == pytest.approx(expected, rel=1e-5)


def test_features_add_the_visits_of_the_week() -> None:
    """A rating counts only where it is known."""
    features = np.zeros((3, len(RANKING_COLUMNS)), np.float32)
    column = RANKING_COLUMNS.index
    features[:, column("place_visits_7d_log")] = np.log1p([0, 20, 20])
    features[:, column("rating")] = [0.0, 0.0, 4.0]
    features[:, column("rating_known")] = [0, 0, 1]
    expected = [0, np.log(21), np.log(21) + 4.0 - ORDINARY_RATING]
    assert popularity.from_features(features) == pytest.approx(expected, rel=1e-5)


def test_distance_halves_and_closed_quarters() -> None:
    """A place at 800 m counts half of one here; one that will be closed, a quarter."""
    popular = np.array([3.0, 3.0, 3.0, 3.0], np.float32)
    metres = np.array([0, HALF_M, 0, 0], np.float32)
    state = np.array([UNKNOWN, UNKNOWN, OPEN, CLOSED], np.int8)
    expected = [4.0, 2.0, 4.0, 4.0 * CLOSED_FACTOR]
    assert popularity.by_distance(popular, metres, state) == pytest.approx(expected)
