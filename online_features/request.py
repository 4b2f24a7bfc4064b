"""Features of a request: what joins a user, a place, the moment and the weather.

The service computes them for the candidates of an answer, the training set for its rows, both
from packed states and the catalogue, by the same code.
"""

from dataclasses import fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contracts.ids import as_int64
from contracts.signatures import PARTS
from online_features.asks import Asks
from online_features.catalogue import Catalogue
from online_features.compiled import compiled
from online_features.context import Situation
from online_features.habits import Asked
from online_features.history import History, history
from online_features.pair_columns import ARRIVAL_SPEED_M_S as ARRIVAL_SPEED_M_S
from online_features.pair_columns import Sides
from online_features.place_values import PlaceStates, PlaceValues
from online_features.ranking_columns import COLUMNS
from online_features.ranking_matrix import matrix, sides_of

RANKING_COLUMNS: tuple[str, ...] = tuple(COLUMNS)


def ranking_features(
    user_states: NDArray[np.void],
    places: NDArray[np.void] | PlaceValues,
    rows: NDArray[np.int64],
    at: Situation,
    catalogue: Catalogue,
    of: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """What the ranker sees of n pairs: float32[n, len(RANKING_COLUMNS)], every value finite.

    Args:
        user_states: [r], one a request; [1] for one user.
        places: states [n], or what they say at the moment of each pair's request.
        rows: int64[n] catalogue rows, -1 for a place that is not in it.
        at: situations, [r]; [1] for one moment.
        catalogue: where metadata come from.
        of: int64[n], the request of each pair; without it all pairs are of one request, or each
            of its own.

    Raises:
        ValueError: these do not go together.
    """
    past = history(user_states)
    if of is None:
        requests = max(len(user_states), len(at.now_s))
        of = np.zeros(len(rows), np.int64) if requests == 1 else np.arange(len(rows))
        if requests > 1:
            user_states = np.broadcast_to(user_states, (requests,))
            past = past.of_each(requests)
            at = Situation(*(np.broadcast_to(getattr(at, f.name), (requests,)) for f in fields(at)))
    sides = sides_of_requests(user_states, past, at.now_s, at.lat, at.lng, catalogue)
    return pair_features(sides, places, rows, at, catalogue, of)


def sides_of_requests(
    user_states: NDArray[np.void],
    past: History,
    now_s: ArrayLike,
    lat: ArrayLike,
    lng: ArrayLike,
    catalogue: Catalogue,
) -> Sides:
    """What r requests bring to `pair_features`: all that needs no place, and no weather.

    Args:
        user_states: [r].
        past: as many histories.
        now_s, lat, lng: when and where each is asked, [r]; Unix seconds, degrees.
        catalogue: where metadata come from.

    Raises:
        ValueError: these do not go together.
    """
    if len(past.ids) != len(user_states):
        raise ValueError(f"{len(past.ids)} histories of {len(user_states)} users")
    # Compiled loops trust what they are given.
    asked = Asked(*(np.array(values, np.float64) for values in (now_s, lat, lng)))
    if any(values.shape != user_states.shape for values in asked):
        raise ValueError(f"{len(user_states)} users, but {len(asked.now_s)} moments and places")
    return sides_of(Asks(user_states, asked, catalogue, past.trimmed()))


def pair_features(
    sides: Sides,
    places: NDArray[np.void] | PlaceValues,
    rows: NDArray[np.int64],
    at: Situation,
    catalogue: Catalogue,
    of: NDArray[np.int64],
) -> NDArray[np.float32]:
    """`ranking_features` of pairs whose requests are worked out already, of the same catalogue.

    `at` counts for its weather and traffic alone.

    Raises:
        ValueError: these do not go together.
    """
    requests = len(sides.asked.now_s)
    of, rows = np.ascontiguousarray(of, np.int64), np.ascontiguousarray(rows, np.int64)
    if len(of) != len(rows):
        raise ValueError(f"{len(of)} pairs of {len(rows)} places")
    if not _lie_within(of, 0, requests):
        raise ValueError(f"a pair of no request: there are {requests}")
    if not _lie_within(rows, -1, len(catalogue)):
        raise ValueError(f"a row that the catalogue has not: it has {len(catalogue)}")
    if sides.last_row.max(initial=-1) >= len(catalogue):
        raise ValueError("the requests are of another catalogue")
    if len(places) != len(rows):
        raise ValueError(f"states of {len(places)} places for {len(rows)} rows")
    if isinstance(places, np.ndarray):
        places = PlaceStates(places, sides.asked.now_s[of])
    return matrix(sides, at, catalogue, places, rows, of)


@compiled
def _lie_within(values: NDArray[np.int64], least: int, end: int) -> bool:
    """Whether all values are at least `least`, and below `end`."""
    outside = 0
    for value in values:
        outside += value < least or value >= end
    return outside == 0


def candidate_inputs(
    past: History,
    rows: NDArray[np.int64],
    distance_to_m: NDArray[np.float32],
    now_s: float,
    catalogue: Catalogue,
    crowd: NDArray[np.uint8],
) -> dict[str, NDArray[np.generic]]:
    """Inputs of the candidate model for one history and N places, each with a batch axis of 1.

    `crowd` is uint8[N, 4], see `online_features.crowds`.
    """
    return {
        "history_ids": as_int64(past.ids),
        "history_age_s": past.age_s(now_s),
        "history_kind": past.kind.astype(np.int64),
        "place_ids": as_int64(catalogue.hash.take(rows, mode="clip"))[None, :],
        "distance_m": distance_to_m.astype(np.float32, copy=False)[None, :],
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
        found = order.take(np.searchsorted(best, wanted, sorter=order), mode="clip")
        held = best[found] == wanted
        told[held] = parts[found[held]]
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
