"""A planted leak is caught; honest baselines pass."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.quality.baselines import recipes
from models.quality.leaks import Leak, another_future, check_no_leak
from models.quality.methods import Method
from models.quality.requests import Cuts, Questions, Requests
from models.quality.visits import VisitLog

HONEST = recipes(seed=1)


def _peeks_at_the_target(questions: Questions) -> NDArray[np.float64]:
    """Puts first what is visited at the very position that is asked about."""
    target = questions.visits.place[questions.known]
    return np.eye(questions.visits.places)[target]


def _counts_the_future(questions: Questions) -> NDArray[np.float64]:
    """The user's visits at each place, of the whole log."""
    visits = questions.visits
    rows, past = visits.by_user.before(questions.user, np.full(len(questions), len(visits)))
    counts = np.zeros((len(questions), visits.places))
    np.add.at(counts, (rows, visits.place[past]), 1.0)
    return counts


@pytest.mark.parametrize("planted", [_peeks_at_the_target, _counts_the_future])
def test_a_planted_leak_is_caught(planted: object, requests: Requests) -> None:
    """Whether it reads the target or counts what comes later."""
    with pytest.raises(Leak, match="planted peeks"):
        check_no_leak("planted", planted, requests.questions("stream"), 20, seed=1)  # type: ignore[arg-type]


def test_a_streaming_leak_shows_in_frozen_questions(requests: Requests) -> None:
    """Who reads up to the moment although told to stop at the cut is caught, too."""

    def reads_on(questions: Questions) -> NDArray[np.float64]:
        later = np.searchsorted(questions.visits.time_s, questions.time_s)
        rows, past = questions.visits.by_user.before(questions.user, later)
        counts = np.zeros((len(questions), questions.visits.places))
        np.add.at(counts, (rows, questions.visits.place[past]), 1.0)
        return counts

    with pytest.raises(Leak):
        check_no_leak("reads on", reads_on, requests.questions("frozen"), 20, seed=1)


@pytest.mark.parametrize("recipe", HONEST, ids=lambda recipe: type(recipe).__name__)
def test_the_baselines_do_not_peek(
    recipe: object, town: VisitLog, cuts: Cuts, requests: Requests
) -> None:
    """In both modes."""
    index = next(i for i, one in enumerate(HONEST) if one is recipe)
    method: Method = HONEST[index].make(**HONEST[index].start).fit(town.first(cuts.known))
    for mode in ("stream", "frozen"):
        check_no_leak(method.name, method.score, requests.questions(mode), 10, seed=2)


def test_another_future_leaves_the_past_alone(town: VisitLog) -> None:
    """And changes most of what follows."""
    changed = another_future(town, 2_000, np.random.default_rng(1))
    assert np.array_equal(changed.place[:2_000], town.place[:2_000])
    assert np.mean(changed.place[2_000:] != town.place[2_000:]) > 0.9
