"""Features of a request: what joins a user, a place, the moment and the weather.

The service computes them for the candidates of an answer, the training set for its rows, both
from packed states and the catalogue, by the same code.
"""

from collections.abc import Callable
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from contracts.ids import as_int64
from contracts.signatures import PARTS
from online_features.catalogue import CLOSED, OPEN, Catalogue
from online_features.context import CONDITIONS, Situation
from online_features.definitions import NEVER_S, PLACE, USER
from online_features.feature_set import FeatureSet
from online_features.geo import distance_m
from online_features.habits import HABITS, Occasions
from online_features.history import history
from online_features.pairs import ARRIVAL_SPEED_M_S as ARRIVAL_SPEED_M_S
from online_features.pairs import Column, Pairs, filled, log1p, log_km, picked, ratio
from online_features.rings import DAY_S, HOUR_S


def _to_last_place(p: Pairs) -> Column:
    row = p.spread(p.last_row)
    lat = np.where(row >= 0, p.catalogue.lat[row], np.nan)
    lng = np.where(row >= 0, p.catalogue.lng[row], np.nan)
    return distance_m(lat, lng, p.meta("lat"), p.meta("lng"))


def _from_centre(p: Pairs) -> Column:
    lat, lng, _ = p.centre
    return distance_m(p.spread(lat), p.spread(lng), p.meta("lat"), p.meta("lng"))


def _hist_share(counts: Column, code: Column, prior: float) -> Column:
    """Smoothed share of one bin of a histogram, times the number of bins: 1 is "as usual"."""
    count = picked(counts, code.astype(np.int64)[:, None])[:, 0]
    bins = counts.shape[1]
    share: Column = (count + prior / bins) / (counts.sum(axis=1) + prior) * bins
    return share


def _hour(p: Pairs) -> Column:
    return p.now_s // HOUR_S % 24


def _plain(values: Column) -> Column:
    return values


_COLUMNS: dict[str, Callable[[Pairs], Column]] = {
    # place and request
    "distance_log_km": lambda p: log_km(p.metres),
    "distance_near": lambda p: np.exp(-filled(p.metres, 1e6) / 500.0),
    "price_level": lambda p: filled(p.meta("price"), 0.0),
    "price_difference": lambda p: filled(p.meta("price") - p.spread(p.price_taste), 0.0),
    "price_known": lambda p: ~np.isnan(p.meta("price")),
    "rating": lambda p: filled(p.rating, 0.0),
    "rating_known": lambda p: ~np.isnan(p.rating),
    "rating_difference": lambda p: filled(
        p.rating - np.where(p.user("rating_given_count") > 0, p.user("rating_given_mean"), np.nan),
        0.0,
    ),
    "review_count_log": lambda p: log1p(p.meta("review_count", 0.0)),
    "open_on_arrival": lambda p: p.open_state == OPEN,
    "closed_on_arrival": lambda p: p.open_state == CLOSED,
    # the place's crowd
    "place_visits_1h_log": lambda p: log1p(p.place("visits_1h")),
    "place_visits_24h_log": lambda p: log1p(p.place("visits_24h")),
    "place_visits_7d_log": lambda p: log1p(p.place("visits_7d")),
    "place_visits_28d_log": lambda p: log1p(p.place("visits_28d")),
    "place_interactions_24h_log": lambda p: log1p(p.place("interactions_24h")),
    "place_visitors_7d_log": lambda p: log1p(p.place("visitors_7d")),
    "place_dwell_log": lambda p: log1p(p.place("dwell_s_p50") / 60.0),
    "place_trend_log": lambda p: np.log(
        (p.place("visits_7d") + 5.0) / (p.place("visits_before_7d") + 5.0)
    ),
    "place_click_ratio": lambda p: p.place("click_ratio"),
    "place_rating_count_log": lambda p: log1p(p.place("rating_count")),
    "place_since_visit_log": lambda p: log1p(p.place("since_visit_s") / HOUR_S),
    "place_busy_hour": lambda p: _hist_share(p.place_feature("visit_hours"), _hour(p), 24.0),
    "place_busy_weekday": lambda p: _hist_share(
        p.place_feature("visit_weekdays"), (p.now_s // DAY_S + 3) % 7, 14.0
    ),
    # the user
    "user_interactions_1h_log": lambda p: log1p(p.user("interactions_1h")),
    "user_visits_7d_log": lambda p: log1p(p.user("visits_7d")),
    "user_visits_28d_log": lambda p: log1p(p.user("visits_28d")),
    "user_active_days": lambda p: p.user("interactions_active_28d") / 28.0,
    "user_since_activity_log": lambda p: log1p(p.user("since_activity_s") / HOUR_S),
    "user_hour_habit": lambda p: _hist_share(p.user_feature("visit_hours")[p.of], _hour(p), 24.0),
    "user_radius_log_km": lambda p: log_km(p.spread(p.centre[2])),
    "user_history_log": lambda p: log1p(p.spread(p.been.sum(axis=1))),
    # the user and this place, or its like
    "visits_here_log": lambda p: log1p(p.here.sum(p.been.astype(np.float64))),
    "visits_here_share": lambda p: p.share(p.taste_weight, p.here),
    "visits_here_this_hour": lambda p: p.share(p.taste_weight * p.hour_weight, p.here),
    "favourite_log": lambda p: log1p(p.favourite),
    "favourite_share": lambda p: ratio(p.favourite, p.user("favourites_total")),
    "since_here_log": lambda p: log1p(p.since_here / HOUR_S),
    "never_here": lambda p: p.since_here >= NEVER_S,
    "category_share": lambda p: p.share(p.taste_weight, p.alike),
    "category_this_hour": lambda p: p.share(p.taste_weight * p.hour_weight, p.alike),
    "category_intent": lambda p: p.share(p.intent_weight, p.alike),
    "category_intent_strength": lambda p: log1p(p.alike.sum(p.intent_weight)),
    "looked_here": lambda p: log1p(p.here.sum(p.intent_weight)),
    "from_centre_log_km": lambda p: log_km(_from_centre(p)),
    "from_last_place_log_km": lambda p: log_km(_to_last_place(p)),
    # outside
    "temperature": lambda p: filled(p.spread(p.at.temp), 15.0) / 20.0,
    "congestion": lambda p: filled(p.spread(p.at.congestion), 0.3),
    "context_known": lambda p: ~np.isnan(p.spread(p.at.temp)),
    **{
        f"weather_{name}": lambda p, code=code: p.spread(p.at.condition) == code  # type: ignore[misc]
        for code, name in enumerate(CONDITIONS)
    },
}


def _ranked(features: FeatureSet) -> dict[str, Callable[[Pairs], Column]]:
    """Columns of the features that say in their definition how the ranker sees them."""

    def column_of(name: str, shape: Callable[[Column], Column]) -> Callable[[Pairs], Column]:
        side = Pairs.user if features.entity == "user" else Pairs.place
        return lambda p: shape(side(p, name))

    shapes = {"plain": _plain, "log": log1p}
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
RANKING_COLUMNS: tuple[str, ...] = (*_COLUMNS, *HABITS)


def ranking_features(
    user_states: NDArray[np.void],
    place_states: NDArray[np.void],
    rows: NDArray[np.int64],
    at: Situation,
    catalogue: Catalogue,
    of: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """What the ranker sees of n pairs: float32[n, len(RANKING_COLUMNS)], every value finite.

    Args:
        user_states: [r], one a request; [1] for one user.
        place_states: [n].
        rows: int64[n] catalogue rows, -1 for a place that is not in it.
        at: situations, [r]; [1] for one moment.
        catalogue: where metadata come from.
        of: int64[n], the request of each pair; without it all pairs are of one request, or each
            of its own.
    """
    if of is None:
        requests = max(len(user_states), len(at.now_s))
        of = np.zeros(len(rows), np.int64) if requests == 1 else np.arange(len(rows))
        if requests > 1:
            user_states = np.broadcast_to(user_states, (requests,))
            at = Situation(*(np.broadcast_to(getattr(at, f.name), (requests,)) for f in fields(at)))
    pairs = Pairs(user_states, place_states, rows, at, catalogue, of)
    result = np.empty((len(rows), len(RANKING_COLUMNS)), np.float32)
    for i, column in enumerate(_COLUMNS.values()):
        result[:, i] = column(pairs)
    occasions = Occasions(pairs)
    for i, habit in enumerate(HABITS.values(), start=len(_COLUMNS)):
        result[:, i] = habit(occasions)
    result[~np.isfinite(result)] = 0.0
    return result


def candidate_inputs(
    user_state: NDArray[np.void],
    rows: NDArray[np.int64],
    distance_to_m: NDArray[np.float32],
    now_s: float,
    catalogue: Catalogue,
    crowd: NDArray[np.uint8],
) -> dict[str, NDArray[np.generic]]:
    """Inputs of the candidate model for one user [1] and N places, each with a batch axis of 1.

    `crowd` is uint8[N, 4], see `online_features.crowds`.
    """
    past = history(user_state)
    return {
        "history_ids": as_int64(past.ids),
        "history_age_s": past.age_s(now_s),
        "history_kind": past.kind.astype(np.int64),
        "place_ids": as_int64(catalogue.hash[rows])[None, :],
        "distance_m": distance_to_m.astype(np.float32)[None, :],
        "moment_s": np.array([now_s], np.int64),
        "crowd": crowd[None, :],
    }


def parts_at(
    best: NDArray[np.integer], parts: NDArray[np.float32], wanted: NDArray[np.int64]
) -> NDArray[np.float32]:
    """What the candidate model told of some places, float32[n, len(PARTS)]; NaN where nothing.

    Args:
        best: int[k], positions of the places that it told of.
        parts: float32[k, len(PARTS)].
        wanted: int64[n], positions.
    """
    told = np.full((len(wanted), len(PARTS)), np.nan, np.float32)
    if len(best):
        order = np.argsort(best)
        at = np.minimum(np.searchsorted(best[order], wanted), len(best) - 1)
        at = order[at]
        held = best[at] == wanted
        told[held] = parts[at[held]]
    return told


def ranker_inputs(
    features: NDArray[np.float32],
    parts: NDArray[np.float32],
    user_id64: int,
    rows: NDArray[np.int64],
    catalogue: Catalogue,
) -> dict[str, NDArray[np.generic]]:
    """Inputs of the ranker for one user and N places; `parts` as `parts_at` gives them."""
    return {
        "features": features,
        "parts": parts,
        "user_id": as_int64(np.full(len(rows), user_id64, np.uint64)),
        "place_id": as_int64(catalogue.hash[rows]),
        "category_id": as_int64(catalogue.category_hash[rows]),
    }
