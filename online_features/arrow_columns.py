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
    texts, at = _distinct(column)
    held: NDArray[np.object_] = np.array([*(same.setdefault(t, t) for t in texts), None], object)
    return held[at]


def hashes_of(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Hashes of the ids of a column (`contracts.ids.id64`); 0 for null and for an empty one."""
    ids, at = _distinct(column)
    held: NDArray[np.uint64] = np.array([*(id64(i) if i else 0 for i in ids), 0], np.uint64)
    return held[at]


def _distinct(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """The strings of a column, each once, and which of them a row has; null has the one behind."""
    chunks = column.dictionary_encode().unify_dictionaries().chunks
    texts = chunks[0].dictionary.to_pylist() if chunks else []
    rows = [chunk.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False) for chunk in chunks]
    return texts, np.concatenate([np.empty(0, np.int64), *rows])
