"""Ids inside the graph: an int64 id becomes a row of an embedding table, an unknown one row 0."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from contracts.ids import as_int64

#: Row of every id that training did not know; its weights are trained by random id dropout.
UNKNOWN_ROW = 0


@dataclass(frozen=True)
class Vocabulary:
    """Id hashes in ascending order; the hash at position i has row i + 1."""

    hashes: NDArray[np.uint64]

    @classmethod
    def of(cls, hashes: NDArray[np.uint64], least: int = 1) -> Self:
        """The distinct hashes that occur at least so often; 0 ("none") is never one."""
        distinct, count = np.unique(hashes, return_counts=True)
        return cls(distinct[(count >= least) & (distinct != 0)])

    @property
    def rows(self) -> int:
        """Rows of a table for this vocabulary, the unknown one included."""
        return len(self.hashes) + 1

    def rows_of(self, hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Rows of hashes of any shape; `UNKNOWN_ROW` for those not held."""
        if not len(self.hashes):
            return np.zeros(hashes.shape, np.int32)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[at] == hashes, at + 1, UNKNOWN_ROW).astype(np.int32)

    def table(self, rows: NDArray[np.integer] | None = None) -> Any:
        """A `StaticHashTable` from id (int64 view of the hash) to int32 row, 0 if unknown.

        Args:
            rows: int[len(hashes)], other values to map to than the vocabulary's own rows.
        """
        values = np.arange(1, self.rows) if rows is None else rows
        # "None" is listed, too: TensorFlow refuses a table without any key.
        keys = np.r_[np.uint64(0), self.hashes]
        initializer = tf.lookup.KeyValueTensorInitializer(
            tf.constant(as_int64(keys), tf.int64), tf.constant(np.r_[0, values], tf.int32)
        )
        return tf.lookup.StaticHashTable(initializer, default_value=UNKNOWN_ROW)
