"""History and hour, transitions, and popularity by distance, mixed as shares that sum to 1."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.quality.baselines.habits import DAY_S, Habit, summed
from models.quality.distances import Distances
from models.quality.methods import Method
from models.quality.requests import Questions
from models.quality.visits import VisitLog

#: Transitions of the user's own count so many times those of others.
_OWN = 20.0
#: How far transitions fade, days.
_TRANSITION_DAYS = 90.0


class Blend:
    """score = history * H + transitions * T + (1 - history - transitions) * N.

    H is the share of the user's habit (see `Habit`), T the share of all known visits from this
    origin (the user's own count more), N proportional to (1 + visits)^popularity / (metres +
    offset).

    Args:
        habit: of `Habit`.
        history, transitions: shares; what is left is N's.
        popularity, offset_m: of N.
    """

    name = "blend"
    streams = True

    def __init__(
        self,
        history: float,
        transitions: float,
        popularity: float,
        offset_m: float,
        **habit: float,
    ) -> None:
        self._history, self._transitions = history, transitions
        self._popularity, self._offset_m = popularity, offset_m
        self._habit = Habit(**habit)

    def fit(self, train: VisitLog) -> Self:
        """Count visits."""
        self._popular = (1.0 + np.bincount(train.place, minlength=train.places)) ** self._popularity
        self._distances = Distances(train.lat, train.lng)
        return self

    def score(self, questions: Questions) -> NDArray[np.float64]:
        """The mixture."""
        near = self._popular / (self._distances.rows(questions.origin) + self._offset_m)
        score = (1 - self._history - self._transitions) * _shares(near)
        score += self._history * _shares(self._habit.counts(questions))
        score += self._transitions * _shares(_transitions(questions))
        result: NDArray[np.float64] = score
        return result


def _transitions(questions: Questions) -> NDArray[np.float64]:
    """Weighted visits, by anyone, that followed a visit of the origin; float64[r, places]."""
    visits = questions.visits
    rows, after = visits.by_origin.before(questions.origin, questions.known)
    age_s = questions.time_s[rows] - visits.time_s[after]
    own = visits.user[after] == questions.user[rows]
    weight = np.exp(-age_s / (_TRANSITION_DAYS * DAY_S)) * np.where(own, _OWN, 1.0)
    return summed(rows, visits.place[after], weight, (len(questions), visits.places))


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    total = counts.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = counts / np.where(total > 0, total, 1.0)
    return shares


class BlendRecipe:
    """The shares, and the habit again, for the hour counts less beside transitions."""

    start: Mapping[str, Any] = {
        "history": 0.75,
        "transitions": 0.15,
        "popularity": 0.4,
        "offset_m": 50.0,
        "recency_days": 60.0,
        "hour_width_h": 1.5,
        "hour_weight": 8.0,
    }
    grid: Mapping[str, tuple[Any, ...]] = {
        "history": (0.5, 0.65, 0.75, 0.85),
        "transitions": (0.02, 0.05, 0.1, 0.15),
        "popularity": (0.2, 0.4, 0.8),
        "offset_m": (25.0, 50.0, 100.0, 200.0),
        "recency_days": (30.0, 60.0, 90.0),
        "hour_weight": (4.0, 8.0, 16.0),
    }
    objective = "all"

    def make(self, **parameters: Any) -> Method:
        """See `Blend`."""
        return Blend(**parameters)
