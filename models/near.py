"""The places nearest to many points at once, for training (the service has the catalogue's cells).

Requests crowd at few spots, so points are gathered into cells of about 100 m and each cell's
neighbours are looked up once.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from online_features.catalogue import Catalogue
from online_features.geo import EARTH_RADIUS_M

_CELL_DEGREES = 0.001
_MOST_PER_CALL = 4_096


@dataclass(frozen=True)
class Neighbours:
    """Neighbours of n points.

    Attributes:
        cell: int64[n], row of `rows` and `reach_m` that a point belongs to.
        rows: int32[cells, k], catalogue rows, nearest first.
        reach_m: float32[cells], distance of the k-th.
    """

    cell: NDArray[np.int64]
    rows: NDArray[np.int32]
    reach_m: NDArray[np.float32]

    @classmethod
    def of(
        cls, catalogue: Catalogue, lat: NDArray[np.float64], lng: NDArray[np.float64], k: int
    ) -> Self:
        """Look up the k nearest places of each point; fewer if the catalogue has fewer.

        Places that were never open in the time that the catalogue knows are left out.

        Raises:
            ValueError: no place of the catalogue is open and has a location.
        """
        usable = np.flatnonzero(~np.isnan(catalogue.lat) & catalogue.ever_open)
        if not len(usable):
            raise ValueError("the catalogue has no open place with a location")
        tree = cKDTree(_on_sphere(catalogue.lat[usable], catalogue.lng[usable]))
        grid = np.stack([np.rint(lat / _CELL_DEGREES), np.rint(lng / _CELL_DEGREES)])
        cells, cell = np.unique(grid, axis=1, return_inverse=True)
        points = _on_sphere(*(cells * _CELL_DEGREES))
        k = min(k, len(usable))
        rows = np.empty((len(points), k), np.int32)
        reach_m = np.empty(len(points), np.float32)
        for start in range(0, len(points), _MOST_PER_CALL):
            part = slice(start, start + _MOST_PER_CALL)
            chord, found = tree.query(points[part], k=np.arange(1, k + 1), workers=-1)
            rows[part] = usable[found]
            reach_m[part] = 2 * EARTH_RADIUS_M * np.arcsin(np.minimum(chord[:, -1] / 2, 1))
        return cls(cell.ravel(), rows, reach_m)

    def draw(
        self, points: NDArray[np.integer], each: int, rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Draw neighbours of some points evenly, with replacement: int32[len(points), each]."""
        column = rng.integers(0, self.rows.shape[1], (len(points), each))
        drawn: NDArray[np.int32] = self.rows[self.cell[points][:, None], column]
        return drawn


def _on_sphere(lat: NDArray[np.float64], lng: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors, float64[n, 3]: their straight distance orders like that on the ground."""
    phi, theta = np.radians(lat), np.radians(lng)
    return np.stack([np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)], axis=1)
