"""The upper bound of an accuracy, against the textbook and against simulation."""

import doctest

import numpy as np
import pytest
from scipy import stats

from retrain import served_accuracy
from retrain.served_accuracy import ServedAccuracy, upper_bound


def test_the_examples_in_the_docstring_run() -> None:
    """What the documentation shows is what happens."""
    failed, attempted = doctest.testmod(served_accuracy)
    assert attempted > 0
    assert failed == 0


def test_of_users_who_chose_once_it_is_students() -> None:
    """m + t s / sqrt(n), as scipy has it."""
    values = np.random.default_rng(1).uniform(size=30)
    one_sided = stats.ttest_1samp(values, 0, alternative="less").confidence_interval(0.95)
    assert upper_bound(values, np.arange(30), 0.05) == pytest.approx(one_sided.high)


def test_it_is_passed_as_seldom_as_stated_although_choices_of_a_user_are_alike() -> None:
    """500 choices of 60 unequal users, who differ: one bound in twenty lies below the truth.

    With each choice for itself it would be several times as many.
    """
    rng = np.random.default_rng(2)
    share = rng.dirichlet(np.full(60, 3.0))
    passed = alone = 0
    runs = 600
    for _ in range(runs):
        user = rng.choice(60, 500, p=share)
        values = (rng.normal(0, 0.1, 60)[user] + rng.normal(0.8, 0.15, 500)).astype(float)
        passed += upper_bound(values, user, 0.05) < 0.8
        alone += upper_bound(values, np.arange(500), 0.05) < 0.8
    assert stats.binomtest(int(passed), runs, 0.05).pvalue > 1e-4
    assert stats.binomtest(int(alone), runs, 0.05).pvalue < 1e-12


def test_a_single_user_has_no_bound() -> None:
    """However often one chose; nothing chosen has no mean either."""
    accuracy = ServedAccuracy(100)
    assert np.isnan(accuracy.told()).all()
    for _ in range(50):
        accuracy.add(0.6, "u")
    mean, high = accuracy.told()
    assert mean == pytest.approx(0.6)
    assert np.isnan(high)


def test_the_newest_choices_count() -> None:
    """Of a hundred wrong ones nothing is left after a hundred right ones."""
    accuracy = ServedAccuracy(100)
    for value in (0.6, 1.0):
        for i in range(100):
            accuracy.add(value, f"u{i}")
    assert len(accuracy) == 100
    assert accuracy.told() == (1.0, 1.0)
