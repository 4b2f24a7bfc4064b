"""Habits: which of a user's past occasions resemble this one.

Each weight says of the past visits how much their occasion was like the present (the hour, the
weekday, the time since the visit before, the place or kind of place come from); what share of a
weight a very place has is a column of the ranker. The gap since the visit before carries most:
half an hour after work leads elsewhere than the morning after.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_features.catalogue import Catalogue
from online_features.columns import RATE, VISIT
from online_features.compiled import compiled
from online_features.context import Situation
from online_features.definitions import NEVER_S
from online_features.geo import metres_between
from online_features.history import History
from online_features.rings import DAY_S, HOUR_S

Values = NDArray[Any]

#: How fast a taste fades, and how fast what was just looked at does.
TASTE_TAU_S = 21.0 * DAY_S
INTENT_TAU_S = 0.5 * HOUR_S
#: What was looked at longer ago says nothing of what is wanted now.
INTENT_MOST_S = 2.0 * DAY_S
#: Width of "around this hour", hours.
HOUR_SIGMA = 1.5
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
#: What `_look_back` tells of each request beside the weights; see `Occasions`.
_TOLD = 10
(
    _GAP_NOW,
    _GAP_BEFORE,
    _VISITS,
    _STARTS,
    _THIS_HOUR,
    _NOVELTY,
    _LAT,
    _LNG,
    _RADIUS,
    _PRICE,
) = range(_TOLD)


@dataclass(frozen=True)
class Occasions:
    """The past events of r requests as occasions: how like now each is, and what they come to.

    Attributes:
        weights: float64[len(WEIGHTS), r, history].
        last_row: int64[r], catalogue row of the place visited last; -1 none or unknown.
        told: float64[_TOLD, r], see the properties.
    """

    weights: Values
    last_row: NDArray[np.int64]
    told: Values

    @classmethod
    def of(
        cls, past: History, rows: NDArray[np.int64], at: Situation, catalogue: Catalogue
    ) -> "Occasions":
        """Look back from the situations of r requests.

        Args:
            past: their histories.
            rows: int64[r, history], catalogue row of each past event's place; -1 unknown.
            at: where and when they are asked; [r].
            catalogue: where metadata come from.
        """
        held = past.ids != 0
        been = held & ((past.kind == VISIT) | (past.kind == RATE))
        weights = np.zeros((len(WEIGHTS), *rows.shape))
        last_row, told = np.full(len(rows), -1, np.int64), np.empty((_TOLD, len(rows)))
        _look_back(
            past.time_s,
            held,
            been,
            rows,
            np.array(at.now_s, np.float64),
            np.array(at.lat, np.float64),
            np.array(at.lng, np.float64),
            catalogue.category,
            catalogue.lat,
            catalogue.lng,
            catalogue.price,
            weights,
            last_row,
            told,
        )
        return cls(weights, last_row, told)

    @property
    def totals(self) -> Values:
        """Sums of each weight over a request's history, float64[len(WEIGHTS), r]."""
        totals: Values = self.weights.sum(axis=2)
        return totals

    @property
    def gap_now_s(self) -> Values:
        """Seconds since the newest visit, [r]; `NEVER_S` for none."""
        return self._of(_GAP_NOW)

    @property
    def gap_before_s(self) -> Values:
        """Gap between the two newest visits, [r]; `NEVER_S` with fewer."""
        return self._of(_GAP_BEFORE)

    @property
    def visits(self) -> Values:
        """How many visits are kept, [r]."""
        return self._of(_VISITS)

    @property
    def starts(self) -> Values:
        """How many of them came from the place visited last, [r]."""
        return self._of(_STARTS)

    @property
    def this_hour(self) -> Values:
        """How many of them were around this hour, [r]."""
        return self._of(_THIS_HOUR)

    @property
    def novelty(self) -> Values:
        """Distinct places over visits among the kept ones, [r]; 1 without visits."""
        return self._of(_NOVELTY)

    @property
    def centre(self) -> tuple[Values, Values, Values]:
        """Latitude, longitude and radius in metres of where the user goes, [r]; NaN unknown.

        Medians (the lower of two), so that one far trip moves neither.
        """
        return self._of(_LAT), self._of(_LNG), self._of(_RADIUS)

    @property
    def price_taste(self) -> Values:
        """Mean price level of what the user visits, fading, [r]; NaN unknown."""
        return self._of(_PRICE)

    def _of(self, which: int) -> Values:
        values: Values = self.told[which]
        return values


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
def _look_back(
    time_s: Values,
    held: Values,
    been: Values,
    row: Values,
    now_s: Values,
    lat: Values,
    lng: Values,
    category_of: Values,
    lat_of: Values,
    lng_of: Values,
    price_of: Values,
    weights: Values,
    last_row: Values,
    told: Values,
) -> None:
    """Fill in what `Occasions` holds: weights, last_row, told; the histories are newest first."""
    requests, size = row.shape
    for i in range(requests):
        now, last, gap_now = now_s[i], -1, NEVER_S
        for j in range(size):
            if been[i, j]:
                last, gap_now = row[i, j], max(now - time_s[i, j], 0.0)
                break
        last_category = category_of[last] if last >= 0 else -1
        now_log, today = math.log(gap_now / HOUR_S + GAP_FLOOR_H), _is_weekend(now)
        visits, starts, this_hour, gap_before = 0, 0, 0.0, NEVER_S
        price, price_weight = 0.0, 0.0
        places, distinct = np.empty(size, np.int64), 0
        lats, lngs, far = np.empty(size), np.empty(size), np.empty(size)
        known, somewhere = 0, 0
        before = -1  # position of the visit before
        for j in range(size - 1, -1, -1):
            if not held[i, j]:
                continue
            age = max(now - time_s[i, j], 0.0)
            if age < INTENT_MOST_S:
                weights[_INTENT, i, j] = math.exp(-age / INTENT_TAU_S)
            if not been[i, j]:
                continue
            visits += 1
            apart, place = _apart_h(time_s[i, j], now, _DAY_H), row[i, j]
            hour, wide = _bell(apart, HOUR_SIGMA), _bell(apart, 2.5)
            taste = math.exp(-age / TASTE_TAU_S)
            weights[_BEEN, i, j] = 1.0
            weights[_TASTE, i, j] = taste
            weights[_TASTE_HOUR, i, j] = taste * hour
            weights[_HOUR, i, j] = narrow = _bell(apart, 1.0)
            weights[_HOURS, i, j] = wide * math.exp(-age / (60.0 * DAY_S))
            weights[_WEEK_HOUR, i, j] = _bell(_apart_h(time_s[i, j], now, _WEEK_H), 2.0)
            weights[_1D, i, j] = math.exp(-age / DAY_S)
            weights[_7D, i, j] = math.exp(-age / (7.0 * DAY_S))
            weights[_30D, i, j] = math.exp(-age / (30.0 * DAY_S))
            this_hour += narrow
            if _is_weekend(time_s[i, j]) == today:
                weights[_DAY_HOUR, i, j] = hour
            gap_before = NEVER_S
            if before >= 0:
                gap_before = time_s[i, j] - time_s[i, before]
                gap_log = math.log(gap_before / HOUR_S + GAP_FLOOR_H)
                alike = _bell(gap_log - now_log, GAP_SIGMA)
                weights[_GAP, i, j] = alike * wide
                start = row[i, before]
                if start >= 0:
                    metres = metres_between(lat[i], lng[i], lat_of[start], lng_of[start])
                    if not math.isnan(metres):
                        weights[_BEGAN_NEAR, i, j] = wide * math.exp(-metres / NEAR_M)
                    if start == last:
                        starts += 1
                        weights[_START, i, j] = 1.0
                        weights[_START_GAP, i, j] = alike
                    if last_category >= 0 and category_of[start] == last_category:
                        weights[_START_KIND, i, j] = 1.0
            if place >= 0:
                _insert(places, known, place)
                known += 1
                if not math.isnan(price_of[place]):
                    price += taste * price_of[place]
                    price_weight += taste
                if not (math.isnan(lat_of[place]) or math.isnan(lng_of[place])):
                    _insert(lats, somewhere, lat_of[place])
                    _insert(lngs, somewhere, lng_of[place])
                    somewhere += 1
            before = j
        mid_lat, mid_lng, apart_n = _median(lats, somewhere), _median(lngs, somewhere), 0
        for j in range(known):
            place = places[j]
            distinct += j == 0 or place != places[j - 1]
            metres = metres_between(mid_lat, mid_lng, lat_of[place], lng_of[place])
            if not math.isnan(metres):
                _insert(far, apart_n, metres)
                apart_n += 1
        last_row[i] = last
        told[_GAP_NOW, i], told[_GAP_BEFORE, i] = gap_now, gap_before
        told[_VISITS, i], told[_STARTS, i], told[_THIS_HOUR, i] = visits, starts, this_hour
        told[_NOVELTY, i] = distinct / visits if visits else 1.0
        told[_LAT, i], told[_LNG, i], told[_RADIUS, i] = mid_lat, mid_lng, _median(far, apart_n)
        told[_PRICE, i] = price / price_weight if price_weight > 0 else np.nan
