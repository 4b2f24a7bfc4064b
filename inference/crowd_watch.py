"""Reads the crowd of every place, over and over, a few at a time, beside the answers.

A request reads the whole state of the two hundred places that it ranks; what the candidate model
must know of all others (four counts) is kept here, as old as one round takes.
"""

import asyncio

import numpy as np
import structlog
from redis.exceptions import RedisError

from inference.deadline import Clock
from inference.ports import Store
from online_features.catalogue import Catalogue
from online_features.crowds import Crowds, crowd_of

log = structlog.get_logger(__name__)

#: Places read at once while requests are answered (some 0.5 ms of the loop), and before that.
AT_ONCE, AT_ONCE_FIRST = 64, 512
#: After the first round, so many places a second: a fiftieth of a core.
PLACES_A_SECOND = 2_000
#: Nor is a round of a small city over sooner: within seconds no count here tells anything new.
ROUND_S = 5.0
RETRY_S = 1.0


class CrowdWatch:
    """Keeps `crowds` fresh.

    Attributes:
        crowds: what was read.
        first: set when every place has been read once.
    """

    def __init__(self, catalogue: Catalogue, store: Store, clock: Clock) -> None:
        self.crowds = Crowds()
        self.first = asyncio.Event()
        self._catalogue = catalogue
        self._store = store
        self._clock = clock

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
        """Read every place once; one whose state cannot be read has no crowd.

        Raises:
            redis.RedisError: the store is away.
        """
        began_s = self._clock()
        at_once = AT_ONCE if self.first.is_set() else AT_ONCE_FIRST
        pause_s = at_once * max(1 / PLACES_A_SECOND, ROUND_S / max(len(self._catalogue), at_once))
        for start in range(0, len(self._catalogue), at_once):
            if self.first.is_set():
                await asyncio.sleep(pause_s)
            rows = np.arange(start, min(start + at_once, len(self._catalogue)))
            ids = [self._catalogue.place_id(row) for row in rows.tolist()]
            states, _ = await self._store.places(ids)
            self.crowds.put(rows, crowd_of(states, self._clock()))
        self.crowds.as_of_s = began_s
        self.first.set()
        if not len(self._catalogue):  # nothing to read must not be an endless loop
            await asyncio.sleep(pause_s)
