"""What is known of a user, and which users there are, read from Redis as the service reads it."""

from typing import Any

import redis
from redis.asyncio import Redis

from contracts.events import EVENT_TYPES
from contracts.settings import Settings
from online_features.catalogue import Catalogue
from online_features.definitions import NEVER_S, USER
from online_features.history import history
from online_features.keys import Keys
from online_features.reader import OnlineReader
from placestream.console.problem import Problem

#: Recent events that the page lists.
RECENT = 12
#: Users that are looked at to suggest some, and how many are suggested.
LOOKED_AT, SUGGESTED = 400, 12
WEEKDAYS, HOURS = 7, 24


class People:
    """Reads users; what Redis does not say is told as a `Problem`."""

    def __init__(self, settings: Settings, client: Redis, catalogue: Catalogue) -> None:
        self._redis = client
        self._reader = OnlineReader(client, settings)
        self._keys = Keys.of(settings)
        self._catalogue = catalogue

    async def features(self, user_id: str, now_s: float) -> dict[str, Any]:
        """Numbers by name, habits, and recent events of a user, aged to `now_s` (Unix seconds).

        Raises:
            Problem: Redis does not answer.
        """
        try:
            read = await self._reader.user(user_id)
        except (redis.RedisError, OSError) as error:
            raise _away(error) from error
        values = dict(zip(USER.columns, USER.read(read.states, now_s)[0].tolist(), strict=True))
        hours = [values.pop(f"visit_hours_{hour}") for hour in range(HOURS)]
        weekdays = [values.pop(f"visit_weekdays_{day}") for day in range(WEEKDAYS)]
        return {
            "user_id": user_id,
            "known": read.known,
            "latest_s": read.latest_s,
            # "Never" is a number to the models, and none to a person.
            "values": {
                name: None if name.startswith("since_") and value >= NEVER_S else value
                for name, value in values.items()
            },
            "hours_utc": hours,
            "weekdays_utc": weekdays,
            "recent": self._recent(read.states),
        }

    def _recent(self, states: Any) -> list[dict[str, Any]]:
        seen, places = history(states), self._catalogue
        rows = places.rows_of(seen.ids[0, :RECENT]).tolist()
        times, kinds = seen.time_s[0].tolist(), seen.kind[0].tolist()
        return [
            self._place(row) | {"kind": EVENT_TYPES[kinds[i]], "time_s": times[i]}
            for i, row in enumerate(rows)
            if seen.ids[0, i]
        ]

    def _place(self, row: int) -> dict[str, str | None]:
        """A place of the catalogue as far as it is known; -1: not at all."""
        places = self._catalogue
        if row < 0:
            return {"place_id": None, "name": None, "category": None}
        code = int(places.category[row])
        category = places.categories[code] if code >= 0 else None
        return {"place_id": places.place_id(row), "name": places.names[row], "category": category}

    async def some(self) -> list[dict[str, Any]]:
        """Some users that are known, the most active of those that were looked at first.

        Raises:
            Problem: Redis does not answer.
        """
        pattern = self._keys.pattern("i", self._keys.version("i"))
        keys: list[bytes] = []
        try:
            async for key in self._redis.scan_iter(pattern, count=LOOKED_AT):
                if self._id_of(key):
                    keys.append(key)
                if len(keys) >= LOOKED_AT:
                    break
            values: Any = await self._redis.mget(keys) if keys else []
        except (redis.RedisError, OSError) as error:
            raise _away(error) from error
        states, known, _ = USER.unpack_readable(values)
        events = history(states)
        active = sorted(
            (
                (int((events.ids[i] != 0).sum()), float(events.time_s[i, 0]), self._id_of(key))
                for i, key in enumerate(keys)
                if known[i]
            ),
            reverse=True,
        )
        return [
            {"user_id": user_id, "events": count, "latest_s": latest_s}
            for count, latest_s, user_id in active[:SUGGESTED]
        ]

    def _id_of(self, key: bytes) -> str:
        """The user of a key; empty for what is no user's."""
        told = self._keys.version_of(key.decode())
        return told[2][1:] if told and told[2].startswith(":") else ""


def _away(error: Exception) -> Problem:
    return Problem(
        503,
        f"Redis does not answer: {error}",
        "Look whether it runs, and whether PLACESTREAM_REDIS_URL names it.",
    )
