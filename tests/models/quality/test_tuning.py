"""Choosing parameters without a look at what is judged."""

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.quality.baselines.habits import HistoryRecipe
from models.quality.methods import Method
from models.quality.requests import Cuts, Questions
from models.quality.tuning import tune
from models.quality.visits import VisitLog


class _Sloped:
    """Right to the degree that its parameters are near (2, 1): ranks the target by that."""

    name, streams = "sloped", True

    def __init__(self, x: int, y: int) -> None:
        self._off = abs(x - 2) + abs(y - 1)

    def fit(self, train: VisitLog) -> Self:
        self.fitted_to = len(train)
        return self

    def score(self, questions: Questions) -> NDArray[np.float64]:
        # The target is read here on purpose: it makes the quality known.
        target = questions.visits.place[questions.known]
        scores = np.zeros((len(questions), questions.visits.places))
        scores[:, : self._off] = 2.0
        scores[np.arange(len(questions)), target] = 1.0
        return scores


class _Recipe:
    start = {"x": 0, "y": 0}  # noqa: RUF012
    grid = {"x": (0, 1, 2, 3), "y": (0, 1, 2)}  # noqa: RUF012
    objective = "all"

    def make(self, **parameters: Any) -> Method:
        return _Sloped(**parameters)


def test_each_parameter_goes_to_its_best_value(town: VisitLog, cuts: Cuts) -> None:
    """One after the other, and the method is fitted to all that is known in the end."""
    tuned = tune(_Recipe(), town, cuts, seed=1)
    assert tuned.parameters == {"x": 2, "y": 1}
    assert tuned.validation == 1
    assert tuned.method.fitted_to == cuts.known  # type: ignore[attr-defined]


def test_what_is_judged_has_no_say(town: VisitLog, cuts: Cuts) -> None:
    """Another test part leads to the same choice and the same figure."""
    rest = len(town) - cuts.known
    other = replace(town, place=np.r_[town.place[: cuts.known], np.zeros(rest, np.int64)])
    first, second = (tune(HistoryRecipe(), log, cuts, seed=1) for log in (town, other))
    assert first.parameters == second.parameters
    assert first.validation == second.validation
