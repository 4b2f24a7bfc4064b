"""A stream of answers whose columns swing with day and week, and ways in which they may drift.

Sixty columns of which the truth is known: of places, of users (the same in every answer of a user),
of the hour (peaks at noon and in the evening), of the weekend (a step at midnight), flags and
categories whose shares follow the day. A few users give most answers, and the answers come with
the day's rhythm, too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from models.reference import BINS
from models.served_answers import Answers

Floats = NDArray[np.float64]
DAY_S = 86_400.0
PLACES = 10
USERS = 3_000
#: How many columns there are of each kind, in this order.
KINDS = {"place": 22, "user": 12, "daily": 12, "weekend": 6, "flag": 4, "kind": 4}
COLUMNS = tuple(f"{kind}_{i}" for kind, count in KINDS.items() for i in range(count))
CATEGORIES = 5
#: Standard deviation of a column of places: its own, and what the places of an answer share.
SPREAD = float(np.hypot(1.0, 0.3))

Drift = Callable[[Answers, Floats], NDArray[np.float32]]


def day_shape(time_s: Floats) -> Floats:
    """Peaks at half past twelve and half past seven; mean about 0, from -0.4 to 0.9."""
    hour = time_s % DAY_S / 3_600
    peaks = np.zeros(len(hour))
    for at, width, height in ((12.5, 1.5, 0.8), (19.5, 2.5, 1.3)):
        away = np.abs(hour - at)
        peaks += height * np.exp(-0.5 * (np.minimum(away, 24 - away) / width) ** 2)
    return peaks - 0.4


def is_weekend(time_s: Floats) -> NDArray[np.bool_]:
    """Saturday and Sunday, UTC; the epoch began on a Thursday."""
    return np.asarray((time_s // DAY_S + 3) % 7 >= 5)


@dataclass(frozen=True)
class World:
    """Where answers come from.

    Attributes:
        habit: float64[USERS, columns of users], what a user's columns say.
        activity: float64[USERS], share of the answers.
        swing: float64[F], how far a column follows the day.
    """

    habit: Floats
    activity: Floats
    swing: Floats

    @classmethod
    def of(cls, seed: int) -> "World":
        """A world for a seed."""
        rng = np.random.default_rng(seed)
        activity = 1 / np.arange(20, 20 + USERS) ** 0.8
        return cls(
            habit=rng.normal(size=(USERS, KINDS["user"])),
            activity=activity / activity.sum(),
            swing=rng.uniform(0.4, 1.0, len(COLUMNS)),
        )

    def times(self, first_day: int, a_day: int, days: int, rng: np.random.Generator) -> Floats:
        """When the answers of some days were given, ascending."""
        hours: Floats = np.linspace(0, 23, 24, dtype=np.float64) * 3_600 + 1_800
        found = []
        for day in range(first_day, first_day + days):
            weights = 0.15 + np.maximum(day_shape(hours) + 0.4, 0)
            hour = rng.choice(24, a_day, p=weights / weights.sum())
            found.append(np.sort(day * DAY_S + 3_600 * (hour + rng.random(a_day))))
        return np.concatenate(found)

    def answers(self, time_s: Floats, rng: np.random.Generator) -> Answers:
        """What was shown at these times, with no drift."""
        n, of = len(time_s), np.repeat(np.arange(len(time_s)), PLACES)
        user = rng.choice(USERS, n, p=self.activity)
        shape, weekend = day_shape(time_s), is_weekend(time_s)
        values = rng.standard_normal((n * PLACES, len(COLUMNS)), np.float32)
        at = dict(zip(KINDS, np.cumsum([0, *KINDS.values()]), strict=False))
        part = {kind: slice(at[kind], at[kind] + count) for kind, count in KINDS.items()}
        values[:, part["place"]] += 0.3 * rng.normal(size=(n, KINDS["place"]))[of]
        values[:, part["user"]] = self.habit[user][of]
        values[:, part["daily"]] += (shape[:, None] * self.swing[part["daily"]])[of]
        values[:, part["weekend"]] += (weekend[:, None] * self.swing[part["weekend"]])[of]
        share = 0.3 + 0.25 * shape[:, None] * self.swing[part["flag"]]
        values[:, part["flag"]] = norm.cdf(values[:, part["flag"]]) < share[of]
        tilt = (0.7 * shape[:, None] * self.swing[part["kind"]])[of]
        kind = norm.cdf((values[:, part["kind"]] + tilt) / 1.1) * CATEGORIES
        values[:, part["kind"]] = kind.clip(0, CATEGORIES - 1e-3).astype(np.int64)
        return Answers(values, np.arange(n + 1) * PLACES, time_s, user.astype(np.uint64))


def shift_of(psi: float, spread: float = SPREAD) -> float:
    """How far a column must move for a PSI of `psi` over equal bins; by default one of places.

    `spread` is its standard deviation; of users' columns, 1.
    """
    cuts = norm.ppf(np.arange(1, BINS) / BINS)

    def over(shift: float) -> float:
        p = np.diff(np.r_[0, norm.cdf(cuts - shift), 1])
        q = 1 / BINS
        return float(((p - q) * np.log(p / q)).sum()) - psi

    return spread * float(brentq(over, 0, 5))


def _moved(column: str, psi: float) -> Drift:
    spread = 1.0 if column.startswith("user") else SPREAD
    at, by = COLUMNS.index(column), shift_of(psi, spread)

    def drift(answers: Answers, age_s: Floats) -> NDArray[np.float32]:
        values = answers.values.copy()
        values[:, at] += by
        return values

    return drift


def _gradual(days: float) -> Drift:
    at, by = COLUMNS.index("place_0"), shift_of(0.5)

    def drift(answers: Answers, age_s: Floats) -> NDArray[np.float32]:
        values = answers.values.copy()
        values[:, at] += np.repeat(by * np.minimum(age_s / (days * DAY_S), 1), PLACES)
        return values

    return drift


def _all_moved(answers: Answers, age_s: Floats) -> NDArray[np.float32]:
    return answers.values + np.float32(shift_of(0.25)) * np.isin(
        np.arange(len(COLUMNS)), np.flatnonzero([c.startswith("place") for c in COLUMNS])
    ).astype(np.float32)


def _season(answers: Answers, age_s: Floats) -> NDArray[np.float32]:
    """A wave of 90 days through the columns that follow the day, which no training has seen."""
    values = answers.values.copy()
    mine = [i for i, column in enumerate(COLUMNS) if column.startswith("daily")]
    values[:, mine] += np.repeat(1.2 * np.sin(2 * np.pi * age_s / (90 * DAY_S)), PLACES)[:, None]
    return values


def _later(answers: Answers, age_s: Floats) -> NDArray[np.float32]:
    """The day's rhythm comes six hours later; over a whole day each column is as it was."""
    values = answers.values.copy()
    mine = [i for i, column in enumerate(COLUMNS) if column.startswith("daily")]
    gap = day_shape(answers.time_s - 6 * 3_600) - day_shape(answers.time_s)
    values[:, mine] += np.repeat(gap, PLACES)[:, None]
    return values


def _vanished(value: float) -> Drift:
    def drift(answers: Answers, age_s: Floats) -> NDArray[np.float32]:
        values = answers.values.copy()
        values[:, COLUMNS.index("place_1")] = value
        return values

    return drift


def _new_category(answers: Answers, age_s: Floats) -> NDArray[np.float32]:
    """A twentieth of the rows have a category that no training has seen."""
    values = answers.values.copy()
    values[::20, COLUMNS.index("kind_0")] = CATEGORIES
    return values


#: What is tried, by name. Each is given answers, and how long ago it began, seconds.
DRIFTS: dict[str, Drift] = {
    "one column by PSI 0.25": _moved("place_0", 0.25),
    "all columns of places by PSI 0.25": _all_moved,
    "one column of users by PSI 0.25": _moved("user_0", 0.25),
    "one column of users by PSI 0.5": _moved("user_0", 0.5),
    "gradual to PSI 0.5 in 3 days": _gradual(3),
    "season of 90 days": _season,
    "rhythm six hours later": _later,
    "vanished to missing": _vanished(float("nan")),
    "vanished to its default": _vanished(0.0),
    "new category in one of 20 rows": _new_category,
}
