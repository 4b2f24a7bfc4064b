"""The ranker's columns of a user and a place, worked out pair by pair in one pass.

`ranking_columns` says which columns there are and where each stands; here is what those of a pair
come to.
"""

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_features.compiled import compiled
from online_features.definitions import NEVER_S, PLACE
from online_features.geo import metres_between
from online_features.habits import TOLD, WEIGHTS, Asked, Places
from online_features.hours import CLOSED, OPEN
from online_features.rings import DAY_S, HOUR_S

Values = NDArray[Any]
Rows = NDArray[np.int64]

#: Mean speed with which a place is reached, metres a second (30 minutes for 5 km).
ARRIVAL_SPEED_M_S = 2.8
#: Shares of habits are of so much weight more than there is: one old visit is no certainty.
PRIOR = 0.3
#: And are told as log(share + LEAST): what matters between 1 % and 10 % is the factor.
LEAST = 0.01
_LOG_LEAST = math.log(LEAST)
#: Who is so near a place, in metres, may well be in it.
HERE_M = 20.0
#: Ratings of visitors count instead of what the metadata state from so many on.
_ENOUGH_RATINGS = 3
#: Visits by which shares of a place's hours and weekdays are drawn to an even spread.
HOUR_PRIOR, _WEEKDAY_PRIOR = 24.0, 14.0

#: What `tell` works out of each pair.
OF_PAIR: Final = (
    *("distance_log_km", "distance_near", "distance_here", "price_level", "price_difference"),
    *("price_known", "rating", "rating_known", "rating_difference", "review_count_log"),
    *("open_on_arrival", "closed_on_arrival", "place_dwell_log", "place_trend_log"),
    *("place_since_visit_log", "place_busy_hour", "place_busy_weekday", "favourite_log"),
    *("favourite_share", "from_centre_log_km", "from_last_place_log_km"),
)
_DISTANCE_LOG, _DISTANCE_NEAR, _DISTANCE_HERE, _PRICE, _PRICE_DIFFERENCE = range(5)
_PRICE_KNOWN, _RATING, _RATING_KNOWN, _RATING_DIFFERENCE, _REVIEWS = range(5, 10)
_OPEN, _CLOSED, _DWELL, _TREND, _SINCE_VISIT, _BUSY_HOUR, _BUSY_WEEKDAY = range(10, 17)
_FAVOURITE, _FAVOURITE_SHARE, _FROM_CENTRE, _FROM_LAST = range(17, len(OF_PAIR))
#: And of the past visits at its very place.
OF_HERE: Final = (
    *("since_here_log", "never_here", "habit_overdue", "habit_since_log", "habit_first_log"),
)
_SINCE_HERE, _NEVER_HERE, _OVERDUE, _HABIT_SINCE, _HABIT_FIRST = range(len(OF_HERE))

#: What it reads of a place's state, in this order.
FROM_PLACE: Final = (
    *("rating_count", "rating_mean", "dwell_s_p50", "visits_7d", "visits_before_7d"),
    "since_visit_s",
    *PLACE.columns_of("visit_hours"),
    *PLACE.columns_of("visit_weekdays"),
)
_RATINGS, _MEAN, _DWELL_S, _WEEK, _WEEK_BEFORE, _SINCE_S, _HOURS = range(7)
_WEEKDAYS: Final = _HOURS + len(PLACE.columns_of("visit_hours"))
_WEEKDAYS_END: Final = _WEEKDAYS + len(PLACE.columns_of("visit_weekdays"))

#: How a sum of weights is told.
AS_LOG, AS_SHARE, AS_LOG_SHARE = range(3)
_BEEN: Final = WEIGHTS.index("been")
_CENTRE_LAT, _CENTRE_LNG, _PRICE_TASTE = (TOLD.index(name) for name in ("lat", "lng", "price"))


class Sides(NamedTuple):
    """What r requests bring; [r] but for what lies along a history or a list of favourites.

    `usual_rating` is NaN for none; `columns` are those of a request, float64[columns, r].
    """

    asked: Asked
    usual_rating: Values
    past_row: Rows
    past_category: Rows
    past_time_s: Values
    weights: Values
    totals: Values
    told: Values
    last_row: Rows
    favourite_row: Rows
    favourite_weight: Values
    favourites: Values
    columns: Values


class Pairs(NamedTuple):
    """n pairs; [n] but for `place`, float32[n, columns], which begins with `FROM_PLACE`."""

    of: Rows
    rows: Rows
    metres: Values
    open_state: Values
    rating: Values
    review_count: Values
    place: Values


class Plan(NamedTuple):
    """Where the columns stand, int64 each.

    `weight`, `how` and `alike` say of each column of a weight which it is, how it is told, and
    whether it is of places of the same category, and `used_alike` which weights the latter are;
    `place_log` says of each of a place's own columns whether it is told as a logarithm.
    """

    pair_at: Rows
    here_at: Rows
    weight: Rows
    how: Rows
    alike: Rows
    used_alike: Rows
    weight_at: Rows
    place_log: Rows
    place_at: Rows
    request_at: Rows


@compiled
def ways_of(of: Rows, rows: Rows, at: Asked, places: Places) -> tuple[Values, Values]:
    """From each pair's request to its place: metres, NaN where it is nowhere, and Unix seconds of
    the arrival, those of the request there; float64[n] each."""
    metres, arrival_s = np.full(len(rows), np.nan), np.empty(len(rows))
    for i in range(len(rows)):
        r, row = of[i], rows[i]
        if row >= 0:
            metres[i] = metres_between(at.lat[r], at.lng[r], places.lat[row], places.lng[row])
        arrival_s[i] = at.now_s[r] + _or(metres[i], 0.0) / ARRIVAL_SPEED_M_S
    return metres, arrival_s


@compiled
def tell(pairs: Pairs, sides: Sides, places: Places, plan: Plan, result: Values) -> None:
    """Fill in all columns of n pairs, float32[n, columns]; what is no number is 0.

    A loop for each kind of columns: an array handed on for every pair would cost more than the
    numbers that are made of it.
    """
    _tell_places(pairs, sides, places, plan.pair_at, result)
    _tell_hours(pairs, sides.asked.now_s, plan.pair_at, result)
    _tell_ways(pairs, sides, places, plan.pair_at, result)
    _tell_past(pairs, sides, places, plan, result)
    own = pairs.place.shape[1] - len(plan.place_at)
    for i in range(len(pairs.rows)):
        for k in range(len(plan.place_at)):
            value = pairs.place[i, own + k]
            result[i, plan.place_at[k]] = _log1p(value) if plan.place_log[k] else value
        for k in range(len(plan.request_at)):
            result[i, plan.request_at[k]] = sides.columns[k, pairs.of[i]]
        for k in range(result.shape[1]):
            if not math.isfinite(result[i, k]):
                result[i, k] = 0.0


@compiled
def _tell_places(pairs: Pairs, sides: Sides, places: Places, at: Rows, result: Values) -> None:
    """What places are like, beside what the users are used to."""
    for i in range(len(pairs.rows)):
        r, row, metres = pairs.of[i], pairs.rows[i], pairs.metres[i]
        result[i, at[_DISTANCE_LOG]] = _log_km(metres)
        result[i, at[_DISTANCE_NEAR]] = math.exp(-_or(metres, 1e6) / 500.0)
        result[i, at[_DISTANCE_HERE]] = math.exp(-_or(metres, 1e6) / HERE_M)
        price = np.float64(places.price[row]) if row >= 0 else math.nan
        result[i, at[_PRICE]] = _or(price, 0.0)
        result[i, at[_PRICE_DIFFERENCE]] = _or(price - sides.told[_PRICE_TASTE, r], 0.0)
        result[i, at[_PRICE_KNOWN]] = not math.isnan(price)
        rating = pairs.rating[i] if row >= 0 else math.nan
        if pairs.place[i, _RATINGS] >= _ENOUGH_RATINGS:
            rating = np.float64(pairs.place[i, _MEAN])
        result[i, at[_RATING]] = _or(rating, 0.0)
        result[i, at[_RATING_KNOWN]] = not math.isnan(rating)
        result[i, at[_RATING_DIFFERENCE]] = _or(rating - sides.usual_rating[r], 0.0)
        result[i, at[_REVIEWS]] = _log1p(_or(pairs.review_count[i], 0.0)) if row >= 0 else 0.0
        result[i, at[_OPEN]] = pairs.open_state[i] == OPEN
        result[i, at[_CLOSED]] = pairs.open_state[i] == CLOSED


@compiled
def _tell_hours(pairs: Pairs, now_s: Values, at: Rows, result: Values) -> None:
    """When places are visited, and for how long."""
    place = pairs.place
    for i in range(len(pairs.rows)):
        result[i, at[_DWELL]] = _log1p(place[i, _DWELL_S] / 60.0)
        result[i, at[_TREND]] = math.log((place[i, _WEEK] + 5.0) / (place[i, _WEEK_BEFORE] + 5.0))
        result[i, at[_SINCE_VISIT]] = _log1p(place[i, _SINCE_S] / HOUR_S)
        moment_s, by_hour, by_day = now_s[pairs.of[i]], 0.0, 0.0
        for k in range(_HOURS, _WEEKDAYS):
            by_hour += place[i, k]
        for k in range(_WEEKDAYS, _WEEKDAYS_END):
            by_day += place[i, k]
        hour = _HOURS + int(moment_s // HOUR_S % 24)
        day = _WEEKDAYS + int((moment_s // DAY_S + 3) % 7)  # 1970 began on a Thursday
        usual_hour = _smoothed(place[i, hour], by_hour, _WEEKDAYS - _HOURS, HOUR_PRIOR)
        usual_day = _smoothed(place[i, day], by_day, _WEEKDAYS_END - _WEEKDAYS, _WEEKDAY_PRIOR)
        result[i, at[_BUSY_HOUR]], result[i, at[_BUSY_WEEKDAY]] = usual_hour, usual_day


@compiled
def _tell_ways(pairs: Pairs, sides: Sides, places: Places, at: Rows, result: Values) -> None:
    """How far places are from where the users go, and whether they are favourites."""
    told = sides.told
    for i in range(len(pairs.rows)):
        r, row, favourite, from_centre, from_last = pairs.of[i], pairs.rows[i], 0.0, 0.0, 0.0
        if row >= 0:
            lat, lng, last = places.lat[row], places.lng[row], sides.last_row[r]
            from_centre = metres_between(told[_CENTRE_LAT, r], told[_CENTRE_LNG, r], lat, lng)
            if last >= 0:
                from_last = metres_between(places.lat[last], places.lng[last], lat, lng)
            for k in range(sides.favourite_row.shape[1]):
                if sides.favourite_row[r, k] == row:
                    favourite += sides.favourite_weight[r, k]
        result[i, at[_FROM_CENTRE]] = _log_km(from_centre)
        result[i, at[_FROM_LAST]] = _log_km(from_last)
        result[i, at[_FAVOURITE]] = _log1p(favourite)
        result[i, at[_FAVOURITE_SHARE]] = _ratio(favourite, sides.favourites[r])


@compiled
def _tell_past(pairs: Pairs, sides: Sides, places: Places, plan: Plan, result: Values) -> None:
    """What the past events at each very place come to, and those at places of its category."""
    weights, past_row, past_category = sides.weights, sides.past_row, sides.past_category
    here, alike = np.zeros(len(weights)), np.zeros(len(weights))
    for i in range(len(pairs.rows)):
        r, row = pairs.of[i], pairs.rows[i]
        category = np.int64(places.category[row]) if row >= 0 else np.int64(-1)
        newest, oldest = -math.inf, math.inf
        here[:], alike[:] = 0.0, 0.0
        for j in range(past_row.shape[1]):
            if category >= 0 and past_category[r, j] == category:
                for k in range(len(plan.used_alike)):
                    weight = plan.used_alike[k]
                    alike[weight] += weights[weight, r, j]
            if row >= 0 and past_row[r, j] == row:
                for weight in range(len(here)):
                    here[weight] += weights[weight, r, j]
                if weights[_BEEN, r, j] > 0:
                    newest = max(newest, sides.past_time_s[r, j])
                    oldest = min(oldest, sides.past_time_s[r, j])
        for k in range(len(plan.weight)):
            weight = plan.weight[k]
            some = alike[weight] if plan.alike[k] else here[weight]
            result[i, plan.weight_at[k]] = _told(some, sides.totals[weight, r], plan.how[k])
        visits, now_s, at = here[_BEEN], sides.asked.now_s[r], plan.here_at
        since = max(now_s - newest, 0.0) if visits > 0 else NEVER_S
        first = max(now_s - oldest, 0.0) if visits > 0 else 0.0
        result[i, at[_SINCE_HERE]], result[i, at[_NEVER_HERE]] = (
            _log1p(since / HOUR_S),
            since >= NEVER_S,
        )
        result[i, at[_HABIT_SINCE]] = _log1p(since / 600.0)
        result[i, at[_HABIT_FIRST]] = _log1p(first / DAY_S)
        result[i, at[_OVERDUE]] = _overdue(since, first, visits)


@compiled
def _told(some: float, total: float, how: int) -> float:
    """A sum of weights as the ranker sees it."""
    if some == 0.0:  # most places are new to most users
        return _LOG_LEAST if how == AS_LOG_SHARE else 0.0
    if how == AS_LOG:
        return math.log1p(some)
    if how == AS_SHARE:
        return _ratio(some, total)
    return math.log(some / (total + PRIOR) + LEAST)


@compiled
def _overdue(since_s: float, first_s: float, visits: float) -> float:
    """log of the time since the last visit over the mean between visits; 0 with too few."""
    if visits < 2:
        return 0.0
    between_s = max(first_s - since_s, 0.0) / max(visits - 1.0, 1.0)
    return math.log1p(since_s / HOUR_S) - math.log1p(between_s / HOUR_S)


@compiled
def _or(value: float, missing: float) -> float:
    """The value, and `missing` for NaN."""
    return missing if math.isnan(value) else value


@compiled
def _log1p(value: float) -> float:
    """log(1 + value), values below 0 counting as 0."""
    return math.log1p(max(value, 0.0))


@compiled
def _log_km(metres: float) -> float:
    """log(1 + km); unknown is 0, with a flag of its own where that matters."""
    return math.log1p((metres if math.isfinite(metres) else 0.0) / 1_000.0)


@compiled
def _ratio(top: float, bottom: float) -> float:
    """top / bottom; 0 where the bottom is not above 0."""
    return top / bottom if bottom > 0 else 0.0


@compiled
def _smoothed(count: float, total: float, bins: int, prior: float) -> float:
    """Smoothed share of one bin of a histogram, times the number of bins: 1 is "as usual"."""
    return (count + prior / bins) / (total + prior) * bins
