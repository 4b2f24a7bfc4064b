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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from online_features.catalogue import Catalogue
from online_features.columns import CLICK, RATE, VIEW, VISIT, EventColumns
from online_features.geo import distance_m

LEAST_RATING = 3.0
#: Views and clicks at most so long before a visit led up to it.
LEAD_S = 3 * 3_600.0
#: At most so many of them are looked at.
MOST_LEADS = 4
#: A rating so long after a visit belongs to that visit.
RATED_WITHIN_S = 28 * 86_400.0
#: Users are gone through in shares of about so many events.
EVENTS_AT_ONCE = 2**22
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


def find_moments(log: EventColumns, catalogue: Catalogue, rng: np.random.Generator) -> Moments:
    """All moments of choice in a log that is sorted by time.

    All but the draw concerns one user at a time, so it is done for some users at once: what is
    worked out on the way takes ten times the bytes of what comes of it.
    """
    shares = list(_shares(log))
    chosen = [at[_chosen(_of(log, at), catalogue)] for at in shares]
    leads = np.zeros(len(log), np.int8)
    for at, mine in zip(shares, chosen, strict=True):
        leads[mine] = _leads(_of(log, at), np.searchsorted(at, mine))
    every = np.sort(np.concatenate(chosen))
    back = np.zeros(len(log), np.int8)
    # One of the events that led up to a choice, itself included.
    back[every] = rng.integers(0, leads[every].astype(np.int64) + 1)
    parts = [
        _moments(_of(log, at), catalogue, np.searchsorted(at, mine), back[mine], at)
        for at, mine in zip(shares, chosen, strict=True)
    ]
    known = np.concatenate([known for _, known in parts])
    moments = _joined([moments for moments, _ in parts])
    # In the log's order of the choices, then stably in that of the moments.
    moments = moments.take(np.argsort(known, kind="stable"))
    order = np.argsort(moments.before, kind="stable")
    return moments.take(order[~np.isnan(moments.lat[order])])


def _shares(log: EventColumns) -> Iterator[NDArray[np.int64]]:
    """Positions of the events of some users, then of others, each ascending."""
    number = -(-len(log) // EVENTS_AT_ONCE)
    if number <= 1:
        yield np.arange(len(log))
        return
    share = (log.user % np.uint64(number)).astype(np.int32)
    for mine in range(number):
        yield np.flatnonzero(share == mine)


def _of(log: EventColumns, share: NDArray[np.int64]) -> EventColumns:
    """A share of a log; all of it is not copied."""
    return log if len(share) == len(log) else log.take(share)


def _chosen(log: EventColumns, catalogue: Catalogue) -> NDArray[np.int64]:
    chosen = positives(log)
    return chosen[catalogue.rows_of(log.place[chosen]) >= 0]


def _moments(
    log: EventColumns,
    catalogue: Catalogue,
    chosen: NDArray[np.int64],
    back: NDArray[np.int8],
    at: NDArray[np.int64],
) -> tuple[Moments, NDArray[np.int64]]:
    """Moments of the choices of a share of a log, and where the choices stand in the whole.

    Args:
        log: of some users.
        catalogue: all places.
        chosen: positions of the choices in it.
        back: how many events of the pair before each its moment lies.
        at: positions of the share in the whole.
    """
    rows = catalogue.rows_of(log.place)
    order = _by_pair(log)
    moment = order[_inverse(order)[chosen] - back]
    lat, lng = _locations(log, catalogue, rows, moment)
    moments = Moments(
        before=at[moment],
        user=log.user[chosen],
        place=rows[chosen],
        time_s=log.time_s[moment],
        known_s=log.time_s[chosen],
        lat=lat,
        lng=lng,
    )
    return moments, at[chosen]


def _joined(parts: Sequence[Moments]) -> Moments:
    return Moments(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Moments)}
    )


def positives(log: EventColumns) -> NDArray[np.int64]:
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


def _leads(log: EventColumns, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each positive, how many events led up to it, at most `MOST_LEADS`."""
    order = _by_pair(log)
    at = _inverse(order)
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
    return leads


def _inverse(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each position stands in an order."""
    at = np.empty(len(order), np.int64)
    at[order] = np.arange(len(order))
    return at


def _locations(
    log: EventColumns, catalogue: Catalogue, rows: NDArray[np.int64], moment: NDArray[np.int64]
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


def _newest_before(log: EventColumns, said: NDArray[np.bool_]) -> NDArray[np.int64]:
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


def _by_pair(log: EventColumns) -> NDArray[np.int64]:
    """Positions sorted by user, then place; within a pair they keep the log's order."""
    order: NDArray[np.int64] = np.lexsort((log.place, log.user))
    return order


def _starts(log: EventColumns, order: NDArray[np.int64]) -> NDArray[np.int64]:
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
