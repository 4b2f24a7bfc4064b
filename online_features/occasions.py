"""A user's past occasions beside the one that is asked for: what they weigh, what they come to."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from online_features.columns import RATE, VISIT
from online_features.habits import TOLD, WEIGHTS, Asked, Past, Places, Values, look_back
from online_features.history import History


@dataclass(frozen=True)
class Occasions:
    """The past events of r requests as occasions: how like now each is, and what they come to.

    Attributes:
        weights: float64[len(WEIGHTS), r, history].
        last_row: int64[r], catalogue row of the place visited last; -1 none or unknown.
        told: float64[len(TOLD), r], see the properties.
    """

    weights: Values
    last_row: NDArray[np.int64]
    told: Values

    @classmethod
    def of(cls, past: History, rows: NDArray[np.int64], at: Asked, places: Places) -> "Occasions":
        """Look back from r requests.

        Args:
            past: their histories.
            rows: int64[r, history], catalogue row of each past event's place; -1 unknown.
            at: where and when they are asked; [r].
            places: the catalogue.
        """
        held = past.ids != 0
        been = held & ((past.kind == VISIT) | (past.kind == RATE))
        found = cls(
            weights=np.zeros((len(WEIGHTS), *rows.shape)),
            last_row=np.full(len(rows), -1, np.int64),
            told=np.empty((len(TOLD), len(rows))),
        )
        look_back(
            Past(past.time_s, held, been, rows),
            at,
            places,
            found.weights,
            found.last_row,
            found.told,
        )
        return found

    @cached_property
    def totals(self) -> Values:
        """Sums of each weight over a request's history, float64[len(WEIGHTS), r]."""
        # One after another: how numpy's own sum groups them depends on how long the array is, and
        # so on the longest history of a batch.
        totals: Values = np.ascontiguousarray(self.weights.cumsum(axis=2)[:, :, -1])
        return totals

    @property
    def gap_now_s(self) -> Values:
        """Seconds since the newest visit, [r]; `NEVER_S` for none."""
        return self._of("gap_now_s")

    @property
    def gap_before_s(self) -> Values:
        """Gap between the two newest visits, [r]; `NEVER_S` with fewer."""
        return self._of("gap_before_s")

    @property
    def visits(self) -> Values:
        """How many visits are kept, [r]."""
        return self._of("visits")

    @property
    def starts(self) -> Values:
        """How many of them came from the place visited last, [r]."""
        return self._of("starts")

    @property
    def this_hour(self) -> Values:
        """How many of them were around this hour, [r]."""
        return self._of("this_hour")

    @property
    def novelty(self) -> Values:
        """Distinct places over visits among the kept ones, [r]; 1 without visits."""
        return self._of("novelty")

    @property
    def centre(self) -> tuple[Values, Values, Values]:
        """Latitude, longitude and radius in metres of where the user goes, [r]; NaN unknown.

        Medians (the lower of two), so that one far trip moves neither.
        """
        return self._of("lat"), self._of("lng"), self._of("radius_m")

    def _of(self, name: str) -> Values:
        values: Values = self.told[TOLD.index(name)]
        return values
