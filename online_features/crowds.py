"""The crowd of every place, held beside the catalogue: its visits over sliding windows, in bytes.

A request reads the full states of two hundred places; which two hundred, the candidate model
decides among all in reach, and what lives now decides much of that. So it is handed the crowd of
each, four bytes a place.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.signatures import CROWD, CROWD_SCALE
from online_features.aggregations import Count
from online_features.definitions import PLACE
from online_features.place_shelf import TILE_S
from online_features.rings import Moments, States, moments_of

Codes = NDArray[np.uint8]
_VISITS = next(feature for feature in PLACE.features if feature.name == "visits")
if not isinstance(_VISITS.aggregation, Count) or not _VISITS.aggregation.still(TILE_S):
    raise TypeError("the visits of a place are no counts, or change within a tile")
#: The window behind each code, and the field of a place's state that holds them all.
RINGS = tuple(
    next(
        ring
        for ring in _VISITS.aggregation.windows
        if f"{_VISITS.name}_{ring.spans[0].name}" == name
    )
    for name in CROWD
)
FIELD = _VISITS.name
_PACKED = np.dtype(f"u{len(CROWD)}")


def encoded(visits: NDArray[Any]) -> Codes:
    """Counts as bytes, of the same shape; see `contracts.signatures.CROWD_SCALE`."""
    code = np.rint(CROWD_SCALE * np.log1p(visits))
    codes: Codes = np.minimum(code, 255).astype(np.uint8)
    return codes


def crowd_of(places: States, now_s: Moments | float) -> Codes:
    """The crowd of places as of a moment, uint8[n, 4], columns `CROWD`.

    Args:
        places: `PLACE` states, [n].
        now_s: Unix seconds, one for all or one a place.
    """
    states, moments = places[FIELD], moments_of(now_s, len(places))
    return encoded(np.stack([ring.read(states, moments)[:, 0] for ring in RINGS], axis=1))


class Crowds:
    """The crowds of a catalogue's places as they were read last; empty where they were not.

    One thread writes (`inference.crowd_watch`), and any reads.
    """

    #: A reading older than this says nothing any more: yesterday's hour must not be served.
    STALE_S = 900.0

    def __init__(self) -> None:
        #: One more than there are places: whoever lies beyond has what the last has, nothing.
        self._codes = np.zeros((1, len(CROWD)), np.uint8)
        #: When the oldest reading was taken, Unix seconds; all are from then on.
        self.as_of_s = -np.inf

    def put(self, rows: NDArray[np.int64], codes: Codes) -> None:
        """Take readings of some places, uint8[n, 4]."""
        needed = int(rows.max(initial=-1)) + 2
        if needed > len(self._codes):
            grown = np.zeros((2 * needed, len(CROWD)), np.uint8)
            grown[: len(self._codes)] = self._codes
            self._codes = grown
        self._codes[rows] = codes

    def of(self, rows: NDArray[np.int64], now_s: float) -> Codes:
        """Crowds of places by catalogue row, uint8[n, 4]; 0 where unknown or stale."""
        if now_s - self.as_of_s > self.STALE_S:
            return np.zeros((len(rows), len(CROWD)), np.uint8)
        # The four bytes of a place in one number: tens of thousands are taken at once.
        packed = self._codes.view(_PACKED)[:, 0].take(rows, mode="clip")
        return packed.view(np.uint8).reshape(len(rows), len(CROWD))
