"""Arrays that grow while others read them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NONE = -1


def roomy(values: NDArray, least: tuple[int, ...], fill: int | None = None) -> NDArray:  # type: ignore[type-arg]
    """The array itself, or a larger copy: rows grow by doubling, all else to what is asked for.

    What is added holds `fill`; without it, False or `NONE`.
    """
    if all(have >= want for have, want in zip(values.shape, least, strict=True)):
        return values
    rows = values.shape[0] if least[0] <= values.shape[0] else max(least[0], 2 * values.shape[0])
    shape = (rows, *map(max, values.shape[1:], least[1:]))
    if fill is None:
        fill = 0 if values.dtype == bool else NONE
    larger = np.full(shape, fill, values.dtype)
    larger[tuple(slice(n) for n in values.shape)] = values
    return larger


def padded(
    values: Sequence[int] | Sequence[tuple[int, int]], shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Values in front, `NONE` behind."""
    row = np.full(shape, NONE, np.int64)
    if values:
        row[: len(values)] = np.array(values, np.int64)
    return row
