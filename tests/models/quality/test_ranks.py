"""Ranks with ties, over all places and within lists."""

import numpy as np
import pytest
from scipy.stats import rankdata

from models.quality.baselines.nearby import Nearest
from models.quality.ranks import rank_all, rank_in_lists, rank_of
from models.quality.requests import Cuts, Requests
from tests.models.quality.towns import visits_of


def test_ties_count_at_their_expected_rank() -> None:
    """Scores 3 1 1 1 0: the three equal ones share ranks 2 to 4, on average 3."""
    scores = np.array([[3.0, 1, 1, 1, 0]] * 3)
    assert rank_of(scores, np.array([0, 2, 4])).tolist() == [1, 3, 5]


def test_ranks_equal_scipy() -> None:
    """Its average method, on random scores of one digit, so that most tie."""
    rng = np.random.default_rng(2)
    scores, target = np.round(rng.random((50, 30)), 1), rng.integers(0, 30, 50)
    expected = rankdata(-scores, axis=1)[np.arange(50), target]
    assert rank_of(scores, target) == pytest.approx(expected)


def test_what_is_not_in_the_ranking_has_no_rank() -> None:
    """-inf is out, and counts for nobody."""
    scores = np.array([[-np.inf, 1.0, 0.5]] * 2)
    assert rank_of(scores, np.array([0, 2])).tolist() == [np.inf, 2]


def test_a_list_ranks_as_its_scores_say_whatever_its_order() -> None:
    """Place 7 has the best score, 4 and 9 tie behind it, place 5 was not let through."""
    rows = np.array([[4, 7, 9, -1]] * 4)
    scores = np.array([[0.5, 0.9, 0.5, -np.inf]] * 4)
    assert rank_in_lists(rows, scores, np.array([7, 4, 9, 5])).tolist() == [1, 2.5, 2.5, np.inf]


def test_discover_takes_out_what_the_user_knows() -> None:
    """User 0 knows 0 and 1 and goes from 1 to 3: of all, 1, 0 or 2, then 3; of the new, 2, then 3.

    From place 1, places 0 and 2 are equally far: they share the ranks 2 and 3, so 3 is fourth.
    """
    log = visits_of([(0, 0, 0), (0, 1, 1), (0, 3, 2)], places=5)
    requests = Requests.of(log, Cuts(1, 2, 3))
    ranks = rank_all(Nearest().fit(log.first(2)), requests, "stream")
    assert ranks.all.tolist() == [4]
    assert ranks.discover.tolist() == [2]


def test_a_known_target_is_not_discovered() -> None:
    """Its rank among new places is no number."""
    log = visits_of([(0, 0, 0), (0, 1, 1), (0, 0, 2)], places=3)
    ranks = rank_all(Nearest().fit(log), Requests.of(log, Cuts(1, 2, 3)), "stream")
    assert np.isnan(ranks.discover[0])
    assert ranks.all[0] == 2.5
