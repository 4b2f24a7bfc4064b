"""Which places a person at a spot thinks of at all."""

import numpy as np
from scipy.spatial import KDTree

from placestream.simulation.places import Places

#: Nearest places that come to mind; in a city with no more than these, all do.
NEAREST = 400
_CELL_DEGREES = 0.003  # about 330 m north to south


class Surroundings:
    """The `NEAREST` places around each block of the city, looked up once for each block."""

    def __init__(self, places: Places) -> None:
        """Index the places."""
        self._nearest = min(NEAREST, len(places))
        self._narrow = float(np.cos(np.radians(places.lat.mean())))
        self._tree = KDTree(np.column_stack([places.lat, places.lng * self._narrow]))
        self._known: dict[tuple[int, int], np.ndarray] = {}

    def of(self, lat: np.ndarray, lng: np.ndarray) -> np.ndarray:
        """Places near these spots, int64[n, k], nearest to the middle of the block first."""
        cells = np.column_stack([lat // _CELL_DEGREES, lng // _CELL_DEGREES]).astype(np.int64)
        unique, where = np.unique(cells, axis=0, return_inverse=True)
        blocks = np.array([self._block(a, b) for a, b in unique.tolist()], np.int64)
        blocks = blocks.reshape(-1, self._nearest)
        return np.asarray(blocks[where.reshape(-1)])

    def _block(self, row: int, column: int) -> np.ndarray:
        block = self._known.get((row, column))
        if block is None:
            lat, lng = (row + 0.5) * _CELL_DEGREES, (column + 0.5) * _CELL_DEGREES
            _, found = self._tree.query((lat, lng * self._narrow), k=self._nearest)
            block = self._known[row, column] = np.atleast_1d(found).astype(np.int64)
        return block
