"""Which requests are judged apart, and by which of their ranks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.quality.ranks import Ranks
from models.quality.requests import Requests

#: The previous visit is at most so long ago: the location is really where the user is.
FRESH_S = 6 * 3_600.0
#: Names and least and greatest number of known visits.
KNOWN = (("0", 0, 0), ("1_2", 1, 2), ("3_5", 3, 5), ("6_up", 6, np.inf))


@dataclass(frozen=True)
class Slice:
    """Some requests.

    Attributes:
        name: as the report says it.
        rows: int64[s], which requests.
        discover: whether the user's known places are taken out of the ranking.
    """

    name: str
    rows: NDArray[np.int64]
    discover: bool = False

    def ranks(self, ranks: Ranks) -> NDArray[np.float64]:
        """The ranks that count, float64[s]."""
        return (ranks.discover if self.discover else ranks.all)[self.rows]


def slices_of(requests: Requests) -> list[Slice]:
    """All slices that hold a request. Users of 0 known visits: see `newcomers`."""
    new, fresh = requests.is_new, requests.gap_s <= FRESH_S
    every = np.ones(len(requests), bool)
    masks = [
        ("all", every, False),
        ("repeat", ~new, False),
        ("new", new, False),
        ("discover", new, True),
        ("fresh", fresh, False),
        ("fresh_discover", fresh & new, True),
    ]
    user_past = requests.visits.user_past[requests.at]
    place_past = requests.visits.place_past[requests.at]
    for name, least, most in KNOWN:
        if least:
            masks.append((f"user_{name}", (user_past >= least) & (user_past <= most), False))
        masks.append((f"place_{name}", (place_past >= least) & (place_past <= most), False))
    return [
        Slice(name, np.flatnonzero(mask), discover) for name, mask, discover in masks if mask.any()
    ]
