"""The truth of a simulated city: what a place is worth to a user at a moment, and how they choose.

Everything that users do follows from `Behaviour.utility`, so that a recommender's regret can be
measured against it. The formula is the multinomial logit: utility plus standard Gumbel noise,
the highest wins (McFadden 1974, "Conditional logit analysis of qualitative choice behavior").
"""

from dataclasses import dataclass

import numpy as np

from placestream.simulation.categories import CATEGORIES, GROUP_OF, happening_appeal, hour_appeal
from placestream.simulation.places import Places, distance_m
from placestream.simulation.plan import Drift
from placestream.simulation.surroundings import Surroundings
from placestream.simulation.times import LocalTime, day_of, hour_of, slot_of, weekday_of
from placestream.simulation.users import Users, draw_group_taste
from placestream.simulation.weather import Outside

#: Utility lost where a place is closed: e^-8, a third of a thousandth of the chance when open.
CLOSED = -8.0
FAVOURITES = 6
#: Who has turned round would rather go so many times their reach, or farther.
_FAR = np.float32(3.0)
_JAM = 0.45  # share of the reach that a standstill takes away
_MOOD_KEPT = 0.75  # of a mood, from day to day
_MOOD_SPREAD = 0.9
#: By `CONDITIONS`: what being in the open gains, and the share of the reach that is left.
_OPEN_AIR = np.array([0.4, 0.0, -2.6, -2.2], np.float32)
_REACH_LEFT = np.array([1.0, 1.0, 0.6, 0.55], np.float32)
_open_air = np.array([c.open_air for c in CATEGORIES], np.float32)
_heat = np.array([c.heat for c in CATEGORIES], np.float32)


class Moods:
    """What each user is in the mood for: a first-order walk from day to day, by latent group.

    It is why the last hours of a user tell more than the last months.
    """

    def __init__(self, first_day: int, users: int, groups: int, rng: np.random.Generator) -> None:
        """Begin on a local day (days since 1970)."""
        self._first_day = first_day
        self._rng = rng
        start = rng.normal(0, _MOOD_SPREAD, (users, groups)).astype(np.float32)
        self._days = [start]

    def at(self, users: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Moods of these users on these local days, float32[n, G]; before the start, as then."""
        index = np.maximum(day - self._first_day, 0)
        while len(self._days) <= int(index.max(initial=0)):
            self._days.append(self._next(self._days[-1]))
        moods = np.empty((len(users), self._days[0].shape[1]), np.float32)
        for i in np.unique(index).tolist():
            rows = index == i
            moods[rows] = self._days[i][users[rows]]
        return moods

    def _next(self, mood: np.ndarray) -> np.ndarray:
        fresh = self._rng.standard_normal(mood.shape, np.float32)
        spread = np.float32(_MOOD_SPREAD * np.sqrt(1 - _MOOD_KEPT**2))
        return np.asarray(np.float32(_MOOD_KEPT) * mood + spread * fresh)


@dataclass(frozen=True)
class NewTastes:
    """Tastes after a `Drift`: who changes, and to which liking of groups."""

    drift: Drift
    changes: np.ndarray  # bool[U]
    group_taste: np.ndarray  # float32[U, G]

    def changed(self, users: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """Which of these users [n] have changed by then, bool[n]."""
        return np.asarray(self.changes[users] & (time_s >= self.drift.at_s))


def make_new_tastes(drift: Drift, users: Users, rng: np.random.Generator) -> NewTastes:
    """Draw who changes and to what."""
    other = draw_group_taste(users.age, rng)
    mixed = (1 - drift.strength) * users.group_taste + drift.strength * other
    return NewTastes(drift, rng.random(len(users)) < drift.share, mixed.astype(np.float32))


class Behaviour:
    """Utility and choice, vectorised: n moments, each with k places.

    Attributes:
        favourites: rows of the places that each user comes back to, int64[U, FAVOURITES].
    """

    def __init__(
        self,
        places: Places,
        users: Users,
        local: LocalTime,
        moods: Moods,
        new_tastes: NewTastes | None,
        rng: np.random.Generator,
    ) -> None:
        """Take the city's parts; draws the favourites."""
        self._places, self._users, self._local, self._moods = places, users, local, moods
        self._new = new_tastes
        self._hour_appeal, self._happening_appeal = hour_appeal(), happening_appeal()
        self._surroundings = Surroundings(places)
        self.favourites = self._draw_favourites(rng)

    def utility(
        self,
        users: np.ndarray,
        places: np.ndarray,
        time_s: np.ndarray,
        lat: np.ndarray,
        lng: np.ndarray,
        outside: Outside,
    ) -> np.ndarray:
        """What places are worth to users there and then; higher is better, one unit is e-fold odds.

        Args:
            users: rows of users, int64[n].
            places: rows of places, int64[n, k]; -1 for no place, whose utility is -inf.
            time_s: Unix seconds, float64[n].
            lat: where the user is, degrees, float64[n].
            lng: likewise.
            outside: weather and traffic at these moments, [n].

        Returns:
            float32[n, k]: liking + mood, hour, weather and happenings (by category) + loyalty to
            a favourite - distance over reach + `CLOSED` where closed at `time_s`. After a `Drift`
            with a reversal, what `_turned` says of the weights of these has its other sign, and
            what was lost by distance is lost by what is missing to three times the reach.
        """
        utility = self.liking(users, places, time_s)
        moment = self._moment(users, time_s, outside)
        utility += np.take_along_axis(moment, self._places.category[places], axis=1)
        turned = self._turned(users, time_s)[:, None]
        effort = self._effort(users, places, lat, lng, outside)
        utility -= (1 - turned) * effort + turned * (_FAR - np.minimum(effort, _FAR))
        loyalty = (1 - 2 * turned) * self._users.loyalty[users, None]
        utility += self.is_favourite(users, places) * loyalty
        utility += np.float32(CLOSED) * ~self.is_open(places, time_s[:, None])
        utility[places < 0] = -np.inf
        return utility

    def liking(self, users: np.ndarray, places: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """The lasting part of utility, which ratings follow too: taste, style, quality, price.

        Args and shape as in `utility`.
        """
        u, p = self._users, self._places
        taste = self.group_taste(users, time_s)[:, GROUP_OF] + u.category_taste[users]
        liking = np.take_along_axis(taste, p.category[places], axis=1)
        liking += p.quality[places]
        for style in range(p.style.shape[1]):
            liking += p.style[places, style] * u.style_taste[users, style, None]
        above = p.price.astype(np.float32)[places] - u.budget[users, None]
        thrift = (1 - 2 * self._turned(users, time_s)) * u.thrift[users]
        liking -= thrift[:, None] * np.maximum(above, 0)
        return np.asarray(liking)

    def group_taste(self, users: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """Liking of the latent groups at these moments, drift included, float32[n, G]."""
        taste = self._users.group_taste[users]
        if self._new is not None:
            changed = self._new.changed(users, time_s)
            taste = np.where(changed[:, None], self._new.group_taste[users], taste)
        return np.asarray(taste)

    def _turned(self, users: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """How far what these users weigh has turned round by then, float32[n] in 0..1."""
        if self._new is None:
            return np.zeros(len(users), np.float32)
        changed = self._new.changed(users, time_s)
        return changed * np.float32(self._new.drift.reversal)

    def is_open(self, places: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """Whether the places are open (bool); `time_s` broadcasts against `places`."""
        return np.asarray(self._places.open[places, slot_of(self._local.local_s(time_s))])

    def is_favourite(self, users: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Whether the places [n, k] are favourites of the users [n], bool[n, k]."""
        favourite = np.zeros(places.shape, bool)
        for column in self.favourites[users].T:
            favourite |= places == column[:, None]
        return favourite

    def considered(self, users: np.ndarray, lat: np.ndarray, lng: np.ndarray) -> np.ndarray:
        """Places that these users think of there, int64[n, k]: those around, and favourites.

        Rows have equal length: a favourite that is among those around takes the place of none
        and stands there as -1.
        """
        near = self._surroundings.of(lat, lng)
        favourites = self.favourites[users]
        twice = (near[:, :, None] == favourites[:, None, :]).any(axis=1)
        return np.concatenate([near, np.where(twice, -1, favourites)], axis=1)

    @staticmethod
    def probability(utility: np.ndarray) -> np.ndarray:
        """Chance that each place is chosen (softmax over the last axis), same shape."""
        odds = np.exp(utility - utility.max(axis=-1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=-1, keepdims=True))

    @staticmethod
    def choose(utility: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        """Columns of the `count` first choices, int64[n, count], without repetition.

        Utility plus Gumbel noise, highest first; the first is a draw from `probability`.
        """
        noise = rng.standard_exponential(utility.shape, np.float32)
        # In float32 one draw in 2^24 is 0, whose logarithm would win against anything.
        noisy = utility - np.log(np.maximum(noise, np.float32(1e-7)))
        top = np.argpartition(noisy, -count, axis=1)[:, -count:]
        order = np.argsort(-np.take_along_axis(noisy, top, axis=1), axis=1)
        return np.take_along_axis(top, order, axis=1)

    def _moment(self, users: np.ndarray, time_s: np.ndarray, outside: Outside) -> np.ndarray:
        """What the moment adds to each category, float32[n, C]."""
        local_s = self._local.local_s(time_s)
        weekend = (weekday_of(local_s) >= 5).astype(np.int64)
        moment = self._moods.at(users, day_of(local_s))[:, GROUP_OF]
        appeal = self._hour_appeal[:, weekend, hour_of(local_s)].T
        moment += (1 - 2 * self._turned(users, time_s))[:, None] * appeal
        moment += self._happening_appeal[outside.happening]
        chill = np.clip(((outside.temp - 22) / 12) ** 2, 0, 2.5) * (outside.temp < 22)
        moment += (_OPEN_AIR[outside.condition] - chill)[:, None] * _open_air
        moment += (outside.temp[:, None] - 20) / 10 * _heat
        return np.asarray(moment)

    def _effort(
        self,
        users: np.ndarray,
        places: np.ndarray,
        lat: np.ndarray,
        lng: np.ndarray,
        outside: Outside,
    ) -> np.ndarray:
        """Distance over reach; traffic, rain and snow shorten the reach. float32[n, k]."""
        left = _REACH_LEFT[outside.condition] * (1 - np.float32(_JAM) * outside.congestion)
        reach_m = self._users.reach_m[users] * left
        p = self._places
        away_m = distance_m(lat[:, None], lng[:, None], p.lat[places], p.lng[places])
        return np.asarray(away_m.astype(np.float32) / reach_m[:, None])

    def _draw_favourites(self, rng: np.random.Generator) -> np.ndarray:
        """A few places that fit the user, half near home, half near work; -1 where none is left."""
        u = self._users
        rows = np.arange(len(u))
        halves = []
        for lat, lng in ((u.home_lat, u.home_lng), (u.work_lat, u.work_lng)):
            near = self._surroundings.of(lat, lng)
            worth = self.liking(rows, near, np.full(len(u), -np.inf))
            p = self._places
            away_m = distance_m(lat[:, None], lng[:, None], p.lat[near], p.lng[near])
            worth -= (away_m / u.reach_m[:, None]).astype(np.float32)
            count = min(FAVOURITES // 2, near.shape[1])
            chosen = self.choose(worth, count, rng)
            halves.append(np.take_along_axis(near, chosen, axis=1))
        twice = (halves[1][:, :, None] == halves[0][:, None, :]).any(axis=2)
        return np.concatenate([halves[0], np.where(twice, -1, halves[1])], axis=1)
