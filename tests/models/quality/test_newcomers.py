"""New users, played."""

import numpy as np
import pytest

from models.quality.newcomers import EACH, Newcomers, newcomer_slices, play_newcomers, refit
from models.quality.requests import Cuts, Requests
from models.quality.visits import VisitLog


@pytest.fixture(scope="module")
def newcomers(requests: Requests) -> Newcomers:
    return play_newcomers(requests, seed=1)


def test_their_past_is_gone_and_everybody_elses_is_there(
    town: VisitLog, cuts: Cuts, newcomers: Newcomers
) -> None:
    """A fifth of the 40 users; nothing of the judged part is missing."""
    assert len(newcomers.users) == 8
    left = refit(town, newcomers)
    assert not np.isin(left.user, newcomers.users).any()
    others = ~np.isin(town.user[: cuts.known], newcomers.users)
    assert np.array_equal(left.place, town.place[: cuts.known][others])
    assert len(newcomers.requests.visits) == len(left) + len(town) - cuts.known


def test_the_first_request_knows_nothing_of_its_user_but_where_they_are(
    requests: Requests, newcomers: Newcomers
) -> None:
    """Targets, moments and origins are those of the real requests."""
    asked = newcomers.requests
    past = asked.visits.user_past[asked.at]
    for user in newcomers.users.tolist():
        real, played = (np.flatnonzero(one.user == user) for one in (requests, asked))
        assert past[played].tolist() == list(range(len(played)))
        assert len(played) == min(EACH, len(real))
        first = real[: len(played)]
        assert np.array_equal(asked.target[played], requests.target[first])
        assert np.array_equal(asked.origin[played], requests.origin[first])
        questions = asked.questions("stream").time_s[played]
        assert np.array_equal(questions, requests.questions("stream").time_s[first])


def test_slices_are_by_known_visits(newcomers: Newcomers) -> None:
    """0, then 1 and 2, then 3 to 5, then more."""
    slices = {part.name: part.rows for part in newcomer_slices(newcomers)}
    assert len(slices["newcomer_0"]) == len(newcomers.users)
    past = newcomers.requests.visits.user_past[newcomers.requests.at]
    assert set(past[slices["newcomer_1_2"]].tolist()) == {1, 2}
    assert past[slices["newcomer_6_up"]].min() == 6
    assert sum(map(len, slices.values())) == len(newcomers.requests)
