"""How much marked places are underrated: recovered from choices, and held back by the prior."""

import numpy as np
import pytest
from scipy.special import expit, logit

from models.appeal import MOST, PRIOR_SD, appeal
from models.listwise import NOT_THERE


def _sets(
    rng: np.random.Generator, sets: int, truth: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sets of ten places of random utility, two of them marked, chosen from with an offset."""
    utility = rng.normal(size=(sets, 10))
    marked = np.zeros((sets, 10), bool)
    marked[:, :2] = True
    gumbel = rng.gumbel(size=utility.shape)
    chosen = (utility + truth * marked + gumbel).argmax(axis=1)
    order = np.argsort(np.arange(10) != chosen[:, None], axis=1, kind="stable")
    cells = np.stack(np.nonzero(np.ones_like(marked)), axis=1)
    expected = np.zeros((sets, 12))
    expected[:, 10:] = NOT_THERE
    by = np.take_along_axis
    return by(utility, order, 1).ravel(), by(marked, order, 1).ravel(), cells, expected


@pytest.mark.parametrize("truth", [-1.0, 0.0, 1.5])
def test_an_offset_is_recovered(truth: float) -> None:
    """From 20,000 choices, within four standard errors (some 0.02 each)."""
    assert appeal(*_sets(np.random.default_rng(3), 20_000, truth)) == pytest.approx(truth, abs=0.08)


def test_how_sets_were_drawn_is_corrected_for() -> None:
    """Marked places that are drawn ten times as often as they stand there are no less liked."""
    utility, marked, cells, expected = _sets(np.random.default_rng(5), 20_000, 1.0)
    request, place = cells[marked].T
    shifted = utility + np.log(10) * marked
    expected[request, place] += np.log(10)
    assert appeal(shifted, marked, cells, expected) == pytest.approx(1.0, abs=0.08)


def test_few_choices_move_it_little() -> None:
    """One set of two equal places, the marked one chosen: x solves x / sd^2 = 1 - sigmoid(x)."""
    found = appeal(
        np.zeros(2), np.array([True, False]), np.array([[0, 0], [0, 1]]), np.zeros((1, 2))
    )
    assert found / PRIOR_SD**2 == pytest.approx(1 - expit(found), abs=1e-4)


def test_nothing_to_learn_from_changes_nothing() -> None:
    """No marked place at all, or only sets of marked ones."""
    cells, expected = np.array([[0, 0], [0, 1]]), np.zeros((1, 2))
    assert appeal(np.zeros(2), np.zeros(2, bool), cells, expected) == 0.0
    assert appeal(np.zeros(2), np.ones(2, bool), cells, expected) == pytest.approx(0.0, abs=1e-3)


def test_it_is_bounded() -> None:
    """However many choices say the same."""
    sets = 1_000
    cells = np.stack(np.nonzero(np.ones((sets, 2))), axis=1)
    marked = cells[:, 1] == 0
    found = appeal(np.where(marked, logit(1e-6), 0.0), marked, cells, np.zeros((sets, 2)))
    assert found == pytest.approx(MOST, abs=0.01)
