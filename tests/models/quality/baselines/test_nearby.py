"""Nearest, and popular near."""

import numpy as np
import pytest

from models.quality.baselines.nearby import Nearest, PopularNearby
from models.quality.requests import Cuts, Requests
from tests.models.quality.towns import visits_of

# Places 0 to 3, 100 m apart in a row; place 3 is visited most; the request comes from place 1.
LOG = visits_of([(1, 3, h) for h in range(7)] + [(0, 1, 8), (0, 2, 9)], places=4)
REQUEST = Requests.of(LOG, Cuts(7, 8, 9)).questions("stream")


def test_nearest_is_minus_the_metres() -> None:
    """From place 1: itself, then its neighbours."""
    scores = Nearest().fit(LOG.first(8)).score(REQUEST)
    assert scores[0] == pytest.approx([-100, 0, -100, -200], rel=1e-4)


def test_popularity_by_distance_is_its_formula() -> None:
    """weight * log(1 + visits) - log(metres + offset)."""
    scores = PopularNearby(weight=0.5, offset_m=50.0).fit(LOG.first(8)).score(REQUEST)
    expected = 0.5 * np.log1p([0, 1, 0, 7]) - np.log(np.array([100, 0, 100, 200]) + 50.0)
    assert scores[0] == pytest.approx(expected, rel=1e-4)


def test_only_visits_of_the_fit_are_popular() -> None:
    """Fitted to the first visit alone, place 3 has one."""
    one, all_ = (PopularNearby(1.0, 50.0).fit(LOG.first(n)).score(REQUEST)[0, 3] for n in (1, 8))
    assert all_ - one == pytest.approx(np.log(8 / 2), rel=1e-4)
