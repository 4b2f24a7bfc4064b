"""How long a place rests after a visit, before it may be shown again, by its kind.

Nobody wants to be sent back to the table they left, but people do come back soon: of New York's
check-ins (validation tenth) 1.05 % were at a place that their user had been to within three hours,
0.49 % within a quarter of an hour. So the rest is short, but for places where one stays for hours:
whoever is at the airport or in the stadium is still there. Of New York's 132,225 check-ins, 7,069
are at such places, and 56 (0.04 %) are returns to one between the short rest and the long.
"""

import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from online_features.catalogue import Catalogue

#: The rest of a place whose category says nothing else, seconds.
REST_S = 900.0
LONG_REST_S = 3 * 3_600.0
#: By words in a category's name; on a path, of any of its levels.
LONG_STAYS = (
    "airport", "aquarium", "arena", "concert hall", "convention center", "movie theater",
    "multiplex", "museum", "music venue", "opera house", "performing arts", "stadium", "theater",
    "theme park", "zoo",
)  # fmt: skip
LONGEST_S = max(REST_S, LONG_REST_S)
_LONG_STAY = re.compile(rf"\b(?:{'|'.join(LONG_STAYS)})\b", re.IGNORECASE)


@lru_cache(maxsize=65_536)
def rest_s(category: str) -> float:
    """Seconds that a place of a category rests after a visit."""
    return LONG_REST_S if _LONG_STAY.search(category) else REST_S


def resting(
    places: NDArray[np.uint64], ago_s: NDArray[np.float64], catalogue: Catalogue | None
) -> NDArray[np.bool_]:
    """Which visits are so recent that their places rest, bool[n].

    Args:
        places: hashes of the places visited, uint64[n].
        ago_s: seconds since each visit, float64[n].
        catalogue: where categories are looked up; without it all rest alike.
    """
    rests = ago_s < REST_S
    if catalogue is not None:
        for i in np.flatnonzero((ago_s < LONGEST_S) & ~rests).tolist():
            rests[i] = ago_s[i] < rest_s(_category(catalogue, places[i : i + 1]))
    return rests


def _category(catalogue: Catalogue, place: NDArray[np.uint64]) -> str:
    row = int(catalogue.rows_of(place)[0])
    code = int(catalogue.category[row]) if row >= 0 else -1
    return catalogue.categories[code] if code >= 0 else ""
