"""The conditions of a request on columns of the catalogue, each under the name of its field."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.ids import id64
from inference.query import Query
from online_features.catalogue import OPEN, Catalogue
from online_features.request import ARRIVAL_SPEED_M_S

Rows = NDArray[np.int64]
Metres = NDArray[np.float32]
Mask = NDArray[np.bool_]

OPEN_NOW, FAMILIARITY, REST = "filters.open_now", "filters.familiarity", "rest"


@dataclass(frozen=True)
class Condition:
    """What places must fulfil.

    Attributes:
        field: dotted path in the request.
        holds: of catalogue rows int64[n] and distances float32[n], bool[n]; False where what it
            asks for is not known.
        on_arrival: whether it looks at the distances.
    """

    field: str
    holds: Callable[[Rows, Metres], Mask]
    on_arrival: bool = False


def arrival_s(now_s: float, distance_m: Metres) -> NDArray[np.float64]:
    """Unix seconds at which a user who leaves now arrives, with the speed the features assume."""
    return now_s + distance_m.astype(np.float64) / ARRIVAL_SPEED_M_S


def conditions(catalogue: Catalogue, query: Query, now_s: float) -> list[Condition]:
    """The conditions of a query that need no knowledge of the user, cheapest first.

    Those that hold for every place are left out.
    """
    found: list[Condition] = []

    def add(field: str, holds: Callable[[Rows, Metres], Mask], *, on_arrival: bool = False) -> None:
        found.append(Condition(f"filters.{field}", holds, on_arrival))

    if query.categories:
        wanted = np.concatenate([catalogue.categories_under(c) for c in query.categories])
        add("categories", lambda rows, _: np.isin(catalogue.category[rows], wanted))
    if query.min_price_level:
        add("min_price_level", lambda rows, _: catalogue.price[rows] >= query.min_price_level)
    if query.max_price_level:
        add("max_price_level", lambda rows, _: catalogue.price[rows] <= query.max_price_level)
    if query.min_rating:
        add("min_rating", lambda rows, _: catalogue.rating[rows] >= query.min_rating)
    if query.exclude:
        excluded = np.array([id64(place_id) for place_id in query.exclude], np.uint64)
        add("exclude_place_ids", lambda rows, _: ~np.isin(catalogue.hash[rows], excluded))
    if query.open_now:

        def open_then(rows: Rows, metres: Metres) -> Mask:
            state = catalogue.open_state(rows, arrival_s(now_s, metres))
            return np.asarray(state == OPEN)

        add("open_now", open_then, on_arrival=True)
    return found
