"""Reading features for a request: packed states in one round trip, aged to the moment."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray
from redis.asyncio import Redis
from redis.exceptions import ConnectionError

from contracts.settings import Settings
from online_features.context import ContextState
from online_features.definitions import PLACE, USER
from online_features.keys import Keys
from online_features.place_shelf import PlaceShelf, RowsOf, ShelvedValues, no_rows
from online_features.place_unpacking import PlaceUnpacking
from online_features.tracking import Tracking

log = structlog.get_logger(__name__)

Rows = NDArray[np.int64]
Scene = tuple[ShelvedValues, ContextState | None]
Told = Callable[[Rows | None], None]
#: Contexts that are kept, at most.
REGIONS = 10_000
_CONTEXT = msgspec.json.Decoder(ContextState)


def nobody(rows: Rows | None) -> None:
    """Is told in vain."""


@dataclass(frozen=True)
class UserRead:
    """A user's state as of a moment.

    Attributes:
        states: [1].
        known: whether it was there.
        latest_s: Unix seconds of the newest event in it.
        moment: at which it was asked for, see `OnlineReader.scene`; None: it stands for nothing.
    """

    states: NDArray[np.void]
    known: bool
    latest_s: float | None
    moment: int | None = None


class OnlineReader:
    """Reads states from Redis. Raises `redis.RedisError` (a time-out among them).

    A user's state that cannot be read raises `BadState`, since the answer is all about them. A
    place's state, or a region's context, counts as unknown and is named in the log: one of two
    hundred places must not cost the others their features.

    Where Redis says what changes (`follow`), states of places and contexts are read again only
    when they did.
    """

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings
        self._keys = Keys.of(settings)
        self._unpack = PlaceUnpacking()
        self._shelf: PlaceShelf
        self._contexts: dict[bytes, ContextState | None]
        #: When a context changed last, by the shelf's clock.
        self._contexts_at: int
        self._of_contexts = self._keys.prefix_of("c").encode()
        self._rows_of: RowsOf = no_rows
        self._told: Told = nobody
        self._forget()
        self._tracking: Tracking | None = None
        self._bad_regions: set[str] = set()

    async def user(self, user_id: str) -> UserRead:
        """The state of one user; the empty one if nothing is known."""
        key = self._keys.entity("i", user_id)
        tracking = self._tracking
        if tracking is not None and tracking.answers:
            with suppress(ConnectionError):  # it was lost: there is another way
                answer, moment = tracking.ask("GET", key), tracking.moment
                return _user_read(await answer, moment)
        return _user_read(await self._redis.get(key))

    async def user_after(
        self, user_id: str, partitions: Sequence[int]
    ) -> tuple[UserRead, tuple[int, ...]]:
        """The state of one user, and how far its stream had come just before.

        One round trip. Redis runs it in order, and a commit moves states and offset together, so
        that the state holds all of its partition's events below the offset returned.

        Args:
            user_id: canonical id.
            partitions: of the interactions.

        Returns:
            The user, and the next offset to fold of each partition, 0 where none was.
        """
        key = self._keys.entity("i", user_id)
        shards = [self._keys.shard("i", partition) for partition in partitions]
        tracking = self._tracking
        if tracking is not None and tracking.answers:
            with suppress(ConnectionError):  # as above
                asked = [tracking.ask("HGET", shard, "offset") for shard in shards]
                asked.append(tracking.ask("GET", key))
                moment = tracking.moment
                *offsets, value = await asyncio.gather(*asked)
                return _user_read(value, moment), _offsets(offsets)
        async with self._redis.pipeline(transaction=False) as pipe:
            for shard in shards:
                pipe.hget(shard, "offset")
            pipe.get(key)
            *offsets, value = await pipe.execute()
        return _user_read(value), _offsets(offsets)

    async def places(self, place_ids: Sequence[str]) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
        """States [n] of places and which were there and could be read: one MGET."""
        if not place_ids:
            return PLACE.empty(0), np.zeros(0, bool)
        packed: Any = await self._redis.mget(self._keys.entities("b", place_ids))
        return self._unpack(place_ids, packed)

    @property
    def hears(self) -> bool:
        """Whether Redis tells what changes from now on."""
        return self._tracking is not None and self._tracking.hears

    def follow(self, rows_of: RowsOf, told: Told = nobody) -> Tracking | None:
        """Keep states of places, and contexts, until Redis says that they changed.

        Args:
            rows_of: catalogue rows of places by the hashes of their ids, -1 for others.
            told: is told of rows whose state changed; None: of all, for some of what changed, or
                will until Redis is heard again, nobody knows.

        Returns:
            What listens, once it is run; None in a cluster, whose nodes would all have to be heard.
        """
        if self._settings.redis_cluster:
            return None
        prefixes = [self._keys.prefix_of("b"), self._keys.prefix_of("c")]
        self._rows_of, self._told = rows_of, told
        self._forget()
        self._tracking = Tracking(self._settings, prefixes, self._changed)
        return self._tracking

    def _changed(self, keys: Sequence[bytes] | None) -> None:
        if keys is None:
            self._shelf.all_changed()
            self._contexts.clear()
            self._contexts_at = self._shelf.clock
            self._told(None)
            return
        self._told(self._shelf.changed(keys))
        for key in keys:
            if key.startswith(self._of_contexts):
                self._contexts.pop(key, None)
                self._contexts_at = self._shelf.clock

    def _forget(self) -> None:
        """Begin anew. Whoever waits for Redis has what was held before; nobody else will see it."""
        self._shelf = PlaceShelf(self._keys, self._rows_of, unpack=self._unpack)
        self._contexts, self._contexts_at = {}, 0

    async def scene(
        self,
        rows: Rows,
        place_ids: Callable[[Rows], list[str]],
        region: str,
        now_s: float,
        since: int | None = None,
    ) -> Scene:
        """What the states of n places say at a moment, neutral where there is none, and the newest
        context of a region, none of "": at most one MGET, of what is not held.

        Args:
            rows: int64[n] catalogue rows of places, always of the same catalogue.
            place_ids: says the ids of some rows.
            region: whose context is wanted; "": none.
            now_s: Unix seconds that windows are aged to.
            since: moment at which a user was read: no commit that was acknowledged before it may be
                missing; None: all is read.
        """
        if not self._shelf.has_room(rows):
            self._forget()
        shelf, contexts = self._shelf, self._contexts
        knows = self._knows(since)
        wanted = shelf.lacking(rows) if knows else rows
        keys = shelf.keys(wanted, place_ids) if len(wanted) else []
        asked: list[Any] = [*keys]
        context_key = self._keys.entity("c", region).encode() if region else None
        context = contexts.get(context_key) if knows and context_key is not None else None
        if context_key is not None and not (knows and context_key in contexts):
            asked.append(context_key)
        if not asked:
            return shelf.values(rows, now_s), context
        asked_at, watched = shelf.ask(), self.hears
        packed: Any = await self._redis.mget(asked)
        if len(packed) > len(wanted):
            context = self._context_of(region, packed.pop())
            known = watched and contexts is self._contexts and self._contexts_at <= asked_at
            if known and context_key is not None:
                if len(contexts) >= REGIONS:
                    contexts.clear()
                contexts[context_key] = context
        shelf.put(wanted, keys, packed, asked_at, watched=watched)
        return shelf.values(rows, now_s), context

    def _knows(self, since: int | None) -> bool:
        """Whether all is known that was changed before a moment."""
        tracking = self._tracking
        return tracking is not None and since is not None and tracking.up_to(since)

    async def context(self, region: str) -> ContextState | None:
        """The newest context of a region, however old."""
        return self._context_of(region, await self._redis.get(self._keys.entity("c", region)))

    def _context_of(self, region: str, value: Any) -> ContextState | None:
        if value is None:
            return None
        try:
            return _CONTEXT.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if region not in self._bad_regions:  # once: every request reads it
                self._bad_regions.add(region)
                log.warning("context_damaged", region=region, cause=str(error), taken_for="unknown")
            return None


def _offsets(values: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(offset or 0) for offset in values)


def _user_read(value: Any, moment: int | None = None) -> UserRead:
    states, known = USER.unpack([value])
    latest = float(states["since_activity_s"]["latest_s"][0])
    return UserRead(states, bool(known[0]), latest if known[0] and latest > 0 else None, moment)
