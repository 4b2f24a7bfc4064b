"""Distances from places to all places, remembered: many requests start at the same spot."""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from online_features.geo import distance_m

#: Numbers remembered, 4 bytes each.
_KEPT = 50_000_000


class Distances:
    """Metres from places to all places.

    Args:
        lat, lng: float64[p], degrees.
    """

    def __init__(self, lat: NDArray[np.float64], lng: NDArray[np.float64]) -> None:
        self._lat, self._lng = lat, lng
        self._known: OrderedDict[int, NDArray[np.float32]] = OrderedDict()
        self._most = max(1, _KEPT // max(len(lat), 1))

    def rows(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Metres from each of these places to all, float32[r, p]."""
        distinct, inverse = np.unique(places, return_inverse=True)
        return np.stack([self._row(place) for place in distinct.tolist()])[inverse]

    def _row(self, place: int) -> NDArray[np.float32]:
        row = self._known.get(place)
        if row is None:
            metres = distance_m(self._lat[place], self._lng[place], self._lat, self._lng)
            row = self._known[place] = metres.astype(np.float32)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return row
