"""EASE against its definition as a constrained least squares problem."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from models.quality.baselines import ease
from models.quality.baselines.ease import EaseNearby, ease_scores
from models.quality.requests import Cuts, Requests
from models.quality.visits import VisitLog


def test_weights_solve_each_place_from_all_others(town: VisitLog) -> None:
    """Column j of B is the ridge regression of column j on the other columns (Steck, eq. 8)."""
    x = np.zeros((town.users, town.places))
    x[town.user, town.place] = 1
    expected = np.zeros_like(x)
    for j in range(town.places):
        others = np.delete(np.arange(town.places), j)
        a = x[:, others]
        solved = np.linalg.solve(a.T @ a + 3.0 * np.eye(len(others)), a.T @ x[:, j])
        expected[:, j] = a @ solved
    kept, scores = ease_scores(town, 3.0)
    assert kept.tolist() == list(range(town.places))
    assert_allclose(scores, expected, atol=1e-4)


def test_only_the_most_visited_places_take_part(
    town: VisitLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit of memory the others have no taste, and only nearness orders them."""
    monkeypatch.setattr(ease, "MOST_PLACES", 10)
    part = town.first(len(town) - 1)
    kept, scores = ease_scores(part, 3.0)
    visits = np.bincount(part.place, minlength=town.places)
    assert scores.shape == (town.users, 10)
    assert visits[kept].min() >= np.delete(visits, kept).max()
    asked = Requests.of(town, Cuts(1, len(town) - 9, len(town))).questions("stream")
    found = EaseNearby(l2=3.0, steepness=1.0, offset_m=50.0).fit(part).score(asked)
    assert found.shape == (len(asked), town.places)


def test_who_has_no_past_gets_the_nearest(town: VisitLog, requests: Requests) -> None:
    """Without any taste only distance tells places apart."""
    asking = requests.take(requests.user < 5)
    method = EaseNearby(l2=10.0, steepness=1.0, offset_m=50.0).fit(town.take(town.user >= 5))
    questions = asking.questions("stream")
    scores = method.score(questions)
    assert np.array_equal(scores.argmax(axis=1), questions.origin)


def test_no_shrinkage_has_no_solution(town: VisitLog) -> None:
    """A place that nobody has visited makes the matrix singular."""
    empty = town.first(100)
    with pytest.raises(ValueError, match="l2 = 0"):
        ease_scores(empty, 0.0)
