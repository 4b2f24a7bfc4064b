"""The training's distributions, as arrays that all detectors share.

`models.reference` says what is saved beside a model; here it becomes one padded table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.reference import references_of

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Reference:
    """Bins of F columns, at most B each; short columns are padded.

    Attributes:
        columns: their names.
        edges: float32[F, B - 1], inner edges, ascending; padding is +inf, which nothing exceeds.
        proportions: float64[F, B], shares of the training rows; rows sum to 1, padding is 0.
        size: training rows behind them.
    """

    columns: tuple[str, ...]
    edges: Floats
    proportions: Floats
    size: float

    def bins_of(self, rows: Floats) -> NDArray[np.int64]:
        """Bin int64[k, F] of each value of float[k, F]: how many of its column's edges lie below.

        NaN lies below every edge.
        """
        # float32 on both sides: an edge is a float32 feature value, and a column with few values
        # has all its mass exactly on edges.
        values = rows.astype(np.float32, copy=False)
        bins = np.zeros(values.shape, np.int64)
        # Edge by edge: a comparison with all at once would go through ten times the memory.
        for edge in self.edges.T:
            bins += values > edge
        return bins


def parse_reference(saved: Mapping[str, Any], columns: Sequence[str], size: float) -> Reference:
    """Read what `models.reference.references_of` made (the `reference` of placestream.json).

    Args:
        saved: column name to its edges and proportions.
        columns: all columns of the ranker, in order.
        size: training rows.

    Raises:
        ValueError: a column is missing, or its edges and proportions do not fit together.
    """
    missing = [name for name in columns if name not in saved]
    if missing:
        raise ValueError(f"the reference lacks {', '.join(missing)}")
    width = max((len(saved[name]["proportions"]) for name in columns), default=1)
    edges = np.full((len(columns), width - 1), np.inf, dtype=np.float32)
    proportions = np.zeros((len(columns), width))
    for i, name in enumerate(columns):
        cuts, shares = saved[name]["edges"], saved[name]["proportions"]
        if len(shares) != len(cuts) + 1 or not np.isclose(sum(shares), 1):
            raise ValueError(f"the reference of {name} is not a distribution over its bins")
        edges[i, : len(cuts)] = cuts
        proportions[i, : len(shares)] = shares
    return Reference(tuple(columns), edges, proportions, size)


def reference_of(columns: Sequence[str], rows: Floats) -> Reference:
    """The reference of raw rows float[n, F], cut at their deciles as a training does it."""
    return parse_reference(references_of(columns, rows), columns, len(rows))
