"""One session of a user: what is looked at, opened, visited and rated.

The funnel: a user at a spot looks at a few places (the first choices by utility plus Gumbel
noise), opens some, goes to the best of those, and sometimes rates it. Each step is likelier the
higher the utility. Some sessions have no app in them: the user just goes (a bare visit). A user who
is shown a list looks at its first places instead of their own first choices; all else is the same.
"""

from dataclasses import dataclass, fields

import numpy as np

from placestream.simulation.behaviour import Behaviour
from placestream.simulation.categories import CATEGORIES
from placestream.simulation.funnel import Funnel, followed, funnel_of, views
from placestream.simulation.places import Places, distance_m
from placestream.simulation.weather import Sky

VIEW, CLICK, VISIT, RATE = range(4)  # indices in contracts.events.EVENT_TYPES
DEVICES = ("mobile", "tablet", "web")
MOST_VIEWS = 7
MOST_EVENTS = 2 * MOST_VIEWS + 2  # of a session
_SEARCHES = 0.22  # sessions with a search query
_SPEED_M_S = 5.0  # door to door in a free city
_GPS_DEGREES = 0.0001  # spread of a position, about 11 m
#: All search queries, by category; index 0 is no query.
QUERIES: tuple[str, ...] = ("", *(query for c in CATEGORIES for query in c.queries))
_query_count = np.array([len(c.queries) for c in CATEGORIES])
_query_first = 1 + np.cumsum(_query_count) - _query_count
_stay_s = np.array([c.stay_min * 60 for c in CATEGORIES])


@dataclass(frozen=True)
class Events:
    """Interactions in columns [n].

    Attributes:
        time_ms: Unix milliseconds, int64.
        user: row of the user, int32.
        place: row of the place, int32.
        kind: index in `EVENT_TYPES`, int8.
        lat, lng: where the user is, degrees, float64.
        stars: rating 1..5, 0 where none, int8.
        dwell_s: seconds spent, NaN where it means nothing, float32.
        session: number of the session, int64.
        code: number of the event within its session, int8.
        device: index in `DEVICES`, -1 without the app, int8.
        query: index in `QUERIES`, whose first is none, int16.
    """

    time_ms: np.ndarray
    user: np.ndarray
    place: np.ndarray
    kind: np.ndarray
    lat: np.ndarray
    lng: np.ndarray
    stars: np.ndarray
    dwell_s: np.ndarray
    session: np.ndarray
    code: np.ndarray
    device: np.ndarray
    query: np.ndarray

    def __len__(self) -> int:
        """Number of events."""
        return len(self.time_ms)

    def take(self, rows: np.ndarray | slice) -> "Events":
        """Some of the events."""
        return Events(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @staticmethod
    def joined(parts: list["Events"]) -> "Events":
        """All events of the parts, ordered by time (ties by session, then code)."""
        joined = {
            f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Events)
        }
        order = np.lexsort((joined["code"], joined["session"], joined["time_ms"]))
        return Events(**{name: column[order] for name, column in joined.items()})


@dataclass(frozen=True)
class Starts:
    """Sessions about to begin, in columns [s]: who, when (Unix seconds), where, running number."""

    user: np.ndarray
    time_s: np.ndarray
    lat: np.ndarray
    lng: np.ndarray
    session: np.ndarray

    def __len__(self) -> int:
        """Number of sessions."""
        return len(self.user)


@dataclass(frozen=True)
class Outcome:
    """What came of sessions: the events, and where and when each user ended.

    Attributes:
        events: all events, by session.
        visited: row of the place that was visited, -1 where none, int64[s].
        end_s: Unix seconds at which the session was over, float64[s].
    """

    events: Events
    visited: np.ndarray
    end_s: np.ndarray


def play(
    starts: Starts, behaviour: Behaviour, places: Places, sky: Sky, rng: np.random.Generator
) -> Outcome:
    """Play these sessions, each on its own."""
    considered = behaviour.considered(starts.user, starts.lat, starts.lng)
    outside = sky.at(starts.time_s)
    utility = behaviour.utility(
        starts.user, considered, starts.time_s, starts.lat, starts.lng, outside
    )
    count = min(MOST_VIEWS, utility.shape[1])
    first = behaviour.choose(utility, count, rng)
    funnel = funnel_of(
        np.take_along_axis(considered, first, axis=1),
        np.take_along_axis(utility, first, axis=1),
        rng,
    )
    return _told(starts, funnel, behaviour, places, outside.congestion, rng)


def play_shown(
    starts: Starts,
    lists: np.ndarray,
    behaviour: Behaviour,
    places: Places,
    sky: Sky,
    rng: np.random.Generator,
) -> Outcome:
    """Play these sessions, each with a list in hand, int64[s, k]; -1 pads.

    As many of its places are looked at as without one, from the top on, and nobody just goes.
    """
    outside = sky.at(starts.time_s)
    shown = lists[:, :MOST_VIEWS]
    utility = behaviour.utility(starts.user, shown, starts.time_s, starts.lat, starts.lng, outside)
    viewed = np.less(np.arange(shown.shape[1]), views(len(starts), rng)[:, None]) & (shown >= 0)
    seen = np.where(viewed, utility, -np.inf).astype(np.float32)
    best_first = behaviour.choose(seen, shown.shape[1], rng)
    shown, utility, viewed = (
        np.take_along_axis(values, best_first, axis=1) for values in (shown, utility, viewed)
    )
    funnel = followed(shown, utility, viewed, np.zeros(len(starts), bool), rng)
    return _told(starts, funnel, behaviour, places, outside.congestion, rng)


def _told(
    starts: Starts,
    funnel: Funnel,
    behaviour: Behaviour,
    places: Places,
    congestion: np.ndarray,
    rng: np.random.Generator,
) -> Outcome:
    """The funnel as events; a visit happens only where the place is open on arrival."""
    chosen = np.take_along_axis(funnel.places, funnel.choice[:, None], axis=1)[:, 0]
    away_m = distance_m(starts.lat, starts.lng, places.lat[chosen], places.lng[chosen])
    travel_s = 60 + away_m / (_SPEED_M_S * (1 - 0.6 * congestion))
    arrive_s = starts.time_s + funnel.leave_s + travel_s
    goes = funnel.goes & behaviour.is_open(chosen, arrive_s)
    stay_s = (_stay_s[places.category[chosen]] * np.exp(rng.normal(0, 0.35, len(starts)))).round()
    stars = _stars(behaviour, starts.user, chosen, arrive_s, rng)
    parts = [
        *_in_app(starts, funnel, places, rng),
        *_on_site(starts, places, chosen, goes, arrive_s, stay_s, stars, rng),
    ]
    end_s = np.where(goes, arrive_s + stay_s, starts.time_s + funnel.browsed_s)
    return Outcome(Events.joined(parts), np.where(goes, chosen, -1), end_s)


def _in_app(
    starts: Starts, funnel: Funnel, places: Places, rng: np.random.Generator
) -> list[Events]:
    """Views and clicks, with the session's device and, sometimes, its search query."""
    device = rng.choice(len(DEVICES), len(starts), p=(0.84, 0.06, 0.10)).astype(np.int8)
    lat, lng = starts.lat.round(6), starts.lng.round(6)
    # What is typed is what is wanted most: the first choice, whether it is then opened or not.
    wanted = places.category[funnel.places[:, 0]]
    typed = _query_first[wanted] + rng.integers(0, _query_count[wanted])
    query = np.where(rng.random(len(starts)) < _SEARCHES, typed, 0).astype(np.int16)
    parts = []
    for kind, happened in ((VIEW, funnel.viewed), (CLICK, funnel.clicked)):
        row, column = np.nonzero(happened)
        # A click opens what is looked at: after the glance, within the dwell.
        late_s = np.minimum(1.5, funnel.dwell_s[row, column] / 2) if kind == CLICK else 0.0
        time_s = starts.time_s[row] + funnel.view_s[row, column] + late_s
        dwell_s = np.where(kind == VIEW, funnel.dwell_s[row, column], np.nan)
        parts.append(
            Events(
                time_ms=(time_s * 1000).astype(np.int64),
                user=starts.user[row].astype(np.int32),
                place=funnel.places[row, column].astype(np.int32),
                kind=np.full(len(row), kind, np.int8),
                lat=lat[row],
                lng=lng[row],
                stars=np.zeros(len(row), np.int8),
                dwell_s=dwell_s.astype(np.float32),
                session=starts.session[row],
                code=(column * 4 + kind).astype(np.int8),
                device=device[row],
                query=query[row],
            )
        )
    return parts


def _on_site(
    starts: Starts,
    places: Places,
    chosen: np.ndarray,
    goes: np.ndarray,
    arrive_s: np.ndarray,
    stay_s: np.ndarray,
    stars: np.ndarray,
    rng: np.random.Generator,
) -> list[Events]:
    """Visits, located at the place; ratings a while after leaving, from wherever (no location)."""
    spot = rng.normal(0, _GPS_DEGREES, (2, len(starts)))
    lat, lng = (places.lat[chosen] + spot[0]).round(6), (places.lng[chosen] + spot[1]).round(6)
    after_s = stay_s + rng.exponential(2_400, len(starts))
    parts = []
    for kind, happened in ((VISIT, goes), (RATE, goes & (stars > 0))):
        row = np.flatnonzero(happened)
        time_s = arrive_s[row] + (after_s[row] if kind == RATE else 0.0)
        nothing = np.full(len(row), np.nan)
        parts.append(
            Events(
                time_ms=(time_s * 1000).astype(np.int64),
                user=starts.user[row].astype(np.int32),
                place=chosen[row].astype(np.int32),
                kind=np.full(len(row), kind, np.int8),
                lat=lat[row] if kind == VISIT else nothing,
                lng=lng[row] if kind == VISIT else nothing,
                stars=(stars[row] if kind == RATE else np.zeros(len(row))).astype(np.int8),
                dwell_s=(stay_s[row] if kind == VISIT else nothing).astype(np.float32),
                session=starts.session[row],
                code=np.full(len(row), MOST_VIEWS * 4 + kind, np.int8),
                device=np.full(len(row), -1, np.int8),
                query=np.zeros(len(row), np.int16),
            )
        )
    return parts


def _stars(
    behaviour: Behaviour,
    users: np.ndarray,
    places: np.ndarray,
    time_s: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Stars that each visitor would give, 0 for those who give none, int64[s].

    Strong feelings are rated more often; what was liked lastingly is rated higher.
    """
    liking = behaviour.liking(users, places[:, None], time_s)[:, 0]
    stars = np.clip(np.rint(2.6 + 0.5 * liking + rng.normal(0, 0.7, len(users))), 1, 5)
    rates = rng.random(len(users)) < 0.12 + 0.08 * np.abs(stars - 3)
    return np.where(rates, stars, 0).astype(np.int64)
