"""Shares of three kinds, mixed."""

import numpy as np
import pytest

from models.quality.baselines.blend import Blend
from models.quality.requests import Cuts, Requests
from tests.models.quality.towns import visits_of

HABIT = {"recency_days": 1e9, "hour_width_h": 1.0, "hour_weight": 0.0}
# From place 0, user 1 went to 2 and user 0 to 1; now user 0 is at 0 again.
LOG = visits_of([(1, 0, 0), (1, 2, 1), (0, 0, 2), (0, 1, 3), (0, 0, 4), (0, 2, 5)], places=3)
QUESTIONS = Requests.of(LOG, Cuts(3, 5, 6)).questions("stream")


def _scores(history: float, transitions: float) -> np.ndarray:
    blend = Blend(history, transitions, popularity=1.0, offset_m=100.0, **HABIT)
    return np.asarray(blend.fit(LOG.first(5)).score(QUESTIONS)[0])


def test_scores_are_shares_that_sum_to_one() -> None:
    """Whatever the mixture."""
    assert _scores(0.6, 0.3).sum() == pytest.approx(1)


def test_history_alone_is_the_share_of_the_users_visits() -> None:
    """Two at place 0, one at place 1."""
    assert _scores(1.0, 0.0) == pytest.approx([2 / 3, 1 / 3, 0])


def test_own_transitions_count_more_than_those_of_others() -> None:
    """Own 20, the other's 1, but for hours of fading."""
    assert _scores(0.0, 1.0) == pytest.approx([0, 20 / 21, 1 / 21], rel=1e-2)


def test_nearness_alone_is_popularity_over_distance() -> None:
    """(1 + visits) / (metres + 100): 4/100, 2/200, 2/300."""
    weight = np.array([4 / 100, 2 / 200, 2 / 300])
    assert _scores(0.0, 0.0) == pytest.approx(weight / weight.sum(), rel=1e-4)
