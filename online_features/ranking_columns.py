"""The columns of the ranker, each stated once, by what it takes to work it out.

A column of a request has one value for all its places: it is worked out once and then spread.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from online_features.catalogue import CLOSED, OPEN
from online_features.context import CONDITIONS
from online_features.definitions import NEVER_S, PLACE, USER
from online_features.feature_set import FeatureSet
from online_features.habits import WEIGHTS, weekend
from online_features.pairs import Asks, Pairs, filled, log1p, log_km, picked, ratio
from online_features.past_sums import Column
from online_features.rings import DAY_S, HOUR_S

#: Shares of habits are of so much weight more than there is: one old visit is no certainty.
PRIOR = 0.3
#: Who is so near a place, in metres, may well be in it.
HERE_M = 20.0
#: And are told as log(share + LEAST): what matters between 1 % and 10 % is the factor.
LEAST = 0.01


@dataclass(frozen=True)
class OfPair:
    """A column that needs both sides; [n]."""

    values: Callable[[Pairs], Column]


@dataclass(frozen=True)
class OfRequest:
    """A column of the user, the moment or the weather; [r]."""

    values: Callable[[Asks], Column]


@dataclass(frozen=True)
class LogOfPlace:
    """log(1 + value) of a column that the place's state has."""

    column: str


@dataclass(frozen=True)
class OfWeight:
    """What part of a weight of the past events was at this place, or at its like.

    Attributes:
        weight: of the past events, see `habits.WEIGHTS`.
        told: as the sum, log(1 + sum); as the share of all, or as log(share + LEAST).
        among: events at this very place, or at places of its category.
    """

    weight: str
    told: Literal["log", "share", "log share"]
    among: Literal["here", "alike"] = "here"


@dataclass(frozen=True)
class OfHere:
    """Another column of the past visits at this very place; [n]."""

    values: Callable[[Pairs], Column]


_WEIGHT_AT = {name: i for i, name in enumerate(WEIGHTS)}
Kind = OfPair | OfRequest | LogOfPlace | OfWeight | OfHere


def _to_last_place(p: Pairs) -> Column:
    asks, row = p.asks, p.asks.occasions.last_row
    lat = np.where(row >= 0, asks.catalogue.lat[row], np.nan)
    lng = np.where(row >= 0, asks.catalogue.lng[row], np.nan)
    return p.metres_from(lat, lng)


def _hist_share(counts: Column, code: Column, prior: float) -> Column:
    """Smoothed share of one bin of a histogram, times the number of bins: 1 is "as usual"."""
    count = picked(counts, code.astype(np.int64)[:, None])[:, 0]
    bins = counts.shape[1]
    share: Column = (count + prior / bins) / (counts.sum(axis=1) + prior) * bins
    return share


def _hour(now_s: Column) -> Column:
    return now_s // HOUR_S % 24


def _weekday(now_s: Column) -> Column:
    return (now_s // DAY_S + 3) % 7  # 1970-01-01 was a Thursday


def _usual_rating(p: Pairs) -> Column:
    """Mean of the ratings that the user gave, [n]; NaN for none."""
    given = np.where(
        p.asks.user("rating_given_count") > 0, p.asks.user("rating_given_mean"), np.nan
    )
    return p.spread(given)


def _overdue(p: Pairs) -> Column:
    """log of the time since the last visit here over the mean between visits here; 0: too few."""
    between = np.maximum(p.first_here_s - p.since_here_s, 0.0)
    mean = between / np.maximum(p.visits_here - 1, 1)
    late = np.log1p(p.since_here_s / HOUR_S) - np.log1p(mean / HOUR_S)
    return np.where(p.visits_here >= 2, late, 0.0)


def _plain(values: Column) -> Column:
    return values


#: All columns, in the order in which the ranker has them.
COLUMNS: dict[str, Kind] = {
    # place and request
    "distance_log_km": OfPair(lambda p: log_km(p.metres)),
    "distance_near": OfPair(lambda p: np.exp(-filled(p.metres, 1e6) / 500.0)),
    "distance_here": OfPair(lambda p: np.exp(-filled(p.metres, 1e6) / HERE_M)),
    "price_level": OfPair(lambda p: filled(p.meta("price"), 0.0)),
    "price_difference": OfPair(
        lambda p: filled(p.meta("price") - p.spread(p.asks.occasions.price_taste), 0.0)
    ),
    "price_known": OfPair(lambda p: ~np.isnan(p.meta("price"))),
    "rating": OfPair(lambda p: filled(p.rating, 0.0)),
    "rating_known": OfPair(lambda p: ~np.isnan(p.rating)),
    "rating_difference": OfPair(lambda p: filled(p.rating - _usual_rating(p), 0.0)),
    "review_count_log": OfPair(lambda p: log1p(filled(p.meta("review_count"), 0.0))),
    "open_on_arrival": OfPair(lambda p: p.open_state == OPEN),
    "closed_on_arrival": OfPair(lambda p: p.open_state == CLOSED),
    # the place's crowd
    "place_visits_1h_log": LogOfPlace("visits_1h"),
    "place_visits_24h_log": LogOfPlace("visits_24h"),
    "place_visits_7d_log": LogOfPlace("visits_7d"),
    "place_visits_28d_log": LogOfPlace("visits_28d"),
    "place_interactions_24h_log": LogOfPlace("interactions_24h"),
    "place_visitors_7d_log": LogOfPlace("visitors_7d"),
    "place_dwell_log": OfPair(lambda p: log1p(p.places.column("dwell_s_p50") / 60.0)),
    "place_trend_log": OfPair(
        lambda p: np.log(
            (p.places.column("visits_7d") + 5.0) / (p.places.column("visits_before_7d") + 5.0)
        )
    ),
    "place_click_ratio": OfPair(lambda p: p.places.column("click_ratio")),
    "place_rating_count_log": LogOfPlace("rating_count"),
    "place_since_visit_log": OfPair(lambda p: log1p(p.places.column("since_visit_s") / HOUR_S)),
    "place_busy_hour": OfPair(
        lambda p: _hist_share(p.places.feature("visit_hours"), _hour(p.now_s), 24.0)
    ),
    "place_busy_weekday": OfPair(
        lambda p: _hist_share(p.places.feature("visit_weekdays"), _weekday(p.now_s), 14.0)
    ),
    # the user
    "user_interactions_1h_log": OfRequest(lambda a: log1p(a.user("interactions_1h"))),
    "user_visits_7d_log": OfRequest(lambda a: log1p(a.user("visits_7d"))),
    "user_visits_28d_log": OfRequest(lambda a: log1p(a.user("visits_28d"))),
    "user_active_days": OfRequest(lambda a: a.user("interactions_active_28d") / 28.0),
    "user_since_activity_log": OfRequest(lambda a: log1p(a.user("since_activity_s") / HOUR_S)),
    "user_hour_habit": OfRequest(
        lambda a: _hist_share(a.feature("visit_hours"), _hour(a.now_s), 24.0)
    ),
    "user_radius_log_km": OfRequest(lambda a: log_km(a.occasions.centre[2])),
    "user_history_log": OfRequest(lambda a: log1p(a.occasions.visits)),
    # the user and this place, or its like
    "visits_here_log": OfWeight("been", "log"),
    "visits_here_share": OfWeight("taste", "share"),
    "visits_here_this_hour": OfWeight("taste_this_hour", "share"),
    "favourite_log": OfPair(lambda p: log1p(p.favourite)),
    "favourite_share": OfPair(
        lambda p: ratio(p.favourite, p.spread(p.asks.user("favourites_total")))
    ),
    "since_here_log": OfHere(lambda p: log1p(p.since_here_s / HOUR_S)),
    "never_here": OfHere(lambda p: p.since_here_s >= NEVER_S),
    "category_share": OfWeight("taste", "share", "alike"),
    "category_this_hour": OfWeight("taste_this_hour", "share", "alike"),
    "category_intent": OfWeight("intent", "share", "alike"),
    "category_intent_strength": OfWeight("intent", "log", "alike"),
    "looked_here": OfWeight("intent", "log"),
    "from_centre_log_km": OfPair(lambda p: log_km(p.metres_from(*p.asks.occasions.centre[:2]))),
    "from_last_place_log_km": OfPair(lambda p: log_km(_to_last_place(p))),
    # outside
    "temperature": OfRequest(lambda a: filled(a.at.temp, 15.0) / 20.0),
    "congestion": OfRequest(lambda a: filled(a.at.congestion, 0.3)),
    "context_known": OfRequest(lambda a: ~np.isnan(a.at.temp)),
    **{
        f"weather_{name}": OfRequest(lambda a, code=code: a.at.condition == code)  # type: ignore[misc]
        for code, name in enumerate(CONDITIONS)
    },
}


def _ranked(features: FeatureSet) -> dict[str, Kind]:
    """Columns of the features that say in their definition how the ranker sees them."""

    def column_of(name: str, shape: Callable[[Column], Column]) -> Kind:
        if features.entity == "user":
            return OfRequest(lambda a: shape(a.user(name)))
        return OfPair(lambda p: shape(p.places.column(name)))

    shapes = {"plain": _plain, "log": log1p}
    found = {
        f"{features.entity}_{column}": column_of(column, shapes[feature.ranked])
        for feature in features.features
        if feature.ranked is not None
        for column in feature.columns
    }
    if known := COLUMNS.keys() & found.keys():
        raise ValueError(f"the ranker has these columns already: {', '.join(sorted(known))}")
    return found


COLUMNS |= _ranked(USER) | _ranked(PLACE)
COLUMNS |= {
    # this very place's share of occasions like now
    "habit_gap": OfWeight("gap", "log share"),
    "habit_start": OfWeight("start", "log share"),
    "habit_start_gap": OfWeight("start_gap", "log share"),
    "habit_start_kind": OfWeight("start_kind", "log share"),
    "habit_began_near": OfWeight("began_near", "log share"),
    "habit_hour": OfWeight("hour", "log share"),
    "habit_hours": OfWeight("hours", "log share"),
    "habit_day_hour": OfWeight("day_hour", "log share"),
    "habit_week_hour": OfWeight("week_hour", "log share"),
    "habit_1d": OfWeight("1d", "log share"),
    "habit_7d": OfWeight("7d", "log share"),
    "habit_30d": OfWeight("30d", "log share"),
    "habit_all": OfWeight("been", "log share"),
    # how sure that is, and whether it is time again
    "habit_hour_log": OfWeight("hour", "log"),
    "habit_week_hour_log": OfWeight("week_hour", "log"),
    "habit_overdue": OfHere(_overdue),
    "habit_since_log": OfHere(lambda p: np.log1p(p.since_here_s / 600.0)),
    "habit_first_log": OfHere(lambda p: np.log1p(p.first_here_s / DAY_S)),
    # the user's side: how much there is to go by, and how often it leads to new places
    "user_gap_log": OfRequest(lambda a: np.log1p(a.occasions.gap_now_s / 600.0)),
    "user_gap_before_log": OfRequest(lambda a: np.log1p(a.occasions.gap_before_s / 600.0)),
    "user_hour_log": OfRequest(lambda a: log1p(a.occasions.this_hour)),
    "user_starts_log": OfRequest(lambda a: log1p(a.occasions.starts)),
    "user_novelty": OfRequest(lambda a: a.occasions.novelty),
    "hour_sin": OfRequest(lambda a: np.sin(2 * np.pi * a.now_s / DAY_S)),
    "hour_cos": OfRequest(lambda a: np.cos(2 * np.pi * a.now_s / DAY_S)),
    "weekend": OfRequest(lambda a: weekend(a.now_s)),
}


_KINDS = list(COLUMNS.values())
_OF_PAIR = [(i, c.values) for i, c in enumerate(_KINDS) if isinstance(c, OfPair | OfHere)]
_OF_REQUEST = [(i, c.values) for i, c in enumerate(_KINDS) if isinstance(c, OfRequest)]
_LOGS = [(i, c.column) for i, c in enumerate(_KINDS) if isinstance(c, LogOfPlace)]
_HERE = [(i, c) for i, c in enumerate(_KINDS) if isinstance(c, OfWeight) and c.among == "here"]
_ALIKE = [(i, c) for i, c in enumerate(_KINDS) if isinstance(c, OfWeight) and c.among == "alike"]


def matrix(pairs: Pairs) -> NDArray[np.float32]:
    """All columns of n pairs: float32[n, len(COLUMNS)], every value finite."""
    result = np.empty((len(COLUMNS), len(pairs.rows)), np.float32)
    for i, values in _OF_PAIR:
        result[i] = values(pairs)
    result[[i for i, _ in _LOGS]] = log1p(np.stack([pairs.places.column(c) for _, c in _LOGS]))
    of_request = np.stack([values(pairs.asks) for _, values in _OF_REQUEST], dtype=np.float32)
    result[[i for i, _ in _OF_REQUEST]] = of_request[:, pairs.of]
    for sums, columns in ((pairs.here, _HERE), (pairs.alike, _ALIKE)):
        result[[i for i, _ in columns]] = _told(pairs, sums, [column for _, column in columns])
    result[~np.isfinite(result)] = 0.0
    return np.ascontiguousarray(result.T)


def _told(pairs: Pairs, sums: Callable[[list[int]], Column], columns: list[OfWeight]) -> Column:
    """Columns of weights, [len(columns), n]."""
    used = sorted({_WEIGHT_AT[column.weight] for column in columns})
    at = [used.index(_WEIGHT_AT[column.weight]) for column in columns]
    some = sums(used)[at]
    totals = pairs.asks.occasions.totals[used][:, pairs.of][at]
    result = np.empty_like(some)
    as_sum = [i for i, column in enumerate(columns) if column.told == "log"]
    result[as_sum] = np.log1p(some[as_sum])
    as_share = [i for i, column in enumerate(columns) if column.told == "share"]
    result[as_share] = ratio(some[as_share], totals[as_share])
    as_log = [i for i, column in enumerate(columns) if column.told == "log share"]
    result[as_log] = np.log(some[as_log] / (totals[as_log] + PRIOR) + LEAST)
    return result
