"""Who asks, when, from where, and what may be known."""

import numpy as np
import pytest

from models.quality.requests import Cuts, Requests
from models.quality.visits import VisitLog
from tests.models.quality.towns import START_S, visits_of

# Ten visits; user 2 comes for the first time in the test part, user 0 and 1 come back.
LOG = visits_of(
    [(0, 0, 0), (1, 1, 1), (0, 2, 2), (1, 0, 3), (0, 0, 4), (1, 1, 5), (0, 2, 6), (1, 3, 7),
     (2, 0, 8), (0, 1, 9)],
    places=4,
)  # fmt: skip


def test_cuts_are_shares_of_the_visits() -> None:
    """0.8 + 0.1 of ten are nine, though the floats' sum is a little less."""
    assert Cuts.of(10, (0.8, 0.1, 0.1)) == Cuts(8, 9, 10)
    assert Cuts.of(10, (0.7, 0.1, 0.2)) == Cuts(7, 8, 10)


def test_judging_the_validation_part_moves_all_cuts_one_part_ahead() -> None:
    """Train 0.7, chosen on 0.1, judged on the validation tenth; the test is not touched."""
    assert Cuts.of(100, (0.8, 0.1, 0.1), "validation") == Cuts(70, 80, 90)


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.2), (1.0, 0.0, 0.0), (1.2, -0.1, -0.1)])
def test_shares_that_are_none_are_refused(shares: tuple[float, float, float]) -> None:
    """They must be above 0 and sum to 1."""
    with pytest.raises(ValueError, match="sum to 1"):
        Cuts.of(100, shares)


def test_too_few_visits_are_refused() -> None:
    """A part would be empty."""
    with pytest.raises(ValueError, match="too few"):
        Cuts.of(3, (0.8, 0.1, 0.1))


def test_a_first_visit_is_no_request() -> None:
    """User 2 has no previous visit, so no location; user 0 asks from place 2, and is new to 1."""
    requests = Requests.of(LOG, Cuts(6, 8, 10))
    assert requests.at.tolist() == [9]
    questions = requests.questions("stream")
    assert (questions.user.tolist(), questions.origin.tolist()) == ([0], [2])
    assert requests.target.tolist() == [1]
    assert requests.is_new.tolist() == [True]
    assert requests.gap_s.tolist() == [3 * 3_600]
    assert questions.time_s.tolist() == [START_S + 9 * 3_600]


def test_streamed_questions_know_all_before_and_frozen_ones_stop_at_the_cut() -> None:
    """Never the visit itself."""
    requests = Requests.of(LOG, Cuts(3, 5, 10))
    assert requests.questions("stream").known.tolist() == requests.at.tolist()
    assert requests.questions("frozen").known.tolist() == [5] * len(requests)


def test_known_places_are_those_before_the_request() -> None:
    """User 0 has been at 0, 2, 0, 2 before going to 1."""
    _, places = Requests.of(LOG, Cuts(6, 8, 10)).known_places()
    assert set(places.tolist()) == {0, 2}


def test_a_drawn_sample_is_in_order_and_repeats(town: VisitLog, cuts: Cuts) -> None:
    """By its seed."""
    requests = Requests.of(town, cuts)
    drawn = requests.drawn(20, seed=3)
    assert len(drawn) == 20
    assert np.all(np.diff(drawn.at) > 0)
    assert drawn.at.tolist() == requests.drawn(20, seed=3).at.tolist()
    assert drawn.at.tolist() != requests.drawn(20, seed=4).at.tolist()
