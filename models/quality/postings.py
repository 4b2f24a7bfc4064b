"""Positions of a log by key, asked for as of a moment: the heart of "known before"."""

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]


class Postings:
    """For each key the positions that hold it, ascending.

    Args:
        keys: int64[n], key of each position, 0 <= key < count.
        count: how many keys there are.
    """

    def __init__(self, keys: Index, count: int) -> None:
        self._positions = np.argsort(keys, kind="stable")
        self._most = len(keys) + 1
        # Ascending, for positions ascend within a key.
        self._ordered = keys[self._positions] * self._most + self._positions
        self._start = np.searchsorted(keys[self._positions], np.arange(count))

    def before(self, keys: Index, horizons: Index) -> tuple[Index, Index]:
        """Positions below a horizon that hold a key, for many askers at once.

        Args:
            keys: int64[r].
            horizons: int64[r], positions at and after this are not known.

        Returns:
            Row of the asker and position, int64[m] each, by asker, then position.
        """
        start = self._start[keys]
        end = np.searchsorted(self._ordered, keys * self._most + horizons)
        counts = end - start
        rows = np.repeat(np.arange(len(keys)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, self._positions[start[rows] + within]
