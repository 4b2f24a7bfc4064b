"""Factor models on a town of two quarters that never meet."""

from typing import Any

import numpy as np
import pytest

from models.quality.baselines.factors import AlsRecipe, BprRecipe, user_place_counts
from models.quality.requests import Cuts, Requests
from models.quality.visits import VisitLog
from tests.models.quality.towns import visits_of


def _quarters() -> VisitLog:
    """Users 0 to 9 visit places 0 to 4, users 10 to 19 places 5 to 9, one of them not yet."""
    rows = [
        (user, 5 * (user // 10) + place, float(20 * turn + user))
        for turn in range(5)
        for user in range(20)
        for place in range(5)
        if place != user % 5
    ]
    rows.sort(key=lambda row: row[2])
    last = rows[-1][2]
    rows += [(user, 5 * (user // 10) + user % 5, last + 1 + user) for user in range(20)]
    return visits_of(rows, places=10)


TOWN = _quarters()
CUTS = Cuts(len(TOWN) - 40, len(TOWN) - 20, len(TOWN))
REQUESTS = Requests.of(TOWN, CUTS)


@pytest.mark.parametrize("recipe", [AlsRecipe(3), BprRecipe(3)])
def test_the_missing_place_of_the_own_quarter_is_found(recipe: Any) -> None:
    """It outscores every place of the other quarter for (nearly) all users."""
    method = recipe.make(**recipe.start).fit(TOWN.first(CUTS.known))
    scores = method.score(REQUESTS.questions("stream"))
    other = np.where((np.arange(10) // 5)[None] != (REQUESTS.user // 10)[:, None], scores, -np.inf)
    own = scores[np.arange(len(REQUESTS)), REQUESTS.target]
    assert np.mean(own > other.max(axis=1)) > 0.8


def test_counts_are_logarithms() -> None:
    """Five visits count log 6."""
    counts = user_place_counts(TOWN.first(CUTS.known)).toarray()
    assert counts[0, 1] == pytest.approx(np.log(6))
    assert counts[0, 0] == 0


def test_the_same_seed_gives_the_same_factors() -> None:
    """To the bit."""
    questions = REQUESTS.questions("stream")
    first, second = (
        BprRecipe(3).make(**BprRecipe.start).fit(TOWN).score(questions) for _ in range(2)
    )
    assert np.array_equal(first, second)


def test_users_unknown_to_the_fit_see_what_is_popular() -> None:
    """Fitted without user 0, their scores are the counts of visits."""
    others = TOWN.take(TOWN.user != 0)
    method = AlsRecipe(3).make(**AlsRecipe.start).fit(others)
    scores = method.score(REQUESTS.take(REQUESTS.user == 0).questions("stream"))
    assert scores[0].tolist() == np.bincount(others.place).tolist()
