"""The columns of the ranker, each stated once, by what it takes to work it out.

A column of a request has one value for all its places: it is worked out once and then spread.
What a column of a pair comes to, `pair_columns` says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from online_features.asks import (
    Asks,
    Column,
    filled,
    log1p,
    log_km,
)
from online_features.context import CONDITIONS, Situation
from online_features.definitions import PLACE, USER
from online_features.feature_set import FeatureSet
from online_features.habits import weekend
from online_features.pair_columns import HOUR_PRIOR
from online_features.rings import DAY_S, HOUR_S


@dataclass(frozen=True)
class OfPair:
    """A column that needs both sides: one of `pair_columns.OF_PAIR`."""


@dataclass(frozen=True)
class OfHere:
    """Another column of the past visits at this very place: one of `pair_columns.OF_HERE`."""


@dataclass(frozen=True)
class OfRequest:
    """A column of the user or the moment; [r]."""

    values: Callable[[Asks], Column]


@dataclass(frozen=True)
class OfOutside:
    """A column of the weather and the traffic; [r]."""

    values: Callable[[Situation], Column]


@dataclass(frozen=True)
class OfPlace:
    """A column that the place's state has, as it is or as log(1 + value)."""

    column: str
    told: Literal["plain", "log"] = "log"


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


Kind = OfPair | OfHere | OfRequest | OfOutside | OfPlace | OfWeight


def _hist_share(counts: Column, code: Column, prior: float) -> Column:
    """Smoothed share of one bin of a histogram, times the number of bins: 1 is "as usual"."""
    count = counts[np.arange(len(counts)), code.astype(np.int64)]
    bins = counts.shape[1]
    share: Column = (count + prior / bins) / (counts.sum(axis=1) + prior) * bins
    return share


#: All columns, in the order in which the ranker has them.
COLUMNS: dict[str, Kind] = {
    # place and request
    "distance_log_km": OfPair(),
    "distance_near": OfPair(),
    "distance_here": OfPair(),
    "price_level": OfPair(),
    "price_difference": OfPair(),
    "price_known": OfPair(),
    "rating": OfPair(),
    "rating_known": OfPair(),
    "rating_difference": OfPair(),
    "review_count_log": OfPair(),
    "open_on_arrival": OfPair(),
    "closed_on_arrival": OfPair(),
    # the place's crowd
    "place_visits_1h_log": OfPlace("visits_1h"),
    "place_visits_24h_log": OfPlace("visits_24h"),
    "place_visits_7d_log": OfPlace("visits_7d"),
    "place_visits_28d_log": OfPlace("visits_28d"),
    "place_interactions_24h_log": OfPlace("interactions_24h"),
    "place_visitors_7d_log": OfPlace("visitors_7d"),
    "place_dwell_log": OfPair(),
    "place_trend_log": OfPair(),
    "place_click_ratio": OfPlace("click_ratio", "plain"),
    "place_rating_count_log": OfPlace("rating_count"),
    "place_since_visit_log": OfPair(),
    "place_busy_hour": OfPair(),
    "place_busy_weekday": OfPair(),
    # the user
    "user_interactions_1h_log": OfRequest(lambda a: log1p(a.user("interactions_1h"))),
    "user_visits_7d_log": OfRequest(lambda a: log1p(a.user("visits_7d"))),
    "user_visits_28d_log": OfRequest(lambda a: log1p(a.user("visits_28d"))),
    "user_active_days": OfRequest(lambda a: a.user("interactions_active_28d") / 28.0),
    "user_since_activity_log": OfRequest(lambda a: log1p(a.user("since_activity_s") / HOUR_S)),
    "user_hour_habit": OfRequest(
        lambda a: _hist_share(a.feature("visit_hours"), a.now_s // HOUR_S % 24, HOUR_PRIOR)
    ),
    "user_radius_log_km": OfRequest(lambda a: log_km(a.occasions.centre[2])),
    "user_history_log": OfRequest(lambda a: log1p(a.occasions.visits)),
    # the user and this place, or its like
    "visits_here_log": OfWeight("been", "log"),
    "visits_here_share": OfWeight("taste", "share"),
    "visits_here_this_hour": OfWeight("taste_this_hour", "share"),
    "favourite_log": OfPair(),
    "favourite_share": OfPair(),
    "since_here_log": OfHere(),
    "never_here": OfHere(),
    "category_share": OfWeight("taste", "share", "alike"),
    "category_this_hour": OfWeight("taste_this_hour", "share", "alike"),
    "category_intent": OfWeight("intent", "share", "alike"),
    "category_intent_strength": OfWeight("intent", "log", "alike"),
    "looked_here": OfWeight("intent", "log"),
    "from_centre_log_km": OfPair(),
    "from_last_place_log_km": OfPair(),
    # outside
    "temperature": OfOutside(lambda at: filled(at.temp, 15.0) / 20.0),
    "congestion": OfOutside(lambda at: filled(at.congestion, 0.3)),
    "context_known": OfOutside(lambda at: ~np.isnan(at.temp)),
    **{
        f"weather_{name}": OfOutside(lambda at, code=code: at.condition == code)  # type: ignore[misc]
        for code, name in enumerate(CONDITIONS)
    },
}


def _ranked(features: FeatureSet) -> dict[str, Kind]:
    """Columns of the features that say in their definition how the ranker sees them."""

    def column_of(name: str, told: Literal["plain", "log"]) -> Kind:
        if features.entity == "place":
            return OfPlace(name, told)
        return OfRequest(lambda a: log1p(a.user(name)) if told == "log" else a.user(name))

    found = {
        f"{features.entity}_{column}": column_of(column, feature.ranked)
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
    "habit_overdue": OfHere(),
    "habit_since_log": OfHere(),
    "habit_first_log": OfHere(),
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
