"""Reference distributions: what each column looked like, kept beside a model to judge drift by."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

BINS = 10


class Reference(TypedDict):
    """Distribution of one column.

    `edges` are inner edges e1 < ... < ek; `proportions` has k + 1 shares, of the values
    <= e1, in (e1, e2], ..., and > ek.
    """

    edges: list[float]
    proportions: list[float]
    mean: float
    std: float


def shares(values: NDArray[np.floating], edges: Sequence[float]) -> NDArray[np.float64]:
    """Share of the values in each bin of `Reference`, float64[len(edges) + 1].

    Raises:
        ValueError: there are no values.
    """
    if not len(values):
        raise ValueError("a distribution needs at least one value")
    bin_of = np.searchsorted(np.asarray(edges, np.float64), values, side="left")
    return np.bincount(bin_of, minlength=len(edges) + 1) / len(values)


def reference_of(values: NDArray[np.floating], bins: int = BINS) -> Reference:
    """Cut a column at its quantiles; equal edges fall together, so that an atom has its bin."""
    values = values.astype(np.float64)
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf"))
    return Reference(
        edges=edges.tolist(),
        proportions=shares(values, edges.tolist()).tolist(),
        mean=float(values.mean()),
        std=float(values.std()),
    )


def references_of(columns: Sequence[str], features: NDArray[np.floating]) -> dict[str, Reference]:
    """A reference per column of `features`, float[n, len(columns)]."""
    return {name: reference_of(features[:, i]) for i, name in enumerate(columns)}
