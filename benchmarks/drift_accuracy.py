"""False alarms of the accuracy of what is served, and how soon a fall of it is found.

The model says yes of one place in most of the choices, and no of all five in the others. How often
it is right differs from user to user, and a few users make most choices.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.drift_world import DAY_S, USERS, World
from benchmarks.report import Figure
from contracts.settings import Settings
from retrain.served_accuracy import ServedAccuracy
from retrain.triggers import Observation, Policy, TriggerState, decide

#: Choices between two looks: at 30 a second, one looks every 5 s.
LOOK = 150
#: The true accuracy whose false alarms are counted: a little above the mark of 0.80.
CALM = 0.802
BEFORE, AFTER = 0.85, 0.75
#: A fall that is not found within so many choices was missed.
MOST = 60_000
_YES = 0.6
_ALIKE = 5.0


@dataclass(frozen=True)
class Right:
    """How often the model is right when it says yes, user by user: float64[USERS].

    Says it yes rightly, all five verdicts are right; wrongly, three; says it no of all five, four.
    """

    share: NDArray[np.float64]
    activity: NDArray[np.float64]

    @classmethod
    def of(cls, accuracy: float, world: World, rng: np.random.Generator) -> "Right":
        """Of all choices together, so many verdicts are right."""
        right = 0.5 + (accuracy - 0.8) / (0.4 * _YES)
        share = rng.beta(_ALIKE * right, _ALIKE * (1 - right), USERS)
        share += right - float(world.activity @ share)
        return cls(share, world.activity)

    def choices(self, n: int, rng: np.random.Generator) -> list[tuple[float, str]]:
        """Accuracy and user of some choices."""
        user = rng.choice(USERS, n, p=self.activity)
        yes, right = rng.random(n) < _YES, rng.random(n) < self.share[user]
        accuracy = np.where(yes, np.where(right, 1.0, 0.6), 0.8)
        return list(zip(accuracy.tolist(), user.astype(str).tolist(), strict=True))


class Asked:
    """The accuracy and the triggers, as the monitor joins them; and triggers on the mean alone.

    Args:
        settings: windows and marks.
    """

    def __init__(self, settings: Settings) -> None:
        self._accuracy = ServedAccuracy(settings.outcome_answers)
        self._least = settings.outcome_min_choices
        self._policy = Policy.of(settings)
        self._states = {True: TriggerState(), False: TriggerState()}
        self.taken = 0
        #: Choices after which a training was asked for, by the bound and by the mean alone.
        self.at: dict[bool, list[int]] = {True: [], False: []}

    def take(self, choices: list[tuple[float, str]], now_s: float) -> None:
        """Take in choices, and look once."""
        for accuracy, user in choices:
            self._accuracy.add(accuracy, user)
        self.taken += len(choices)
        if len(self._accuracy) < self._least:
            return
        mean, high = self._accuracy.told()
        for by_bound, state in self._states.items():
            seen = Observation(
                trained_at_s=now_s, accuracy=mean, accuracy_high=high if by_bound else None
            )
            after = decide(seen, state, self._policy, now_s, lambda: "audit")
            if after.pending is not None:
                self.at[by_bound].append(self.taken)
            self._states[by_bound] = msgspec.structs.replace(after, pending=None)


def figures(seeds: int, settings: Settings, a_day: int, days: int) -> list[Figure]:
    """False alarms of a month, and the delay of a fall."""
    runs = [calm(seed, settings, a_day, days) for seed in range(seeds)]
    found = []
    for by, bound in (("bound", True), ("mean alone", False)):
        name = f"false retrains a month by an accuracy of {CALM}, by its {by}"
        asked = tuple(30 / days * len(run.at[bound]) for run in runs)
        found.append(Figure(name, "retrains", asked))
    delays = tuple(fall(seed, settings, a_day) for seed in range(seeds))
    return [*found, Figure(f"delay, accuracy falls to {AFTER}", "choices", delays)]


def calm(seed: int, settings: Settings, a_day: int, days: int) -> Asked:
    """Days in which the accuracy stays where it is."""
    rng = np.random.default_rng([seed, 4])
    right, asked = Right.of(CALM, World.of(seed), rng), Asked(settings)
    for look in range(a_day * days // LOOK):
        asked.take(right.choices(LOOK, rng), DAY_S * look * LOOK / a_day)
    return asked


def fall(seed: int, settings: Settings, a_day: int) -> float:
    """Choices from a fall to the request; the window was full before.

    Raises:
        RuntimeError: it was missed.
    """
    rng = np.random.default_rng([seed, 5])
    world, asked = World.of(seed), Asked(settings)
    asked.take(Right.of(BEFORE, world, rng).choices(settings.outcome_answers, rng), 0.0)
    right = Right.of(AFTER, world, rng)
    for look in range(MOST // LOOK):
        asked.take(right.choices(LOOK, rng), DAY_S * look * LOOK / a_day)
        if asked.at[True]:
            return float(asked.at[True][0] - settings.outcome_answers)
    raise RuntimeError(f"an accuracy of {AFTER} was not found within {MOST} choices")
