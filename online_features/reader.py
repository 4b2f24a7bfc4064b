"""Reading features for a request: packed states in one round trip, aged to the moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray
from redis.asyncio import Redis

from contracts.settings import Settings
from online_features.context import ContextState
from online_features.definitions import PLACE, USER
from online_features.keys import Keys
from online_features.place_unpacking import PlaceUnpacking
from online_features.place_values import SHELF, PlaceShelf, ShelvedValues

log = structlog.get_logger(__name__)

_CONTEXT = msgspec.json.Decoder(ContextState)


@dataclass(frozen=True)
class UserRead:
    """A user's state [1], whether it was there, and the time of the newest event in it."""

    states: NDArray[np.void]
    known: bool
    latest_s: float | None


class OnlineReader:
    """Reads states from Redis. Raises `redis.RedisError` (a time-out among them).

    A user's state that cannot be read raises `BadState`, since the answer is all about them. A
    place's state, or a region's context, counts as unknown and is named in the log: one of two
    hundred places must not cost the others their features.
    """

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._keys = Keys.of(settings)
        self._unpack = PlaceUnpacking()
        self._shelf = PlaceShelf(unpack=self._unpack)
        self._key_of: dict[str, str] = {}
        self._bad_regions: set[str] = set()

    async def user(self, user_id: str) -> UserRead:
        """The state of one user; the empty one if nothing is known."""
        return _user_read(await self._redis.get(self._keys.entity("i", user_id)))

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
        async with self._redis.pipeline(transaction=False) as pipe:
            for partition in partitions:
                pipe.hget(self._keys.shard("i", partition), "offset")
            pipe.get(self._keys.entity("i", user_id))
            *offsets, value = await pipe.execute()
        return _user_read(value), tuple(int(offset or 0) for offset in offsets)

    async def places(self, place_ids: Sequence[str]) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
        """States [n] of places and which were there and could be read: one MGET."""
        if not place_ids:
            return PLACE.empty(0), np.zeros(0, bool)
        packed: Any = await self._redis.mget(self._place_keys(place_ids))
        return self._unpack(place_ids, packed)

    async def scene(
        self, place_ids: Sequence[str], region: str, now_s: float
    ) -> tuple[ShelvedValues, ContextState | None]:
        """What the states of n places say at a moment, neutral where there is none, and the newest
        context of a region, none of "": one MGET.

        States that have not changed since they were read last are not unpacked again.
        """
        keys = self._place_keys(place_ids)
        if region:
            keys.append(self._keys.entity("c", region))
        packed: Any = await self._redis.mget(keys) if keys else []
        context = self._context_of(region, packed.pop() if region else None)
        return self._shelf.values(place_ids, packed, now_s), context

    def _place_keys(self, place_ids: Sequence[str]) -> list[str]:
        if len(self._key_of) > SHELF:
            self._key_of.clear()
        key_of = self._key_of
        for place_id in place_ids:
            if place_id not in key_of:
                key_of[place_id] = self._keys.entity("b", place_id)
        return [key_of[place_id] for place_id in place_ids]

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


def _user_read(value: Any) -> UserRead:
    states, known = USER.unpack([value])
    latest = float(states["since_activity_s"]["latest_s"][0])
    return UserRead(states, bool(known[0]), latest if known[0] and latest > 0 else None)
