"""The moments of choice behind positive events: when, from where, and towards which place.

A positive (a visit, or a rating of at least 3) says that a user chose a place. What the models
learn is the request that should have foreseen it: its moment and its location, neither of which
may give the answer away.

The moment. A visit is often led up to by views and clicks of the same place. If the models only
ever saw the moment before the visit, they would learn "clicked a minute ago"; if only the moment
before the first look, then that a fresh click means nothing. The service is asked at any of
these moments, so one of them is drawn. A rating that follows a visit is the same choice and no
second positive.

The location. A visit reports where the user ended, so its own location is used only if it lies
away from the place. Otherwise the user's newest event before it that says where they were does
(its location, or the place that it visited). Check-ins have no location at all: it is the
previous check-in's place. A positive with neither is left out.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from online_features.archive import EventLog
from online_features.catalogue import Catalogue
from online_features.columns import CLICK, RATE, VIEW, VISIT
from online_features.geo import distance_m

LEAST_RATING = 3.0
#: Views and clicks at most so long before a visit led up to it.
LEAD_S = 3 * 3_600.0
#: At most so many of them are looked at.
MOST_LEADS = 4
#: A rating so long after a visit belongs to that visit.
RATED_WITHIN_S = 28 * 86_400.0
#: An event closer than this to its place was sent from within it.
AT_PLACE_M = 150.0


@dataclass(frozen=True)
class Moments:
    """Moments of choice as parallel arrays, ascending by `before`.

    Attributes:
        before: int64[n], the features know the log's events [0, before).
        user: uint64[n], hash of the user.
        place: int64[n], catalogue row of the place chosen.
        time_s: float64[n], the moment, Unix seconds.
        known_s: float64[n], when the choice became known: the time of the positive event.
        lat, lng: float64[n], where the user was, degrees.
    """

    before: NDArray[np.int64]
    user: NDArray[np.uint64]
    place: NDArray[np.int64]
    time_s: NDArray[np.float64]
    known_s: NDArray[np.float64]
    lat: NDArray[np.float64]
    lng: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.before)

    def take(self, indices: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Self:
        """The moments at some positions, or under a mask."""
        return type(self)(**{f.name: getattr(self, f.name)[indices] for f in fields(self)})

    def concat(self, later: Self) -> Self:
        """These, then others that lie behind them."""
        both = {
            f.name: np.concatenate([getattr(self, f.name), getattr(later, f.name)])
            for f in fields(self)
        }
        return type(self)(**both)


def find_moments(log: EventLog, catalogue: Catalogue, rng: np.random.Generator) -> Moments:
    """All moments of choice in a log that is sorted by time."""
    rows = catalogue.rows_of(log.place)
    chosen = positives(log)
    chosen = chosen[rows[chosen] >= 0]
    moment = _draw_leads(log, chosen, rng)
    lat, lng = _locations(log, catalogue, rows, moment)
    order = np.argsort(moment, kind="stable")
    moments = Moments(
        before=moment,
        user=log.user[chosen],
        place=rows[chosen],
        time_s=log.time_s[moment],
        known_s=log.time_s[chosen],
        lat=lat,
        lng=lng,
    )
    return moments.take(order[~np.isnan(lat[order])])


def positives(log: EventLog) -> NDArray[np.int64]:
    """Positions of visits, and of good ratings that no visit of the same pair went before."""
    order = _by_pair(log)
    start = _starts(log, order)
    visit = log.kind[order] == VISIT
    visit_s = np.where(visit, log.time_s[order], -np.inf)
    last_visit_s = _running_max(visit_s, start)
    rated = (log.kind[order] == RATE) & (log.rating[order] >= LEAST_RATING)
    alone = log.time_s[order] - last_visit_s > RATED_WITHIN_S
    positive: NDArray[np.int64] = np.sort(order[visit | (rated & alone)])
    return positive


def _draw_leads(
    log: EventLog, chosen: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """For each positive, a random one of the events that led up to it, itself included."""
    order = _by_pair(log)
    at = np.empty(len(order), np.int64)
    at[order] = np.arange(len(order))
    start = _starts(log, order)
    look = np.isin(log.kind[order], (VIEW, CLICK))
    leads = np.zeros(len(chosen), np.int64)
    leading = np.ones(len(chosen), bool)
    for back in range(1, MOST_LEADS + 1):
        before = at[chosen] - back
        leading &= before >= start[at[chosen]]
        held = np.maximum(before, 0)
        leading &= look[held] & (log.time_s[chosen] - log.time_s[order[held]] <= LEAD_S)
        leads += leading
    drawn_back = rng.integers(0, leads + 1)
    drawn: NDArray[np.int64] = order[at[chosen] - drawn_back]
    return drawn


def _locations(
    log: EventLog, catalogue: Catalogue, rows: NDArray[np.int64], moment: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the user was at each moment; NaN where nothing says so."""
    known = np.maximum(rows, 0)
    place_lat = np.where(rows >= 0, catalogue.lat[known], np.nan)
    place_lng = np.where(rows >= 0, catalogue.lng[known], np.nan)
    # A look says nothing of the place's whereabouts; only who visits is there.
    been = np.isnan(log.lat) & (log.kind == VISIT)
    ended_lat = np.where(been, place_lat, log.lat)
    ended_lng = np.where(been, place_lng, log.lng)
    source = _newest_before(log, ~np.isnan(ended_lat))[moment]
    found = source >= 0
    before_lat = np.where(found, ended_lat[np.maximum(source, 0)], np.nan)
    before_lng = np.where(found, ended_lng[np.maximum(source, 0)], np.nan)
    away_m = distance_m(log.lat, log.lng, place_lat, place_lng)[moment]
    own = away_m > AT_PLACE_M  # NaN is not
    return (
        np.where(own, log.lat[moment], before_lat),
        np.where(own, log.lng[moment], before_lng),
    )


def _newest_before(log: EventLog, said: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Position of the newest event that is `said` before each one, of the same user; else -1."""
    order = np.argsort(log.user, kind="stable")
    user = log.user[order]
    first = np.r_[True, user[1:] != user[:-1]][: len(order)]
    start = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    newest = np.maximum.accumulate(np.where(said[order], np.arange(len(order)), -1))
    earlier = np.r_[-1, newest[:-1]][: len(order)]
    result = np.empty(len(order), np.int64)
    result[order] = np.where(earlier >= start, order[np.maximum(earlier, 0)], -1)
    return result


def _by_pair(log: EventLog) -> NDArray[np.int64]:
    """Positions sorted by user, then place; within a pair they keep the log's order."""
    order: NDArray[np.int64] = np.lexsort((log.place, log.user))
    return order


def _starts(log: EventLog, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each sorted position, the sorted position at which its pair begins."""
    user, place = log.user[order], log.place[order]
    first = np.r_[True, (user[1:] != user[:-1]) | (place[1:] != place[:-1])][: len(order)]
    begins: NDArray[np.int64] = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    return begins


def _running_max(values: NDArray[np.float64], start: NDArray[np.int64]) -> NDArray[np.float64]:
    """Largest value so far within each run that begins at `start`.

    Valid for values that ascend within a run where they are finite, as times do: the newest
    finite position at or before each one is looked up.
    """
    finite = np.where(np.isfinite(values), np.arange(len(values)), -1)
    newest = np.maximum.accumulate(finite) if len(values) else finite
    return np.where(newest >= start, values[np.maximum(newest, 0)], -np.inf)
