"""The row of a hash, for many at once, in an eighth of the memory of a dict."""

import numpy as np
from numpy.typing import NDArray

#: New hashes lie in a dict until they are so many, or this part of all.
LEAST_NEW, NEW_PART = 1_024, 16
#: As Python's integers, hashes take six times their bytes.
_LOOKED_UP_AT_ONCE = 65_536


class RowIndex:
    """Rows by hash, each given once; one writer at a time, any number of readers."""

    def __init__(self) -> None:
        self._new: dict[int, int] = {}
        self._sorted = (np.empty(0, np.uint64), np.empty(0, np.int32))

    def put(self, hashed: int, row: int) -> None:
        """Add a hash that is not there."""
        self._new[hashed] = row
        keys, rows = self._sorted
        if len(self._new) < max(LEAST_NEW, len(keys) // NEW_PART):
            return
        new = np.fromiter(self._new, np.uint64, len(self._new))
        of_new = np.fromiter(self._new.values(), np.int32, len(new))
        order = np.argsort(new)
        before = np.searchsorted(keys, new[order])
        # The dict last: whoever looks there first finds each hash in one of both.
        self._sorted = np.insert(keys, before, new[order]), np.insert(rows, before, of_new[order])
        self._new = {}

    def row(self, hashed: int) -> int:
        """Row of a hash, -1 if it is not there."""
        row = self._new.get(hashed, -1)
        if row >= 0:
            return row
        keys, rows = self._sorted
        at = int(np.searchsorted(keys, np.uint64(hashed)))
        return int(rows[at]) if at < len(keys) and keys[at] == hashed else -1

    def rows(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Row of each hash, -1 where it is not there; any shape."""
        flat, new = hashes.ravel(), self._new.get
        found = np.empty(len(flat), np.int64)
        for start in range(0, len(flat), _LOOKED_UP_AT_ONCE):
            some = slice(start, start + _LOOKED_UP_AT_ONCE)
            found[some] = [new(h, -1) for h in flat[some].tolist()]
        keys, rows = self._sorted
        if len(keys):
            at = np.minimum(np.searchsorted(keys, flat), len(keys) - 1)
            found = np.where(keys[at] == flat, rows[at], found)
        return found.reshape(hashes.shape)
