"""Keeps the crowd of every place, a few places at a time, beside the answers.

A request reads the whole state of the two hundred places that it ranks; what the candidate model
must know of all others (four counts) is kept here. While Redis says what changes, a place is read
again only when its state changed, or, if it has one, when a tile of its windows has passed; else
every place is, over and over.
"""

import asyncio
import math
from collections.abc import Callable

import numpy as np
import structlog
from numpy.typing import NDArray
from redis.exceptions import RedisError

from inference.deadline import Clock
from inference.ports import Store
from online_features.catalogue import Catalogue
from online_features.crowds import Crowds, crowd_of
from online_features.place_shelf import TILE_S

log = structlog.get_logger(__name__)

#: Places read at once while requests are answered (some 0.5 ms of the loop), and before that.
AT_ONCE, AT_ONCE_FIRST = 64, 512
#: After the first round, so many places a second: a fiftieth of a core.
PLACES_A_SECOND = 2_000
#: Nor is a round of few places over sooner: within seconds no count here tells anything new.
ROUND_S = 5.0
RETRY_S = 1.0


def _never() -> bool:
    return False


class CrowdWatch:
    """Keeps `crowds` fresh.

    Args:
        catalogue: its places.
        store: where their states are.
        clock: Unix seconds.
        hears: whether `changed` is told of all that changes from now on.

    Attributes:
        crowds: what was read.
        first: set when every place has been read once.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        clock: Clock,
        hears: Callable[[], bool] = _never,
    ) -> None:
        self.crowds = Crowds()
        self.first = asyncio.Event()
        self._catalogue = catalogue
        self._store = store
        self._clock = clock
        self._hears = hears
        #: By row: read, and not changed since; has a state; tile in which it was read.
        self._known, self._stateful = np.zeros(0, bool), np.zeros(0, bool)
        self._tile = np.zeros(0, np.int64)

    def changed(self, rows: NDArray[np.int64] | None) -> None:
        """The states in some rows have changed, or, with None, any may have."""
        if rows is None:
            self._known[:] = False
        else:
            self._known[rows[rows < len(self._known)]] = False

    async def run(self) -> None:
        """Read rounds until cancelled; a store that is away is tried again and said so once."""
        away = False
        while True:
            try:
                await self.round()
                away = False
            except Exception as error:  # nobody else would begin again
                if not away:
                    surprise = None if isinstance(error, RedisError | OSError) else error
                    log.warning("crowds_not_read", cause=str(error), exc_info=surprise)
                away = True
                await asyncio.sleep(RETRY_S)

    async def round(self) -> None:
        """Read every place once that is due; one whose state cannot be read has no crowd.

        Raises:
            redis.RedisError: the store is away.
        """
        began_s, due = self._clock(), self._due()
        at_once = AT_ONCE if self.first.is_set() else AT_ONCE_FIRST
        batches = max(1, math.ceil(len(due) / at_once))
        pause_s = max(at_once / PLACES_A_SECOND, ROUND_S / batches)
        for start in range(0, len(due), at_once):
            if self.first.is_set():
                await asyncio.sleep(pause_s)
            await self._read(due[start : start + at_once])
        self.crowds.as_of_s = began_s
        self.first.set()
        if not len(due):  # nothing to read must not be an endless loop
            await asyncio.sleep(pause_s)

    def _due(self) -> NDArray[np.int64]:
        new = np.zeros(len(self._catalogue) - len(self._known), bool)
        self._known, self._stateful = np.append(self._known, new), np.append(self._stateful, new)
        self._tile = np.append(self._tile, new)
        past = self._stateful & (self._tile != self._clock() // TILE_S)
        return np.flatnonzero(~self._known | past)

    async def _read(self, rows: NDArray[np.int64]) -> None:
        now_s = self._clock()
        # Before it is asked: what changes meanwhile is due again.
        self._known[rows], self._tile[rows] = self._hears(), now_s // TILE_S
        try:
            states, self._stateful[rows] = await self._store.places(self._catalogue.place_ids(rows))
            self.crowds.put(rows, crowd_of(states, now_s))
        except BaseException:
            self._known[rows] = False
            raise
