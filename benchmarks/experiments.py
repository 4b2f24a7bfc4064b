"""`python -m benchmarks.experiments`: how often the statistics of a rollout err, by simulation.

Two variants of a made-up service, looked at every day. People differ in how often they come, in how
much they ask, and in how readily they act, and they come back: what one of them does resembles what
they did before. Under no difference it counts the runs in which a look at any day calls one, by
the interval of `retrain.sequential` and, beside it, by what is commonly done: a test of two shares
over all answers, and the same by user. Then for several uplifts: how many runs find them, and
after how many users of the canary. And the same for the check of the shares themselves.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np

from benchmarks.report import Figure, publish
from retrain.sample_ratio import ALPHA as MISMATCH_ALPHA
from retrain.sample_ratio import mismatch_p
from retrain.sequential import Arm, Metric, compare

SUCCESS = Metric("success", "relative", "more", 0.05)
UPLIFTS = (0.02, 0.05, 0.1, 0.2)
#: Two-sided 5 % of a normal distribution.
_Z = 1.959964


@dataclass(frozen=True)
class World:
    """People and their habits.

    Attributes:
        users: how many there are; not all come every day.
        days: how many days are looked at.
        share: of the users, in the canary.
        success: chance that something comes of an answer, on average.
        alike: how far people differ in it (Beta distribution; lower: more).
        visits: chance that somebody comes on a day, on average.
        answers: answers on a day that somebody comes, on average.
    """

    users: int = 20_000
    days: int = 28
    share: float = 0.1
    success: float = 0.1
    alike: float = 10.0
    visits: float = 0.2
    answers: float = 4.0


@dataclass(frozen=True)
class Day:
    """Both variants as they stand at the end of a day."""

    control: Arm
    treated: Arm


Judge = Callable[[Day], bool]
#: By judge, the canary as it stood when it first saw something, a run each.
Calls = dict[str, list[Arm]]


def run(world: World, lift: float, rng: np.random.Generator, lost: float = 0.0) -> Iterator[Day]:
    """One experiment, day by day.

    Args:
        world: who takes part.
        lift: by what share the canary's people act more readily.
        rng: of all that is random.
        lost: share of the canary's people of whom nothing is ever logged.
    """
    users = world.users
    chance = rng.beta(world.success * world.alike, (1 - world.success) * world.alike, users)
    habit = rng.beta(world.visits * 4, (1 - world.visits) * 4, users)
    treated = rng.random(users) < world.share
    chance[treated] = np.minimum(1.0, chance[treated] * (1 + lift))
    habit[treated & (rng.random(users) < lost)] = 0.0
    n, y = np.zeros(users), np.zeros(users)
    for _ in range(world.days):
        here = np.flatnonzero(rng.random(users) < habit)
        asked = 1 + rng.poisson(world.answers - 1, len(here))
        n[here] += asked
        y[here] += rng.binomial(asked, chance[here])
        yield Day(Arm.of(n[~treated], y[~treated]), Arm.of(n[treated], y[treated]))


def always_valid(day: Day) -> bool:
    """Whether the interval of `retrain.sequential` leaves out "no difference"."""
    found = compare(SUCCESS, day.control, day.treated, 0.05)
    return not found.low <= 0 <= found.high


def by_answer(day: Day) -> bool:
    """Whether a z-test of two shares, all answers alike, finds p < 0.05."""
    arms = (day.control, day.treated)
    pooled = sum(arm.y for arm in arms) / sum(arm.n for arm in arms)
    variance = pooled * (1 - pooled) * sum(1 / arm.n for arm in arms)
    return abs(day.treated.rate - day.control.rate) > _Z * math.sqrt(variance)


def by_user(day: Day) -> bool:
    """Whether a z-test with variances clustered by user finds p < 0.05."""
    variance = day.control.variance + day.treated.variance
    return abs(day.treated.rate - day.control.rate) > _Z * math.sqrt(variance)


def mismatch(world: World) -> Judge:
    """Whether users did not fall to the variants as they were meant to."""

    def judge(day: Day) -> bool:
        counts = (int(day.control.users), int(day.treated.users))
        return mismatch_p(counts, (1 - world.share, world.share)) < MISMATCH_ALPHA

    return judge


JUDGES: dict[str, Judge] = {
    "always valid, by user": always_valid,
    "z-test, by user": by_user,
    "z-test, by answer": by_answer,
}


def called(world: World, lift: float, judges: dict[str, Judge], runs: int, seed: int) -> Calls:
    """In which runs, and with how many users of the canary, each judge first saw something."""
    calls: Calls = {name: [] for name in judges}
    for one in range(runs):
        waiting = dict(judges)
        for day in run(world, lift, np.random.default_rng((seed, one))):
            for name, judge in list(waiting.items()):
                if judge(day):
                    calls[name].append(day.treated)
                    del waiting[name]
            if not waiting:
                break
    return calls


def percent(name: str, found: int, runs: int) -> Figure:
    """A share of runs with its standard error as its spread."""
    share = found / runs
    error = math.sqrt(share * (1 - share) / runs)
    return Figure(name, "%", (100 * (share - error), 100 * share, 100 * (share + error)))


def figures(
    runs: int,
    found_runs: int,
    seed: int,
    world: World = World(),
    larger: World = World(users=100_000),
) -> list[Figure]:
    """All of it: false alarms in one world, uplifts in a larger one."""
    alarms = called(world, 0.0, JUDGES | {"share mismatch": mismatch(world)}, runs, seed)
    result = [percent(f"false alarms, {name}", len(arms), runs) for name, arms in alarms.items()]
    for lift in UPLIFTS:
        arms = called(larger, lift, {"": always_valid}, found_runs, seed + 1)[""]
        result.append(percent(f"uplift {lift:.0%} found", len(arms), found_runs))
        if len(arms) > found_runs / 2:
            users, answers = ([getattr(arm, of) for arm in arms] for of in ("users", "n"))
            result.append(Figure(f"... canary users by then, {lift:.0%}", "users", _spread(users)))
            result.append(Figure(f"... their answers, {lift:.0%}", "answers", _spread(answers)))
    return result


def _spread(values: list[float]) -> tuple[float, ...]:
    """Fifth percentile, median, ninety-fifth."""
    low, high = np.quantile(values, [0.05, 0.95])
    return (float(low), median(values), float(high))


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000, help="runs without a difference")
    parser.add_argument("--found-runs", type=int, default=100, help="runs of each uplift")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--json", action="store_true", help="print a line of JSON too")
    asked = parser.parse_args()
    facts = {"runs": asked.runs, "runs of each uplift": asked.found_runs, "world": World()}
    publish(
        "Rollout statistics under daily looks",
        figures(asked.runs, asked.found_runs, asked.seed),
        {name: str(fact) for name, fact in facts.items()},
    )


if __name__ == "__main__":
    main()
