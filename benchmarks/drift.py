"""`python -m benchmarks.drift`: false alarms, delays and cost of the drift detectors.

On streams of which the truth is known (`benchmarks.drift_world`): sixty columns with the rhythm of
day and week, and no drift, for a simulated month; then each kind of drift, begun after a day of
calm, and how many answers pass until the triggers would ask for a training. The reference is of the
days before. Everything runs through the service's own detectors and triggers. What users choose is
simulated beside it (`benchmarks.drift_outcomes`), for the target's PSI and for ADWIN on the error;
and how often the model is right about it (`benchmarks.drift_accuracy`).
"""

import argparse
import time
from collections import Counter
from dataclasses import dataclass

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import drift_accuracy, drift_outcomes
from benchmarks.drift_world import COLUMNS, DRIFTS, PLACES, Drift, World
from benchmarks.report import Figure, publish
from contracts.settings import Settings
from models.reference import Reference, reference_of
from models.served_answers import Answers
from retrain.ks import ks_p_values
from retrain.mmd import MeanDiscrepancy
from retrain.psi import chance_stability, psi_of
from retrain.triggers import Observation, Policy, TriggerState, decide
from retrain.window import AnswerWindow, Compared

#: Days of the simulated calendar: the reference ends where the service begins.
FIRST_DAY, REFERENCE_DAYS = 19_000, 9
#: Answers between two looks: of 100 answers a second, one looks every 5 s.
LOOK = 500
KS_ALPHA = 0.05
#: So many of the answers lead to a choice.
CHOOSE = 0.3
#: A drift that is not found within so many answers was missed.
MOST = 160_000


@dataclass(frozen=True)
class Load:
    """How much is simulated."""

    a_day: int
    days: int
    reference: int


class Watch:
    """The detectors and the triggers, as the monitor joins them; clocked by the answers."""

    def __init__(self, reference: Reference, settings: Settings, rng: np.random.Generator) -> None:
        answers = settings.drift_window_answers
        self.window = AnswerWindow(reference, answers, settings.drift_window_s, rng)
        self._together = MeanDiscrepancy(self.window, answers, rng)
        self._policy = Policy.of(settings)
        self._state = TriggerState()
        self._least = settings.drift_min_answers
        self.asked: list[int] = []
        self.warned: Counter[str] = Counter()
        self.looks = 0
        self.spent_s = 0.0

    def take(self, answers: Answers) -> None:
        """Take in answers, and look once."""
        began_s = time.process_time()
        self.window.update(answers)
        if self.window.size >= self._least:
            self._look(float(answers.time_s[-1]))
        self.spent_s += time.process_time() - began_s

    def _look(self, now_s: float) -> None:
        compared = Compared.of(self.window)
        psi, chance = psi_of(compared).tolist(), chance_stability(compared).tolist()
        self.looks += 1
        self.warned["KS"] += bool((ks_p_values(compared) < KS_ALPHA).any())
        self.warned["MMD"] += self._together.judge().drifted
        seen = Observation(
            psi=dict(zip(COLUMNS, psi, strict=True)),
            chance=dict(zip(COLUMNS, chance, strict=True)),
            trained_at_s=now_s,
        )
        self._state = decide(seen, self._state, self._policy, now_s, lambda: "audit")
        if self._state.pending is not None:
            self.asked.append(self.window.taken)
            self._state = msgspec.structs.replace(self._state, pending=None)


class Stream:
    """A world, its reference, and watches over what it shows."""

    def __init__(self, seed: int, load: Load, settings: Settings) -> None:
        self._seed, self._load, self._settings = seed, load, settings
        self._world = World.of(seed)
        rng = np.random.default_rng([seed, 1])
        each = -(-load.reference // REFERENCE_DAYS)
        times_s = self._world.times(FIRST_DAY, each, REFERENCE_DAYS, rng)
        self._reference = reference_of(COLUMNS, self._world.answers(times_s, rng), rng)

    def calm(self) -> Watch:
        """A month without drift."""
        return self._run(self._load.days, None, 0)

    def delay(self, drift: Drift) -> int | None:
        """Answers from the begin of a drift to the request; `None` if it was missed.

        Raises:
            RuntimeError: a training was asked for before the drift began.
        """
        calm = self._load.a_day
        watch = self._run(1 + -(-MOST // self._load.a_day), drift, calm)
        if watch.asked and watch.asked[0] <= calm:
            raise RuntimeError("a false alarm in the day before a drift")
        late = [at - calm for at in watch.asked if at - calm <= MOST]
        return late[0] if late else None

    def _run(self, days: int, drift: Drift | None, calm: int) -> Watch:
        rng = np.random.default_rng([self._seed, 2])
        first_day = FIRST_DAY + REFERENCE_DAYS
        times_s = self._world.times(first_day, self._load.a_day, days, rng)
        watch = Watch(self._reference, self._settings, rng)
        for start in range(0, len(times_s), LOOK):
            part = times_s[start : start + LOOK]
            answers = self._world.answers(part, rng)
            if drift is not None and start >= calm:
                values = drift(answers, part - times_s[calm])
                answers = Answers(values, answers.first, answers.time_s, answers.user)
                if watch.asked:
                    break
            watch.take(answers)
        return watch


def _of_month(watches: list[Watch], days: int) -> list[Figure]:
    month = 30 / days
    figures = [
        Figure(
            "false retrains a month (aim 1)",
            "retrains",
            tuple(month * len(w.asked) for w in watches),
        )
    ]
    for name in ("KS", "MMD"):
        shares = tuple(100 * w.warned[name] / w.looks for w in watches)
        figures.append(Figure(f"looks with a false warning by {name}", "%", shares))
    cost = tuple(1e6 * w.spent_s / w.window.taken for w in watches)
    return [*figures, Figure("CPU of all detectors, aim 20", "us/answer", cost)]


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--a-day", type=int, default=20_000, help="answers a day")
    parser.add_argument("--days", type=int, default=30, help="days without drift")
    parser.add_argument("--reference", type=int, default=1_600, help="answers of the training")
    parser.add_argument("--window", type=int, help="answers that a window holds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    given = _parsed()
    with threadpool_limits(1, "blas"):  # as roles have it (`placestream.command`)
        _measure(given)


def _measure(given: argparse.Namespace) -> None:
    settings = Settings(_env_file=None)
    if given.window:
        settings = settings.model_copy(update={"drift_window_answers": given.window})
    load = Load(given.a_day, given.days, given.reference)
    streams = [Stream(seed, load, settings) for seed in range(given.seeds)]
    figures = _of_month([stream.calm() for stream in streams], load.days)
    missed = {}
    for name, drift in DRIFTS.items():
        delays = [stream.delay(drift) for stream in streams]
        found = tuple(float(delay) for delay in delays if delay is not None)
        missed[name] = f"{len(delays) - len(found)} of {len(delays)}"
        if found:
            figures.append(Figure(f"delay, {name}", "answers", found))
    choices = int(CHOOSE * load.a_day), int(CHOOSE * load.reference)
    of_choices, lost = drift_outcomes.figures(given.seeds, settings, *choices, load.days)
    figures += of_choices + drift_accuracy.figures(given.seeds, settings, choices[0], load.days)
    missed |= lost
    publish(
        f"Drift of {len(COLUMNS)} columns with daily and weekly rhythm, {PLACES} places an answer",
        figures,
        {
            "aim": "a shift of PSI 0.25 within 5,000 answers",
            "missed": {name: count for name, count in missed.items() if count[0] != "0"},
            "window_answers": settings.drift_window_answers,
            "reference_answers": load.reference,
            "answers_a_day": load.a_day,
            "days": load.days,
            "seeds": given.seeds,
        },
    )


if __name__ == "__main__":
    main()
