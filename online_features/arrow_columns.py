"""Columns of Arrow as numpy's."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.ids import id64


def numpy_of(column: pa.ChunkedArray, same: dict[Any, Any] | None = None) -> Any:
    """A column as numpy has it; strings as Python's, in an object array.

    `same` holds the strings that were read before, and those of this column afterwards.
    """
    if pa.types.is_string(column.type):
        return _strings(column, {} if same is None else same)
    return column.to_numpy(zero_copy_only=False)


def _strings(column: pa.ChunkedArray, same: dict[Any, Any]) -> NDArray[np.object_]:
    """One Python string for all rows that say the same: a log names few users and places.

    `same` holds the strings that were read before, and those of this column afterwards.
    """
    chunks = column.dictionary_encode().unify_dictionaries().chunks
    if not chunks:
        return np.empty(0, object)
    distinct = [same.setdefault(value, value) for value in chunks[0].dictionary.to_pylist()]
    values = np.array([*distinct, None], object)
    none = len(values) - 1
    codes = [chunk.indices.fill_null(none).to_numpy(zero_copy_only=False) for chunk in chunks]
    held: NDArray[np.object_] = values[np.concatenate(codes)]
    return held


def hashes_of(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Hashes of the ids of a column (`contracts.ids.id64`); 0 for null and for an empty one."""
    chunks = column.dictionary_encode().unify_dictionaries().chunks
    if not chunks:
        return np.empty(0, np.uint64)
    ids = chunks[0].dictionary.to_pylist()
    hashes = np.array([*(id64(value) if value else 0 for value in ids), 0], np.uint64)
    codes = [chunk.indices.fill_null(len(hashes) - 1).to_numpy() for chunk in chunks]
    held: NDArray[np.uint64] = hashes[np.concatenate(codes)]
    return held
