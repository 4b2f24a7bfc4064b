"""Quantiles of a value, from a histogram with bins of constant relative width."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_features.aggregations import Aggregation
from online_features.columns import EventColumns
from online_features.rings import Field, Moments, Rows, States


@dataclass(frozen=True)
class Quantiles(Aggregation):
    """Quantiles of a column over all time, each within `relative_error` of a true value.

    Bin i counts the values in (least * g^(i-1), least * g^i], with g = (1 + e) / (1 - e); values
    outside of [least, greatest] count in the outermost bins. Only counts are kept, so the order
    of events does not matter.

    Source: Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
    relative-error guarantees", 2019.
    """

    column: str
    least: float
    greatest: float
    relative_error: float = 0.15
    quantiles: tuple[float, ...] = (0.5, 0.9)

    @property
    def _growth(self) -> float:
        return (1 + self.relative_error) / (1 - self.relative_error)

    @property
    def bins(self) -> int:
        """Number of bins that cover the range."""
        return int(np.ceil(np.log(self.greatest / self.least) / np.log(self._growth))) + 1

    @property
    def fields(self) -> tuple[Field, ...]:
        return (("bins", np.uint32, (self.bins,)),)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(f"p{round(100 * q)}" for q in self.quantiles)

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        values = getattr(events, self.column).astype(np.float64)
        known = values > 0
        index = np.ceil(np.log(values[known] / self.least) / np.log(self._growth))
        index = np.clip(index, 0, self.bins - 1).astype(np.int64)
        np.add.at(states["bins"], (rows[known], index), np.uint32(1))
        return 0

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        cumulative = states["bins"].astype(np.int64).cumsum(axis=1)
        count = cumulative[:, -1:]
        columns = []
        for q in self.quantiles:
            rank = np.floor(q * (count - 1)).astype(np.int64)
            bin_ = np.argmax(cumulative > rank, axis=1)
            # The point of the bin that is equally far, in relation, from both of its ends.
            middle = 2 * self.least * self._growth ** bin_.astype(np.float64) / (1 + self._growth)
            columns.append(np.where(count[:, 0] > 0, middle, np.nan))
        return np.stack(columns, axis=1)

    def still(self, tile_s: int) -> bool:
        return True
