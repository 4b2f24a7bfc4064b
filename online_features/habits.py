"""Habits: which of a user's past occasions resemble this one.

Each weight says of the past visits how much their occasion was like the present (the hour, the
weekday, the time since the visit before, the place or kind of place come from); what share of a
weight a very place has is a column of the ranker. The gap since the visit before carries most:
half an hour after work leads elsewhere than the morning after.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_features.compiled import compiled
from online_features.definitions import NEVER_S
from online_features.geo import metres_between
from online_features.rings import DAY_S, HOUR_S

Values = NDArray[Any]

#: How fast a taste fades, and how fast what was just looked at does.
TASTE_TAU_S = 21.0 * DAY_S
INTENT_TAU_S = 0.5 * HOUR_S
#: What was looked at longer ago says nothing of what is wanted now.
INTENT_MOST_S = 2.0 * DAY_S
#: Width of "around this hour", hours.
HOUR_SIGMA = 1.5
#: And more generously.
WIDE_SIGMA = 2.5
#: Gaps are alike when their logarithms are, within about a factor of two.
GAP_SIGMA, GAP_FLOOR_H = 0.7, 0.2
#: A past visit began near here if its own previous place lies within about so many metres.
NEAR_M = 300.0
#: Weekdays from this one on (Monday 0, UTC) are the weekend.
_WEEKEND = 5
#: Hours of a day and of a week.
_DAY_H, _WEEK_H = 24.0, 168.0

#: Weights of past events, by name: 0 but for visits (and ratings), "intent" apart.
WEIGHTS = (
    "been",  # 1
    "taste",  # fading over weeks
    "taste_this_hour",  # of these, those around this hour
    "intent",  # events of any kind, fading over minutes
    "gap",  # after a gap like the present one, around this hour
    "start",  # from the place visited last
    "start_gap",  # from there, after a gap like the present one
    "start_kind",  # from a place of its category
    "began_near",  # that began near here, around this hour
    "hour",  # around this hour, narrowly
    "hours",  # around this hour, generously, fading over two months
    "day_hour",  # on the same kind of day (weekday or weekend) at this hour
    "week_hour",  # around this hour of the week
    "1d",  # fading over a day
    "7d",
    "30d",
)
_BEEN, _TASTE, _TASTE_HOUR, _INTENT, _GAP, _START, _START_GAP, _START_KIND = range(8)
_BEGAN_NEAR, _HOUR, _HOURS, _DAY_HOUR, _WEEK_HOUR, _1D, _7D, _30D = range(8, len(WEIGHTS))
#: What `look_back` tells of each request beside the weights, see `online_features.occasions`.
TOLD = (
    *("gap_now_s", "gap_before_s", "visits", "starts", "this_hour", "novelty"),
    *("lat", "lng", "radius_m", "price"),
)
_GAP_NOW, _GAP_BEFORE, _VISITS, _STARTS, _THIS_HOUR, _NOVELTY = range(6)
_LAT, _LNG, _RADIUS, _PRICE = range(6, len(TOLD))


class Past(NamedTuple):
    """Events of r requests, newest first; [r, history]."""

    time_s: Values
    held: Values
    been: Values
    row: Values


class Asked(NamedTuple):
    """Moments and places of r requests; [r]."""

    now_s: Values
    lat: Values
    lng: Values


class Places(NamedTuple):
    """The catalogue by row."""

    category: Values
    lat: Values
    lng: Values
    price: Values


def weekend(time_s: Values) -> Values:
    """Whether moments lie on a Saturday or Sunday, UTC; bool, same shape."""
    # 1970-01-01 was a Thursday.
    late: Values = (np.asarray(time_s) // DAY_S + 3) % 7 >= _WEEKEND
    return late


@compiled
def _bell(apart: float, sigma: float) -> float:
    """1 at 0, and falling as a normal distribution does."""
    return math.exp(-0.5 * (apart / sigma) ** 2)


@compiled
def _apart_h(time_s: float, now_s: float, period_h: float) -> float:
    """Hours between two moments around the clock of a period."""
    apart = abs(time_s - now_s) / HOUR_S % period_h
    return min(apart, period_h - apart)


@compiled
def _is_weekend(time_s: float) -> bool:
    """`weekend` of one moment."""
    return (time_s // DAY_S + 3) % 7 >= _WEEKEND


@compiled
def _insert(values: Values, n: int, value: float) -> None:
    """Put a value in its place among the n that ascend before it."""
    at = n
    while at > 0 and values[at - 1] > value:
        values[at] = values[at - 1]
        at -= 1
    values[at] = value


@compiled
def _median(ascending: Values, n: int) -> float:
    """The lower median of the first n numbers; NaN of none."""
    return ascending[(n - 1) // 2] if n else math.nan


@compiled
def look_back(
    past: Past, at: Asked, places: Places, weights: Values, last_row: Values, told: Values
) -> None:
    """Weigh the past events of r requests, and say what they come to; fills in the last three.

    Args:
        past: histories.
        at: where and when each request is.
        places: the catalogue.
        weights: float64[len(WEIGHTS), r, history], zeros.
        last_row: int64[r], catalogue row of the place visited last; -1 none or unknown.
        told: float64[len(TOLD), r].
    """
    for i in range(len(at.now_s)):
        last, gap_now = -1, NEVER_S
        for j in range(past.row.shape[1]):
            if past.been[i, j]:
                last, gap_now = past.row[i, j], max(at.now_s[i] - past.time_s[i, j], 0.0)
                break
        last_row[i], told[_GAP_NOW, i] = last, gap_now
        _weigh(i, past, at, weights, told)
        _weigh_ways(i, past, at, places, last, gap_now, weights, told)
        _know(i, past, places, weights, told)


@compiled
def _weigh(i: int, past: Past, at: Asked, weights: Values, told: Values) -> None:
    """Weights by when an event was, of one request."""
    now, visits, this_hour = at.now_s[i], 0, 0.0
    for j in range(past.row.shape[1]):
        if not past.held[i, j]:
            continue
        time_s = past.time_s[i, j]
        age = max(now - time_s, 0.0)
        if age < INTENT_MOST_S:
            weights[_INTENT, i, j] = math.exp(-age / INTENT_TAU_S)
        if not past.been[i, j]:
            continue
        apart, taste = _apart_h(time_s, now, _DAY_H), math.exp(-age / TASTE_TAU_S)
        narrow, hour = _bell(apart, 1.0), _bell(apart, HOUR_SIGMA)
        weights[_BEEN, i, j] = 1.0
        weights[_TASTE, i, j] = taste
        weights[_TASTE_HOUR, i, j] = taste * hour
        weights[_HOUR, i, j] = narrow
        weights[_HOURS, i, j] = _bell(apart, WIDE_SIGMA) * math.exp(-age / (60.0 * DAY_S))
        weights[_WEEK_HOUR, i, j] = _bell(_apart_h(time_s, now, _WEEK_H), 2.0)
        weights[_1D, i, j] = math.exp(-age / DAY_S)
        weights[_7D, i, j] = math.exp(-age / (7.0 * DAY_S))
        weights[_30D, i, j] = math.exp(-age / (30.0 * DAY_S))
        if _is_weekend(time_s) == _is_weekend(now):
            weights[_DAY_HOUR, i, j] = hour
        visits += 1
        this_hour += narrow
    told[_VISITS, i], told[_THIS_HOUR, i] = visits, this_hour


@compiled
def _weigh_ways(
    i: int,
    past: Past,
    at: Asked,
    places: Places,
    last: int,
    gap_now: float,
    weights: Values,
    told: Values,
) -> None:
    """Weights by where and when the visit before lay, of one request whose last was at `last`."""
    now_log, starts, gap = math.log(gap_now / HOUR_S + GAP_FLOOR_H), 0, NEVER_S
    category = places.category[last] if last >= 0 else -1
    before = -1  # position of the visit before, which is the older one
    for j in range(past.row.shape[1] - 1, -1, -1):
        if not past.been[i, j]:
            continue
        gap = NEVER_S
        if before >= 0:
            gap = past.time_s[i, j] - past.time_s[i, before]
            alike = _bell(math.log(gap / HOUR_S + GAP_FLOOR_H) - now_log, GAP_SIGMA)
            wide = _bell(_apart_h(past.time_s[i, j], at.now_s[i], _DAY_H), WIDE_SIGMA)
            weights[_GAP, i, j] = alike * wide
            start = past.row[i, before]
            if start >= 0:
                metres = metres_between(at.lat[i], at.lng[i], places.lat[start], places.lng[start])
                if not math.isnan(metres):
                    weights[_BEGAN_NEAR, i, j] = wide * math.exp(-metres / NEAR_M)
                if start == last:
                    starts += 1
                    weights[_START, i, j] = 1.0
                    weights[_START_GAP, i, j] = alike
                if category >= 0 and places.category[start] == category:
                    weights[_START_KIND, i, j] = 1.0
        before = j
    told[_STARTS, i], told[_GAP_BEFORE, i] = starts, gap


@compiled
def _know(i: int, past: Past, places: Places, weights: Values, told: Values) -> None:
    """Where one request's user goes, how dear that is, and how often it is somewhere new."""
    size = past.row.shape[1]
    rows, known, distinct = np.empty(size, np.int64), 0, 0
    lats, lngs, somewhere = np.empty(size), np.empty(size), 0
    price, price_weight = 0.0, 0.0
    for j in range(size):
        row = past.row[i, j]
        if not past.been[i, j] or row < 0:
            continue
        _insert(rows, known, row)
        known += 1
        if not math.isnan(places.price[row]):
            price += weights[_TASTE, i, j] * places.price[row]
            price_weight += weights[_TASTE, i, j]
        if not (math.isnan(places.lat[row]) or math.isnan(places.lng[row])):
            _insert(lats, somewhere, places.lat[row])
            _insert(lngs, somewhere, places.lng[row])
            somewhere += 1
    lat, lng = _median(lats, somewhere), _median(lngs, somewhere)
    apart, n = np.empty(size), 0
    for j in range(known):
        distinct += j == 0 or rows[j] != rows[j - 1]
        metres = metres_between(lat, lng, places.lat[rows[j]], places.lng[rows[j]])
        if not math.isnan(metres):
            _insert(apart, n, metres)
            n += 1
    told[_LAT, i], told[_LNG, i], told[_RADIUS, i] = lat, lng, _median(apart, n)
    told[_PRICE, i] = price / price_weight if price_weight > 0 else np.nan
    visits = told[_VISITS, i]
    told[_NOVELTY, i] = distinct / visits if visits else 1.0
