"""The ranker's matrix: every column of `ranking_columns`, for pairs of requests and places.

What a request brings to all its pairs is worked out first (`sides_of`), and needs no place.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from online_features.asks import Asks, places_of
from online_features.catalogue import Catalogue
from online_features.context import Situation
from online_features.habits import WEIGHTS
from online_features.pair_columns import (
    AS_LOG,
    AS_LOG_SHARE,
    AS_SHARE,
    FROM_PLACE,
    OF_HERE,
    OF_PAIR,
    Pairs,
    Plan,
    Sides,
    tell,
    ways_of,
)
from online_features.place_values import PlaceValues
from online_features.ranking_columns import COLUMNS, OfOutside, OfPlace, OfRequest, OfWeight

_PLACE = [(name, kind) for name, kind in COLUMNS.items() if isinstance(kind, OfPlace)]
_WEIGHT = [(name, kind) for name, kind in COLUMNS.items() if isinstance(kind, OfWeight)]
_REQUEST = [(name, kind) for name, kind in COLUMNS.items() if isinstance(kind, OfRequest)]
_OUTSIDE = [(name, kind) for name, kind in COLUMNS.items() if isinstance(kind, OfOutside)]
_TOLD = {"log": AS_LOG, "share": AS_SHARE, "log share": AS_LOG_SHARE}


def _plan() -> Plan:
    at = {name: i for i, name in enumerate(COLUMNS)}

    def codes(values: Iterable[int]) -> NDArray[np.int64]:
        return np.array(list(values), np.int64)

    alike = codes(kind.among == "alike" for _, kind in _WEIGHT)
    weight = codes(WEIGHTS.index(kind.weight) for _, kind in _WEIGHT)
    plan = Plan(
        pair_at=codes(at[name] for name in OF_PAIR),
        here_at=codes(at[name] for name in OF_HERE),
        weight=weight,
        how=codes(_TOLD[kind.told] for _, kind in _WEIGHT),
        alike=alike,
        used_alike=np.unique(weight[alike > 0]),
        weight_at=codes(at[name] for name, _ in _WEIGHT),
        place_log=codes(kind.told == "log" for _, kind in _PLACE),
        place_at=codes(at[name] for name, _ in _PLACE),
        request_at=codes(at[name] for name, _ in (*_REQUEST, *_OUTSIDE)),
    )
    told = (plan.pair_at, plan.here_at, plan.weight_at, plan.place_at, plan.request_at)
    if lacking := set(at.values()) - set(np.concatenate(told).tolist()):
        names = [name for name, i in at.items() if i in lacking]
        raise ValueError(f"pair_columns does not work out {', '.join(names)}")
    return plan


_PLAN = _plan()
_FROM_PLACE = (*FROM_PLACE, *(kind.column for _, kind in _PLACE))


def sides_of(asks: Asks) -> Sides:
    """What r requests bring to their pairs with places: it takes no place and no weather."""
    favourite_row, favourite_weight = asks.favourites
    occasions = asks.occasions
    return Sides(
        asked=asks.asked,
        usual_rating=asks.usual_rating,
        past_row=asks.past_rows,
        past_category=asks.past_category,
        past_time_s=asks.past.time_s,
        weights=occasions.weights,
        totals=occasions.totals,
        told=occasions.told,
        last_row=occasions.last_row,
        favourite_row=favourite_row,
        favourite_weight=favourite_weight,
        favourites=asks.user("favourites_total").astype(np.float64),
        columns=np.array([kind.values(asks) for _, kind in _REQUEST], np.float64),
    )


def matrix(
    sides: Sides,
    at: Situation,
    catalogue: Catalogue,
    places: PlaceValues,
    rows: NDArray[np.int64],
    of: NDArray[np.int64],
) -> NDArray[np.float32]:
    """All columns of n pairs: float32[n, len(COLUMNS)], every value finite.

    Args:
        sides: of r requests.
        at: their weather and traffic, [r].
        catalogue: where metadata come from.
        places: what the places' states say, [n].
        rows: int64[n], catalogue rows of the places, -1 not in it.
        of: int64[n], the request of each pair.
    """
    known, now_s = places_of(catalogue), sides.asked.now_s[of]
    metres, arrival_s = ways_of(of, rows, sides.asked, known)
    stated = {name: catalogue.column_at(name, rows, now_s) for name in ("rating", "review_count")}
    pairs = Pairs(
        of,
        rows,
        metres,
        catalogue.open_state(rows, arrival_s),
        place=places.table(_FROM_PLACE),
        **{name: values.astype(np.float64) for name, values in stated.items()},
    )
    outside = np.array([kind.values(at) for _, kind in _OUTSIDE], np.float64)
    of_requests = np.concatenate([sides.columns, outside])
    result = np.empty((len(rows), len(COLUMNS)), np.float32)
    tell(pairs, sides._replace(columns=of_requests), known, _PLAN, result)
    return result
