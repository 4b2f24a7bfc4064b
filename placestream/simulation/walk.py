"""The history of a simulated city, day by day: who sets out when, and from where."""

import numpy as np

from placestream.simulation.behaviour import Behaviour
from placestream.simulation.places import Places
from placestream.simulation.sessions import Events, Starts, play
from placestream.simulation.times import DAY_S, HOUR_S, LocalTime, day_of, hour_of, weekday_of
from placestream.simulation.users import Users
from placestream.simulation.weather import RAIN, Sky

MOST_SESSIONS = 10  # of a user in a day
#: Sessions played at once: bounds memory (times 406 places, 4 bytes, some ten columns: 30 MB).
_AT_ONCE = 2_000
_STILL_THERE_S = 2 * HOUR_S  # after a visit the next session starts from that place
_PAUSE_S = 120.0
_WET_DAY = 0.85  # sessions on a day whose noon is wet
_NEAR_DEGREES = 0.0012  # spread of where a session starts, about 130 m


class Walk:
    """Plays the sessions of all users in turn and remembers where each user was last.

    Attributes:
        sessions: sessions so far.
    """

    def __init__(
        self,
        users: Users,
        places: Places,
        behaviour: Behaviour,
        sky: Sky,
        local: LocalTime,
        rng: np.random.Generator,
    ) -> None:
        """Begin with everybody at home."""
        self._users, self._places, self._behaviour = users, places, behaviour
        self._sky, self._local, self._rng = sky, local, rng
        self._last_place = np.full(len(users), -1)
        self._free_s = np.full(len(users), -np.inf)
        self.sessions = 0

    def history(self, start_s: float, ending_s: float) -> Events:
        """All events of the sessions that begin in [start_s, ending_s), ordered by time."""
        first, last = day_of(self._local.local_s(np.array([start_s, ending_s]))).tolist()
        parts = [
            part for day in range(first, last + 1) for part in self._day(day, start_s, ending_s)
        ]
        # One more with no sessions, so that a history without any has its columns too.
        return Events.joined([*parts, self.begin(np.empty(0, np.int64), np.empty(0))])

    def begin(self, users: np.ndarray, time_s: np.ndarray) -> Events:
        """Let these users (rows; each at most once) each have a session from these times on."""
        lat, lng = self._whereabouts(users, time_s)
        session = self.sessions + np.arange(len(users))
        self.sessions += len(users)
        starts = Starts(users, time_s, lat, lng, session)
        outcome = play(starts, self._behaviour, self._places, self._sky, self._rng)
        self._last_place[users] = outcome.visited
        self._free_s[users] = outcome.end_s
        return outcome.events

    def some_eager(self, count: int, time_s: float) -> np.ndarray:
        """Rows of up to `count` users who set out at this moment.

        Those with a session under way only if the others are too few.
        """
        free = self._free_s + _PAUSE_S <= time_s
        eager = self._eagerness(time_s) * np.where(free, 1.0, 1e-9)
        count = min(count, len(eager))
        return self._rng.choice(len(eager), count, replace=False, p=eager / eager.sum())

    def _eagerness(self, time_s: float) -> np.ndarray:
        """Sessions an hour that each user begins about this moment, float64[U]."""
        local_s = self._local.local_s(np.array([time_s]))
        weekday, hour = int(weekday_of(local_s)[0]), int(hour_of(local_s)[0])
        u = self._users
        return np.asarray(u.activity * u.weekdays[:, weekday] * u.hours[:, int(weekday >= 5), hour])

    def _day(self, day: int, start_s: float, ending_s: float) -> list[Events]:
        """Sessions of one local day, in waves: the first of every user, the second, ..."""
        times_s = self._session_times(day)
        parts = []
        for wave in range(times_s.shape[1]):
            begin_s = np.maximum(times_s[:, wave], self._free_s + _PAUSE_S)
            users = np.flatnonzero((begin_s >= start_s) & (begin_s < ending_s))
            for at in range(0, len(users), _AT_ONCE):
                chunk = users[at : at + _AT_ONCE]
                parts.append(self.begin(chunk, begin_s[chunk]))
        return parts

    def _session_times(self, day: int) -> np.ndarray:
        """When each user begins a session on a day, Unix seconds, ascending, inf where none."""
        midnight_s = self._local.midnight_s(day)
        weekday = (day + 3) % 7
        wet = self._sky.at(np.array([midnight_s + DAY_S / 2])).condition[0] >= RAIN
        mean = self._users.activity * self._users.weekdays[:, weekday] * (_WET_DAY if wet else 1)
        count = np.minimum(self._rng.poisson(mean), MOST_SESSIONS)
        shape = (len(count), int(count.max(initial=0)))
        chance = np.cumsum(self._users.hours[:, int(weekday >= 5)], axis=1)
        hour = (chance[:, None, :-1] <= self._rng.random(shape)[:, :, None]).sum(axis=2)
        time_s = midnight_s + (hour + self._rng.random(shape)) * HOUR_S
        time_s[np.arange(shape[1]) >= count[:, None]] = np.inf
        return np.sort(time_s, axis=1)

    def _whereabouts(self, users: np.ndarray, time_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where users begin a session: at the place just visited, at work, at home, or out."""
        u, p, rng = self._users, self._places, self._rng
        local_s = self._local.local_s(time_s)
        at_work = u.works[users] & (weekday_of(local_s) < 5)
        at_work &= (
            (hour_of(local_s) >= 9) & (hour_of(local_s) < 18) & (rng.random(len(users)) < 0.8)
        )
        haunts = self._behaviour.favourites[users]
        haunt = haunts[np.arange(len(users)), rng.integers(0, haunts.shape[1], len(users))]
        out = ~at_work & (rng.random(len(users)) < 0.3) & (haunt >= 0)
        last = self._last_place[users]
        there = (last >= 0) & (time_s < self._free_s[users] + _STILL_THERE_S)
        lat, lng = (
            np.select([there, at_work, out], [place[last], work[users], place[haunt]], home[users])
            for place, work, home in (
                (p.lat, u.work_lat, u.home_lat),
                (p.lng, u.work_lng, u.home_lng),
            )
        )
        spread = rng.normal(0, _NEAR_DEGREES, (2, len(users)))
        return lat + spread[0], lng + spread[1]
