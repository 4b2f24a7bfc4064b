"""What ranks: anything that is fitted to visits and scores all places for questions."""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from models.quality.requests import Questions
from models.quality.visits import VisitLog

Scores = NDArray[np.floating]


class Method(Protocol):
    """A baseline.

    Attributes:
        name: as the table says it.
        streams: whether it looks at visits after those it was fitted to.
    """

    name: str
    streams: bool

    def fit(self, train: VisitLog) -> Self:
        """Learn from these visits; must not depend on any other."""

    def score(self, questions: Questions) -> Scores:
        """Scores of all places for each question, float[r, places]; higher is likelier."""


class Recipe(Protocol):
    """How a method is made, and among which parameters validation chooses."""

    @property
    def start(self) -> Mapping[str, Any]:
        """The parameters to begin with."""

    @property
    def grid(self) -> Mapping[str, tuple[Any, ...]]:
        """What each may be."""

    @property
    def objective(self) -> str:
        """What decides: NDCG@10 of "all", or "both", the mean of that and of discover's."""

    def make(self, **parameters: Any) -> Method:
        """A method that is not fitted yet."""
