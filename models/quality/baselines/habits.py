"""The user's own past: a counter of visits that fades, and counts more at this hour of the day.

A strong baseline on check-ins, for three in four are at a place where the user has been before;
and a blind one, for it says nothing about the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.quality.methods import Method
from models.quality.requests import Questions
from models.quality.visits import VisitLog

DAY_S, HOUR_S = 86_400.0, 3_600.0
#: Popularity orders what the user does not know, and must never outweigh what they do.
_FALLBACK = 1e-12


@dataclass(frozen=True)
class Habit:
    """How a past visit counts: exp(-age / recency) * (1 + hour_weight * K(hours apart)).

    K is a Gaussian of the difference in the hour of the day, around the clock.

    Attributes:
        recency_days, hour_width_h, hour_weight: see the formula.
    """

    recency_days: float
    hour_width_h: float
    hour_weight: float

    def counts(self, questions: Questions) -> NDArray[np.float64]:
        """Weighted visits of each question's user at each place, float64[r, places]."""
        visits = questions.visits
        rows, past = visits.by_user.before(questions.user, questions.known)
        now_s, then_s = questions.time_s[rows], visits.time_s[past]
        apart = np.abs(now_s - then_s) / HOUR_S % 24
        apart = np.minimum(apart, 24 - apart) / self.hour_width_h
        weight = np.exp(-(now_s - then_s) / (self.recency_days * DAY_S))
        weight *= 1 + self.hour_weight * np.exp(-0.5 * apart**2)
        return summed(rows, visits.place[past], weight, (len(questions), visits.places))


def summed(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    weight: NDArray[np.float64],
    shape: tuple[int, int],
) -> NDArray[np.float64]:
    """Sum weights into a dense matrix."""
    flat = np.bincount(rows * shape[1] + columns, weight, shape[0] * shape[1])
    return flat.astype(np.float64, copy=False).reshape(shape)


class History:
    """Places by the user's habit; unknown ones by popularity, behind all known ones."""

    name = "history, recency and hour"
    streams = True

    def __init__(self, **habit: float) -> None:
        self._habit = Habit(**habit)

    def fit(self, train: VisitLog) -> Self:
        """Count visits, for the order of unknown places."""
        popularity = np.bincount(train.place, minlength=train.places)
        self._fallback = _FALLBACK * popularity / max(popularity.max(initial=0), 1)
        return self

    def score(self, questions: Questions) -> NDArray[np.float64]:
        """Weighted visits."""
        score: NDArray[np.float64] = self._habit.counts(questions) + self._fallback
        return score


class HistoryRecipe:
    """How long a habit lasts, and what the hour of the day is worth."""

    start: Mapping[str, Any] = {"recency_days": 60.0, "hour_width_h": 2.0, "hour_weight": 4.0}
    grid: Mapping[str, tuple[Any, ...]] = {
        "hour_weight": (1.0, 2.0, 4.0, 8.0, 16.0),
        "recency_days": (15.0, 30.0, 45.0, 60.0, 90.0, 150.0),
        "hour_width_h": (1.0, 1.5, 2.0, 3.0),
    }
    objective = "all"

    def make(self, **parameters: Any) -> Method:
        """See `Habit`."""
        return History(**parameters)
