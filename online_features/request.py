"""Features of a request: what joins a user, a place, the moment and the weather.

The service computes them for the candidates of an answer, the training set for its rows, both
from packed states and the catalogue, by the same code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.ids import as_int64
from online_features.catalogue import CLOSED, OPEN, Catalogue
from online_features.columns import RATE, VISIT
from online_features.context import CONDITIONS, Situation
from online_features.definitions import FAVOURITES, NEVER_S, PLACE, USER
from online_features.feature_set import FeatureSet
from online_features.geo import distance_m
from online_features.history import History, history
from online_features.rings import DAY_S, HOUR_S

Column = NDArray[Any]
Flags = NDArray[np.bool_]
#: How fast a taste fades, and how fast what was just looked at does.
TASTE_TAU_S = 21.0 * DAY_S
INTENT_TAU_S = 0.5 * HOUR_S
#: Width of "around this hour", hours.
HOUR_SIGMA = 1.5
#: Mean speed with which a place is reached, metres a second (30 minutes for 5 km).
ARRIVAL_SPEED_M_S = 2.8


@dataclass(frozen=True)
class _Pairs:
    """n pairs of a user and a place at a moment; user side and situation may be one for all."""

    users: NDArray[np.void]
    places: NDArray[np.void]
    rows: NDArray[np.int64]
    at: Situation
    catalogue: Catalogue

    @cached_property
    def user_values(self) -> NDArray[np.float32]:
        return USER.read(self.users, self.at.now_s)

    @cached_property
    def place_values(self) -> NDArray[np.float32]:
        return PLACE.read(self.places, np.broadcast_to(self.at.now_s, (len(self.places),)))

    def user(self, column: str) -> Column:
        """One column of the user, [n] or [1]."""
        return self.user_values[:, USER.index[column]]

    def place(self, column: str) -> Column:
        """One column of the place, [n]."""
        return self.place_values[:, PLACE.index[column]]

    def meta(self, column: str, missing: float = np.nan) -> Column:
        """One numeric column of the catalogue, [n]."""
        values = self.catalogue.column(column)[self.rows].astype(np.float64)
        return np.where(self.rows >= 0, values, missing)

    @cached_property
    def past(self) -> History:
        return history(self.users)

    @cached_property
    def past_rows(self) -> NDArray[np.int64]:
        """Catalogue row of each place in the history, [n or 1, 144]; -1 none or unknown."""
        distinct, inverse = np.unique(self.past.ids, return_inverse=True)
        return self.catalogue.rows_of(distinct)[inverse].reshape(self.past.ids.shape)

    @cached_property
    def past_age_s(self) -> Column:
        return self.past.age_s(self.at.now_s)

    @cached_property
    def been(self) -> Flags:
        """Which of the history were visits (or ratings)."""
        been: Flags = (self.past.ids != 0) & np.isin(self.past.kind, (VISIT, RATE))
        return been

    @cached_property
    def taste_weight(self) -> Column:
        """Weight of each past visit, fading over weeks; [n or 1, 144]."""
        return np.where(self.been, np.exp(-self.past_age_s / TASTE_TAU_S), 0.0)

    @cached_property
    def intent_weight(self) -> Column:
        """Weight of each past event of any kind, fading over minutes; [n or 1, 144]."""
        return np.where(self.past.ids != 0, np.exp(-self.past_age_s / INTENT_TAU_S), 0.0)

    @cached_property
    def hour_weight(self) -> Column:
        """How near each past event was to this hour of the day, 0 to 1; [n or 1, 144]."""
        apart = np.abs(self.past.time_s - _column(self.at.now_s)) / HOUR_S % 24
        apart = np.minimum(apart, 24 - apart)
        return np.exp(-0.5 * (apart / HOUR_SIGMA) ** 2)

    @cached_property
    def here(self) -> Flags:
        """Which of the past events were at this very place, [n, 144]."""
        hashes = self.catalogue.hash[self.rows]
        here: Flags = (self.past.ids == hashes[:, None]) & (self.rows >= 0)[:, None]
        return here

    @cached_property
    def favourite(self) -> Column:
        """Fading number of visits to this very place, over months, [n]."""
        places, weight = FAVOURITES.read_places(self.users["favourites"], self.at.now_s)
        hashes = np.where(self.rows >= 0, self.catalogue.hash[self.rows], 0)
        same = (places == hashes[:, None]) & (places != 0)
        count: Column = (same * weight).sum(axis=1)
        return count

    @cached_property
    def alike(self) -> Flags:
        """Which of the past events were at a place of this category, [n, 144]."""
        category = np.where(self.rows >= 0, self.catalogue.category[self.rows], -1)
        past = np.where(self.past_rows >= 0, self.catalogue.category[self.past_rows], -2)
        alike: Flags = (past == category[:, None]) & (category >= 0)[:, None]
        return alike

    @cached_property
    def metres(self) -> Column:
        return distance_m(self.at.lat, self.at.lng, self.meta("lat"), self.meta("lng"))

    @cached_property
    def centre(self) -> tuple[Column, Column, Column]:
        """Latitude, longitude and radius in metres of where the user goes; NaN unknown.

        Medians, so that one far trip moves neither.
        """
        known = self.been & (self.past_rows >= 0)
        lat = np.where(known, self.catalogue.lat[self.past_rows], np.nan)
        lng = np.where(known, self.catalogue.lng[self.past_rows], np.nan)
        mid_lat, mid_lng = _nanmedian(lat), _nanmedian(lng)
        radius = _nanmedian(distance_m(mid_lat[:, None], mid_lng[:, None], lat, lng))
        return mid_lat, mid_lng, radius

    @cached_property
    def price_taste(self) -> Column:
        """Mean price level of what the user visits, fading; NaN unknown."""
        price = self.catalogue.price[self.past_rows]
        weight = np.where((self.past_rows >= 0) & ~np.isnan(price), self.taste_weight, 0.0)
        return _ratio((weight * np.nan_to_num(price)).sum(axis=1), weight.sum(axis=1), np.nan)

    @cached_property
    def open_state(self) -> NDArray[np.int8]:
        arrival_s = self.at.now_s + np.nan_to_num(self.metres) / ARRIVAL_SPEED_M_S
        return self.catalogue.open_state(self.rows, arrival_s)

    @cached_property
    def rating(self) -> Column:
        """Rating of the place: of its visitors, else its metadata's; NaN unknown."""
        own = np.where(self.place("rating_count") >= 3, self.place("rating_mean"), np.nan)
        return np.where(np.isnan(own), self.meta("rating"), own)


def _column(values: Column) -> Column:
    return np.asarray(values)[:, None]


def _ratio(top: Column, bottom: Column, missing: float = 0.0) -> Column:
    result = np.full(np.broadcast_shapes(np.shape(top), np.shape(bottom)), missing)
    np.divide(top, bottom, out=result, where=np.asarray(bottom) > 0)
    return result


def _nanmedian(values: Column) -> Column:
    """Lower median of each row, NaN where a row has no number."""
    ordered = np.sort(values, axis=1)  # NaN goes last
    middle = np.maximum((~np.isnan(values)).sum(axis=1) - 1, 0) // 2
    return np.take_along_axis(ordered, middle[:, None], axis=1)[:, 0]


def _share(p: _Pairs, weight: Column, which: Flags) -> Column:
    return _ratio((weight * which).sum(axis=1), weight.sum(axis=1))


def _since_here(p: _Pairs) -> Column:
    since: Column = np.where(p.here & p.been, p.past_age_s, NEVER_S).min(axis=1)
    return since


def _to_last_place(p: _Pairs) -> Column:
    first = np.argmax(p.been, axis=1)[:, None]
    row = np.take_along_axis(np.where(p.been, p.past_rows, -1), first, axis=1)[:, 0]
    lat = np.where(row >= 0, p.catalogue.lat[row], np.nan)
    lng = np.where(row >= 0, p.catalogue.lng[row], np.nan)
    return distance_m(lat, lng, p.meta("lat"), p.meta("lng"))


def _from_centre(p: _Pairs) -> Column:
    lat, lng, _ = p.centre
    return distance_m(lat, lng, p.meta("lat"), p.meta("lng"))


def _hist_share(values: Column, columns: list[int], code: Column, prior: float) -> Column:
    """Smoothed share of one bin of a histogram, times the number of bins: 1 is "as usual"."""
    counts = values[:, columns]
    picked = np.take_along_axis(
        counts, np.broadcast_to(code.astype(np.int64), (len(counts),))[:, None], axis=1
    )[:, 0]
    bins = len(columns)
    share: Column = (picked + prior / bins) / (counts.sum(axis=1) + prior) * bins
    return share


_PLACE_HOURS = [PLACE.index[f"visit_hours_{h}"] for h in range(24)]
_PLACE_DAYS = [PLACE.index[f"visit_weekdays_{d}"] for d in range(7)]
_USER_HOURS = [USER.index[f"visit_hours_{h}"] for h in range(24)]


def _hour(p: _Pairs) -> Column:
    return p.at.now_s // HOUR_S % 24


def _log(values: Column) -> Column:
    return np.log1p(np.maximum(values, 0.0))


def _plain(values: Column) -> Column:
    return values


def _km(metres: Column) -> Column:
    """log(1 + km); unknown is 0 with its own flag where that matters."""
    return np.log1p(np.nan_to_num(metres, nan=0.0, posinf=0.0) / 1_000)


def _filled(values: Column, missing: float) -> Column:
    return np.where(np.isnan(values), missing, values)


_COLUMNS: dict[str, Callable[[_Pairs], Column]] = {
    # place and request
    "distance_log_km": lambda p: _km(p.metres),
    "distance_near": lambda p: np.exp(-np.nan_to_num(p.metres, nan=1e6) / 500.0),
    "price_level": lambda p: _filled(p.meta("price"), 0.0),
    "price_difference": lambda p: _filled(p.meta("price") - p.price_taste, 0.0),
    "price_known": lambda p: ~np.isnan(p.meta("price")),
    "rating": lambda p: _filled(p.rating, 0.0),
    "rating_known": lambda p: ~np.isnan(p.rating),
    "rating_difference": lambda p: _filled(
        p.rating - np.where(p.user("rating_given_count") > 0, p.user("rating_given_mean"), np.nan),
        0.0,
    ),
    "review_count_log": lambda p: _log(p.meta("review_count", 0.0)),
    "open_on_arrival": lambda p: p.open_state == OPEN,
    "closed_on_arrival": lambda p: p.open_state == CLOSED,
    # the place's crowd
    "place_visits_1h_log": lambda p: _log(p.place("visits_1h")),
    "place_visits_24h_log": lambda p: _log(p.place("visits_24h")),
    "place_visits_7d_log": lambda p: _log(p.place("visits_7d")),
    "place_visits_28d_log": lambda p: _log(p.place("visits_28d")),
    "place_interactions_24h_log": lambda p: _log(p.place("interactions_24h")),
    "place_visitors_7d_log": lambda p: _log(p.place("visitors_7d")),
    "place_dwell_log": lambda p: _log(p.place("dwell_s_p50") / 60.0),
    "place_trend_log": lambda p: np.log(
        (p.place("visits_7d") + 5.0) / (p.place("visits_before_7d") + 5.0)
    ),
    "place_click_ratio": lambda p: p.place("click_ratio"),
    "place_rating_count_log": lambda p: _log(p.place("rating_count")),
    "place_since_visit_log": lambda p: _log(p.place("since_visit_s") / HOUR_S),
    "place_busy_hour": lambda p: _hist_share(p.place_values, _PLACE_HOURS, _hour(p), 24.0),
    "place_busy_weekday": lambda p: _hist_share(
        p.place_values, _PLACE_DAYS, (p.at.now_s // DAY_S + 3) % 7, 14.0
    ),
    # the user
    "user_interactions_1h_log": lambda p: _log(p.user("interactions_1h")),
    "user_visits_7d_log": lambda p: _log(p.user("visits_7d")),
    "user_visits_28d_log": lambda p: _log(p.user("visits_28d")),
    "user_active_days": lambda p: p.user("interactions_active_28d") / 28.0,
    "user_since_activity_log": lambda p: _log(p.user("since_activity_s") / HOUR_S),
    "user_hour_habit": lambda p: _hist_share(p.user_values, _USER_HOURS, _hour(p), 24.0),
    "user_radius_log_km": lambda p: _km(p.centre[2]),
    "user_history_log": lambda p: _log(p.been.sum(axis=1)),
    # the user and this place, or its like
    "visits_here_log": lambda p: _log((p.here & p.been).sum(axis=1)),
    "visits_here_share": lambda p: _share(p, p.taste_weight, p.here),
    "visits_here_this_hour": lambda p: _share(p, p.taste_weight * p.hour_weight, p.here),
    "favourite_log": lambda p: _log(p.favourite),
    "favourite_share": lambda p: _ratio(p.favourite, p.user("favourites_total")),
    "since_here_log": lambda p: _log(_since_here(p) / HOUR_S),
    "never_here": lambda p: _since_here(p) >= NEVER_S,
    "category_share": lambda p: _share(p, p.taste_weight, p.alike),
    "category_this_hour": lambda p: _share(p, p.taste_weight * p.hour_weight, p.alike),
    "category_intent": lambda p: _share(p, p.intent_weight, p.alike),
    "category_intent_strength": lambda p: _log((p.intent_weight * p.alike).sum(axis=1)),
    "looked_here": lambda p: _log((p.intent_weight * p.here).sum(axis=1)),
    "from_centre_log_km": lambda p: _km(_from_centre(p)),
    "from_last_place_log_km": lambda p: _km(_to_last_place(p)),
    # outside
    "temperature": lambda p: _filled(p.at.temp, 15.0) / 20.0,
    "congestion": lambda p: _filled(p.at.congestion, 0.3),
    "context_known": lambda p: ~np.isnan(p.at.temp),
    **{
        f"weather_{name}": lambda p, code=code: p.at.condition == code  # type: ignore[misc]
        for code, name in enumerate(CONDITIONS)
    },
}


def _ranked(features: FeatureSet) -> dict[str, Callable[[_Pairs], Column]]:
    """Columns of the features that say in their definition how the ranker sees them."""

    def column_of(name: str, shape: Callable[[Column], Column]) -> Callable[[_Pairs], Column]:
        side = _Pairs.user if features.entity == "user" else _Pairs.place
        return lambda p: shape(side(p, name))

    shapes = {"plain": _plain, "log": _log}
    found = {
        f"{features.entity}_{column}": column_of(column, shapes[feature.ranked])
        for feature in features.features
        if feature.ranked is not None
        for column in feature.columns
    }
    if known := _COLUMNS.keys() & found.keys():
        raise ValueError(f"the ranker has these columns already: {', '.join(sorted(known))}")
    return found


_COLUMNS |= _ranked(USER) | _ranked(PLACE)
RANKING_COLUMNS: tuple[str, ...] = tuple(_COLUMNS)


def ranking_features(
    user_states: NDArray[np.void],
    place_states: NDArray[np.void],
    rows: NDArray[np.int64],
    at: Situation,
    catalogue: Catalogue,
) -> NDArray[np.float32]:
    """What the ranker sees of n pairs: float32[n, len(RANKING_COLUMNS)], every value finite.

    Args:
        user_states: [n], or [1] for one user and many places.
        place_states: [n].
        rows: int64[n] catalogue rows, -1 for a place that is not in it.
        at: situations, [n] or [1].
        catalogue: where metadata come from.
    """
    pairs = _Pairs(user_states, place_states, rows, at, catalogue)
    result = np.empty((len(rows), len(_COLUMNS)), np.float32)
    for i, column in enumerate(_COLUMNS.values()):
        result[:, i] = column(pairs)
    return np.nan_to_num(result, copy=False, posinf=0.0, neginf=0.0)


def candidate_inputs(
    user_state: NDArray[np.void],
    rows: NDArray[np.int64],
    distance_to_m: NDArray[np.float32],
    now_s: float,
    catalogue: Catalogue,
) -> dict[str, NDArray[np.generic]]:
    """Inputs of the candidate model for one user [1] and N places, each with a batch axis of 1."""
    past = history(user_state)
    return {
        "history_ids": as_int64(past.ids),
        "history_age_s": past.age_s(now_s),
        "history_kind": past.kind.astype(np.int64),
        "place_ids": as_int64(catalogue.hash[rows])[None, :],
        "distance_m": distance_to_m.astype(np.float32)[None, :],
    }


def ranker_inputs(
    features: NDArray[np.float32], user_id64: int, rows: NDArray[np.int64], catalogue: Catalogue
) -> dict[str, NDArray[np.generic]]:
    """Inputs of the ranker for one user and N places."""
    return {
        "features": features,
        "user_id": as_int64(np.full(len(rows), user_id64, np.uint64)),
        "place_id": as_int64(catalogue.hash[rows]),
        "category_id": as_int64(catalogue.category_hash[rows]),
    }
