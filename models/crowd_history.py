"""The crowd of all places of a city at past moments, by walking a log once."""

import numpy as np

from online_features.catalogue import Catalogue
from online_features.columns import VISIT, EventColumns
from online_features.crowds import FIELD, RINGS, Codes, encoded
from online_features.definitions import PLACE


class CrowdHistory:
    """What the service holds beside its catalogue (`online_features.crowds`), as it was.

    A window changes where something happened and, everywhere, when the clock passes the edge of
    one of its tiles; no more is read anew than that.

    Args:
        log: sorted as the features see it.
        catalogue: whose places are told, row by row.
    """

    def __init__(self, log: EventColumns, catalogue: Catalogue) -> None:
        row = catalogue.rows_of(log.place)
        _, first = np.unique(log.event_hash, return_index=True)
        once = np.zeros(len(row), bool)
        once[first] = True
        self._position = np.flatnonzero(once & (row >= 0) & (log.kind == VISIT))
        self._row, self._time_s = row[self._position], log.time_s[self._position]
        self._states = np.zeros(len(catalogue), PLACE.dtype[FIELD])
        self._codes = np.zeros((len(catalogue), len(RINGS)), np.uint8)
        self._tile = [-1] * len(RINGS)
        self._done = 0

    def at(self, before: int, now_s: float) -> Codes:
        """The crowd of all places, uint8[p, 4]; not to be changed, and valid until the next call.

        Args:
            before: the log's events [0, before) are known; must not fall from call to call.
            now_s: the moment, Unix seconds; may be any.
        """
        until = max(int(np.searchsorted(self._position, before)), self._done)
        rows, time_s = self._row[self._done : until], self._time_s[self._done : until]
        self._done = until
        ones = np.ones(len(rows), np.uint32)
        touched = np.unique(rows)
        for i, ring in enumerate(RINGS):
            ring.fold(self._states, rows, time_s, ones)
            tile = int(now_s // ring.width_s)
            changed = touched if tile == self._tile[i] else slice(None)
            self._tile[i] = tile
            states = self._states[changed]
            if len(states):
                counts = ring.read(states, np.full(len(states), now_s))[:, 0]
                self._codes[changed, i] = encoded(counts)
        return self._codes
