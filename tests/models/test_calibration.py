"""Calibration recovers what was done to the logits, and never turns the order around."""

import numpy as np
import pytest
from scipy.special import expit

from models.calibration import fit_platt, row_probability
from models.evaluation import calibration_error


def _rows(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True logits, expected counts, and labels drawn at the odds of the rows."""
    rng = np.random.default_rng(5)
    logits = rng.normal(-4, 2, n)
    expected = rng.choice([0.002, 0.05, 0.5], n)
    return logits, expected, rng.random(n) < expit(logits - np.log(expected))


def test_a_distorted_logit_is_brought_back() -> None:
    """Logits seen as (z - 1) / 2 need a = 2 and b = 1, whatever the rows' odds."""
    logits, expected, labels = _rows(200_000)
    slope, intercept = fit_platt((logits - 1) / 2, expected, labels)
    assert slope == pytest.approx(2, rel=0.03)
    assert intercept == pytest.approx(1, abs=0.06)


def test_rows_are_judged_at_the_odds_they_were_drawn_at() -> None:
    """The row's probability is calibrated on the rows; the served one is not, and need not be."""
    logits, expected, labels = _rows(200_000)
    assert calibration_error(labels, row_probability(logits, expected)) < 0.01
    assert calibration_error(labels, expit(logits)) > 0.2


def test_a_useless_score_keeps_its_order() -> None:
    """Logits that point the wrong way get a slope near 0, not below."""
    logits, expected, labels = _rows(2_000)
    slope, _ = fit_platt(-logits, expected, labels)
    assert 0 < slope < 0.2


def test_a_separable_part_keeps_a_finite_slope() -> None:
    """Labels told apart without error would drive an unguarded slope to infinity."""
    logits = np.array([-1.0, -0.5, 0.5, 1.0])
    slope, intercept = fit_platt(logits, np.ones(4), logits > 0)
    assert 0 < slope < 20
    assert intercept == pytest.approx(0, abs=1e-6)


def test_one_class_is_refused() -> None:
    """Nothing can be calibrated to labels that never differ."""
    with pytest.raises(ValueError, match="one positive"):
        fit_platt(np.zeros(3), np.ones(3), np.zeros(3, bool))
