"""PSI and KS of the target: silent while users do what the model says, loud when they do not."""

import doctest
from datetime import timedelta

import numpy as np
import pytest
from prometheus_client import REGISTRY

from contracts.events import EventType, Interaction, encode
from contracts.settings import Settings
from models.reference import reference_of
from models.served_answers import Answers
from models.targets import Targets
from retrain import target_drift
from retrain.in_service import InService
from retrain.outcome_join import Waiting
from retrain.outcome_watch import OutcomeWatch
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


def test_what_users_do_with_answers_is_told_and_may_ask() -> None:
    """Through the join, as the monitor does: users go to the last of three places that they looked
    at, whatever the model says; the gauges and the evidence show it, for the version in service."""
    rng = np.random.default_rng(8)
    rows, every = rng.normal(size=(50, 1)), np.arange(51)
    times_s = np.linspace(0, 604_800, 50)
    trained = Answers(rows, every, times_s, every[1:].astype(np.uint64))
    reference = reference_of(("probability",), trained, rng, targets=Targets.of(drawn(rng)))
    watching = OutcomeWatch(Settings(_env_file=None, outcome_min_choices=LEAST))
    watching.follow(InService(1, (), reference, {}, 0.0))
    told = [0.6, 0.3, 0.2, 0.9]
    answers = [served(f"r{i}", f"u{i}", i, list("abcd"), told) for i in range(LEAST)]
    canary = served("other", "other", 0, list("abcd"), told, variant="canary", version=2)
    steps: tuple[tuple[int, str, EventType], ...] = (
        (1, "a", "view"),
        (2, "b", "view"),
        (9, "c", "visit"),
    )
    did = [
        encode(Interaction(a.user_id, place, kind, a.timestamp + timedelta(seconds=after)))
        for a in (*answers, canary)
        for after, place, kind in steps
    ]
    last = Interaction("z", "z", "view", answers[-1].timestamp + timedelta(seconds=300))
    received_s = last.timestamp.timestamp()
    messages = [(value, received_s) for value in (*did, encode(last))]
    assert watching.asking() == {}
    watching.update([*answers, canary], messages, drained=True)
    ((name, (psi, chance)),) = watching.asking().items()
    assert name == "target"
    assert psi > max(MARK, chance)
    evidence = watching.evidence()["target"]
    assert isinstance(evidence, dict)
    assert evidence["choices"] == LEAST
    # Always the one with 2 chances in 11: the band that holds it is all that was chosen.
    assert max(evidence["chosen"]) == 1
    watching.show()
    shown = REGISTRY.get_sample_value("placestream_drift_psi_ratio", {"feature": "target"})
    assert shown == pytest.approx(psi)
