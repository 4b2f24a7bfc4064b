"""Choices of which the truth is known: false alarms and delays of ADWIN and of PSI of the target.

Users look at some of ten places and choose by the probabilities that a model gave, to a power: 1 is
a model that is right. By day the lists are more one-sided than by night, so that the error has a
rhythm, which is no drift. A few users make most choices.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.drift_world import DAY_S, PLACES, USERS, World, day_shape
from benchmarks.report import Figure
from contracts.settings import Settings
from models.rhythm import Swing, rhythm
from models.targets import Chances, Targets
from retrain.error_drift import ErrorDrift
from retrain.target_drift import TARGET, TargetDrift
from retrain.triggers import Observation, Policy, TriggerState, decide

Floats = NDArray[np.float64]
#: Choices between two looks: at 30 a second, one looks every 5 s.
LOOK = 150
#: How users choose after a change, by name: probabilities to this power.
CHANGES = {"they weigh half as much": 0.5, "they no longer care": 0.0, "they turn round": -1.0}
#: A change that is not found within so many choices was missed.
MOST = 60_000


@dataclass(frozen=True)
class Choosers:
    """People of a `World` who choose.

    Attributes:
        world: whose users, and hours, they have.
        a_day: choices a day.
        first_day: of the calendar.
    """

    world: World
    a_day: int
    first_day: int

    def chances(self, time_s: Floats, truth: float, rng: np.random.Generator) -> Chances:
        """What is chosen at these times."""
        n = len(time_s)
        sharp = 1.5 + day_shape(time_s)
        odds = np.exp(sharp[:, None] * rng.standard_normal((n, PLACES)))
        probability = odds / odds.sum(axis=1, keepdims=True)
        order = np.argsort(-probability, axis=1)
        probability = np.take_along_axis(probability, order, axis=1)
        looked = 2 + rng.poisson(1.5, n)
        seen = np.arange(PLACES) < looked[:, None]
        weight = np.where(seen, probability**truth, 0.0)
        drawn = rng.random((n, 1)) * weight.sum(axis=1, keepdims=True)
        choice = (drawn > weight.cumsum(axis=1)).sum(axis=1).clip(max=PLACES - 1)
        chosen = np.arange(PLACES) == choice[:, None]
        first = np.r_[0, np.cumsum(seen.sum(axis=1))].astype(np.int64)
        user = rng.choice(USERS, n, p=self.world.activity).astype(np.uint64)
        return Chances.of(probability[seen], chosen[seen], first, user)

    def times(self, days: int, rng: np.random.Generator) -> Floats:
        """When the choices of some days are made, ascending."""
        return self.world.times(self.first_day, self.a_day, days, rng)


class OutcomeDrift:
    """Both detectors, with the references of a training on some choices of the days before.

    Args:
        settings: windows and marks.
        choosers: whose days before are the training.
        choices: of the training.
        rng: draws them.
    """

    def __init__(
        self, settings: Settings, choosers: Choosers, choices: int, rng: np.random.Generator
    ) -> None:
        before_s = choosers.times(7, rng) - 7 * DAY_S
        times_s = np.sort(rng.choice(before_s, choices, replace=False))
        trained = choosers.chances(times_s, 1.0, rng)
        targets = Targets.of(trained)
        if targets is None:
            raise AssertionError("somebody chose something")
        phi = rhythm(times_s[: len(trained)])
        self._errors = ErrorDrift(Swing.of(phi, 1 - trained.chosen[:, None]))
        window, least = settings.target_window_choices, settings.outcome_min_choices
        self._target = TargetDrift(targets, window, least)
        self._policy = Policy.of(settings)
        self._state = TriggerState()
        self.taken = self.looks = self.certain = 0
        #: Choices after which PSI asked for a training, and after which ADWIN saw the error rise.
        self.asked: list[int] = []
        self.risen: list[int] = []

    def take(self, chances: Chances, time_s: Floats) -> None:
        """Take in choices, and look once."""
        rises = self._errors.rises
        self._errors.update(1 - chances.chosen.astype(np.float64), rhythm(time_s[: len(chances)]))
        self.taken += len(chances)
        self.risen += [self.taken] * (self._errors.rises - rises)
        self._target.update(chances)
        if (judged := self._target.judge()) is None:
            return
        self.looks += 1
        self.certain += judged.ks_p < 0.05
        now_s = float(time_s[-1])
        seen = Observation({TARGET: judged.psi}, trained_at_s=now_s, chance={TARGET: judged.chance})
        state = decide(seen, self._state, self._policy, now_s, lambda: "audit")
        if state.pending is not None:
            self.asked.append(self.taken)
        self._state = msgspec.structs.replace(state, pending=None)


def figures(
    seeds: int, settings: Settings, a_day: int, choices: int, days: int
) -> tuple[list[Figure], dict[str, str]]:
    """False alarms of a month and delays of each change, and how many of the latter were missed."""
    calm = [lived(seed, settings, a_day, choices, days, 1.0)[0] for seed in range(seeds)]
    month = 30 / days
    found = [
        Figure(
            "false retrains a month by the target",
            "retrains",
            tuple(month * len(drift.asked) for drift in calm),
        ),
        Figure(
            "looks with a false warning by KS of the target",
            "%",
            tuple(100 * drift.certain / max(drift.looks, 1) for drift in calm),
        ),
        Figure(
            "false rises of the error a month by ADWIN",
            "rises",
            tuple(month * len(drift.risen) for drift in calm),
        ),
    ]
    missed = {}
    for name, truth in CHANGES.items():
        runs = [lived(seed, settings, a_day, choices, days, truth) for seed in range(seeds)]
        for detector in ("asked", "risen"):
            delays = [_delay(getattr(drift, detector), changed) for drift, changed in runs]
            label = f"{name}, {'target' if detector == 'asked' else 'ADWIN'}"
            known = tuple(float(delay) for delay in delays if delay is not None)
            missed[label] = f"{seeds - len(known)} of {seeds}"
            if known:
                found.append(Figure(f"delay, {label}", "choices", known))
    return found, missed


def _delay(found: list[int], changed: int) -> int | None:
    """Choices from the change to the first finding after it; `None` if it was missed."""
    return next((at - changed for at in found if changed < at <= changed + MOST), None)


def lived(
    seed: int, settings: Settings, a_day: int, choices: int, days: int, truth: float
) -> tuple[OutcomeDrift, int]:
    """Some days without a change or, where `truth` is another than 1, one, and then the change.

    Returns:
        The detectors, and how many choices they had taken when the change came.
    """
    rng = np.random.default_rng([seed, 3])
    choosers = Choosers(World.of(seed), a_day, 19_009)
    drift = OutcomeDrift(settings, choosers, choices, rng)
    calm = len(choosers.times(1, rng)) if truth != 1 else 0
    changed = 0
    times_s = choosers.times(days, rng)
    for start in range(0, len(times_s), LOOK):
        if truth != 1 and start >= calm and not changed:
            changed = drift.taken
        if changed and (drift.taken - changed > MOST or (drift.asked and drift.risen)):
            break
        part = times_s[start : start + LOOK]
        drift.take(choosers.chances(part, truth if changed else 1.0, rng), part)
    return drift, changed
