"""Places' states for those who only look at them: one that is damaged costs its place alone."""

from collections.abc import Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from online_features.definitions import PLACE
from online_features.rings import States

log = structlog.get_logger(__name__)

#: Places that are named in the log, at most: were all states damaged, the log must not drown.
NAMED = 200


class PlaceUnpacking:
    """Unpacks states of places, and names each that cannot be read, once.

    The stream does not use this: a fold onto an empty state would overwrite what is damaged.
    """

    def __init__(self, most_named: int = NAMED) -> None:
        self._most = most_named
        self._named: set[str] = set()

    def __call__(
        self, place_ids: Sequence[str], packed: Sequence[bytes | None]
    ) -> tuple[States, NDArray[np.bool_]]:
        """States [n] of places, empty where unknown or damaged, and which could be read.

        Args:
            place_ids: of n places.
            packed: what Redis holds of each.
        """
        states, known, bad = PLACE.unpack_readable(packed)
        if bad:
            self._name([place_ids[i] for i in bad])
        return states, known

    def _name(self, place_ids: list[str]) -> None:
        new = sorted(set(place_ids) - self._named)[: self._most - len(self._named)]
        if not new:
            return
        self._named.update(new)
        log.warning(
            "place_states_damaged",
            place_ids=new,
            taken_for="unknown",
            more_will_be_named=len(self._named) < self._most,
        )
