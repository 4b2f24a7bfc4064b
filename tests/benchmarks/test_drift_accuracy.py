"""The choices that the accuracy's alarms are measured on: as right as they are called."""

import numpy as np
import pytest

from benchmarks.drift_accuracy import AFTER, BEFORE, Right, calm, fall
from benchmarks.drift_world import World
from contracts.settings import Settings

SETTINGS = Settings(_env_file=None, outcome_answers=2_000)


@pytest.mark.parametrize("accuracy", [AFTER, 0.802, BEFORE])
def test_choices_are_as_right_as_they_are_called(accuracy: float) -> None:
    """The mean of two hundred thousand; five standard errors are 0.002."""
    rng = np.random.default_rng(1)
    choices = Right.of(accuracy, World.of(1), rng).choices(200_000, rng)
    assert np.mean([value for value, _ in choices]) == pytest.approx(accuracy, abs=0.002)


def test_the_mean_alone_asks_of_a_model_above_the_mark_and_its_bound_does_not() -> None:
    """Ten days: at 0.802 some window of 2,000 has a mean below 0.80."""
    asked = calm(1, SETTINGS, a_day=3_000, days=10).at
    assert asked[True] == []
    assert len(asked[False]) >= 1


def test_a_fall_is_found_within_two_windows() -> None:
    """A window of nothing but what came after it lies surely below the mark."""
    assert 0 < fall(1, SETTINGS, a_day=3_000) <= 2 * SETTINGS.outcome_answers
