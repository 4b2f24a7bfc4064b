"""PSI and KS of the target: silent while users do what the model says, loud when they do not."""

import doctest

import numpy as np
import pytest

from models.targets import Targets
from retrain import target_drift
from retrain.outcome_join import Waiting
from retrain.target_drift import TargetDrift, chances_of
from tests.models.test_targets import drawn
from tests.retrain.answers_and_outcomes import served

LEAST, WINDOW = 200, 1_000
MARK = 0.2


def watch(seed: int = 0) -> tuple[TargetDrift, np.random.Generator]:
    rng = np.random.default_rng(seed)
    targets = Targets.of(drawn(rng))
    assert targets is not None
    return TargetDrift(targets, WINDOW, LEAST), rng


def test_the_example_in_the_docstring_runs() -> None:
    """What the documentation shows is what happens."""
    failed, attempted = doctest.testmod(target_drift)
    assert attempted > 0
    assert failed == 0


def test_users_who_do_what_the_model_says_are_no_drift() -> None:
    """Twenty windows, of lists shorter and longer than the training's: below the mark and, but for
    one look in a thousand, below chance."""
    above = 0
    for seed in range(20):
        drift, rng = watch(seed)
        drift.update(drawn(rng, n=WINDOW, places=(2, 3, 10)[seed % 3]))
        judged = drift.judge()
        assert judged is not None
        assert judged.psi < MARK / 2
        above += judged.psi > judged.chance
    assert above <= 1


@pytest.mark.parametrize("truth", [-1.0, 0.0])
def test_users_who_turn_round_or_no_longer_care_are_found(truth: float) -> None:
    """Large, certain, and told with the rates that changed."""
    drift, rng = watch()
    drift.update(drawn(rng, n=WINDOW, truth=truth))
    judged = drift.judge()
    assert judged is not None
    assert judged.psi > max(MARK, judged.chance)
    assert judged.ks_p < 1e-6
    assert judged.chosen[0] > 2 * judged.expected[0]
    assert sum(judged.told()["chosen"]) == pytest.approx(1, abs=0.01)


def test_the_window_forgets() -> None:
    """What was found is gone once a whole window of choices is as it should be."""
    drift, rng = watch()
    drift.update(drawn(rng, n=WINDOW, truth=-1.0))
    drift.update(drawn(rng, n=WINDOW))
    judged = drift.judge()
    assert judged is not None
    assert judged.psi < MARK / 2
    assert judged.choices == WINDOW


def test_few_choices_say_nothing() -> None:
    """One below the least."""
    drift, rng = watch()
    drift.update(drawn(rng, n=LEAST - 1, truth=-1.0))
    assert drift.judge() is None
    drift.update(drawn(rng, n=1))
    assert drift.judge() is not None


def answered(looked: list[int], first: int, probability: list[float | None]) -> Waiting:
    answer = Waiting.of(served("r", "u", 0, list("abcd"), probability))
    answer.looked[looked] = True
    answer.chosen[first], answer.first = True, first
    return answer


def test_only_what_was_looked_at_is_what_was_chosen_from() -> None:
    """Looks told: those places, and the one chosen; none told: all that were shown."""
    told: list[float | None] = [0.4, 0.2, 0.2, 0.1]
    some = chances_of([answered([0, 1], 0, told)])
    assert some.share == pytest.approx([2 / 3, 1 / 3])
    assert some.chosen == pytest.approx([2 / 3])
    beyond = chances_of([answered([0], 3, told)])
    assert beyond.share == pytest.approx([0.8, 0.2])
    assert beyond.chosen == pytest.approx([0.2])
    every = chances_of([answered([], 1, told)])
    assert every.share == pytest.approx(np.array([0.4, 0.2, 0.2, 0.1]) / 0.9)


def test_places_without_a_probability_are_left_out() -> None:
    """One of those shown; where it was the one chosen, the answer says nothing."""
    assert chances_of([answered([], 0, [0.5, None, 0.5, None])]).share == pytest.approx([0.5, 0.5])
    assert len(chances_of([answered([], 1, [0.5, None, 0.5, None])])) == 0
    assert len(chances_of([])) == 0
