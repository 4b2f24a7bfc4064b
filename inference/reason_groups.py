"""What each reason speaks of, as inputs of the ranker: its columns and the parts beside them.

A group holds all that would read otherwise were the reason not true, so that a place without it is
one that could be: without the user's visits there is no share of them at this hour either. Where
the group of a reason holds that of another, it is given only for what the other does not tell
(`beyond`); one that tells the same in other words only where the other is not true.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from contracts.signatures import PARTS
from online_features.ranking_columns import COLUMNS, Kind, OfHere, OfWeight

#: The weight of the newest minutes; all others are of visits.
_INTENT = "intent"
#: Weights in which this hour of the day counts, see `online_features.habits`.
_OF_HOUR = {"taste_this_hour", "gap", "began_near", "hour", "hours", "day_hour", "week_hour"}


@dataclass(frozen=True)
class Group:
    """Inputs of the ranker that belong together.

    Attributes:
        columns: names of ranking columns.
        parts: names of parts of the candidate model.
        beyond: code of a reason whose group lies in this one, or is this one; empty: none.
    """

    columns: tuple[str, ...]
    parts: tuple[str, ...] = ()
    beyond: str = ""

    @cached_property
    def column_at(self) -> NDArray[np.int64]:
        """Positions of the columns."""
        names = list(COLUMNS)
        return np.array([names.index(column) for column in self.columns], np.int64)

    @cached_property
    def part_at(self) -> NDArray[np.int64]:
        """Positions of the parts."""
        return np.array([PARTS.index(part) for part in self.parts], np.int64)


def _of(holds: Callable[[Kind], bool]) -> tuple[str, ...]:
    return tuple(name for name, kind in COLUMNS.items() if holds(kind))


def _of_weight(kind: Kind, among: str, weights: Callable[[str], bool]) -> bool:
    return isinstance(kind, OfWeight) and kind.among == among and weights(kind.weight)


_VISITS = _of(
    lambda kind: isinstance(kind, OfHere) or _of_weight(kind, "here", lambda w: w != _INTENT)
)
_KIND = (
    _of(lambda kind: _of_weight(kind, "alike", lambda w: w != _INTENT)),
    ("kind", "kind_hour", "kind_distinct"),
)

#: By the code of the reason. A narrower one stands before the wider.
GROUPS = {
    "USUAL_HOUR": Group(
        _of(lambda kind: _of_weight(kind, "here", _OF_HOUR.__contains__)), ("here_hour",)
    ),
    "JUST_LOOKED": Group(_of(lambda kind: _of_weight(kind, "here", _INTENT.__eq__))),
    "SIMILAR_TO_RECENT": Group(_of(lambda kind: _of_weight(kind, "alike", _INTENT.__eq__))),
    "VISITED_BEFORE": Group(
        (*_VISITS, "favourite_log", "favourite_share"),
        ("here", "here_hour", "here_lately"),
        beyond="USUAL_HOUR",
    ),
    "LIKE_VISITED": Group(*_KIND),
    "LIKES_CATEGORY": Group(*_KIND, beyond="LIKE_VISITED"),
    "BUSY_NOW": Group(("place_visits_1h_log",), ("crowd_1h",)),
    "TRENDING": Group(("place_trend_log",)),
    "WELL_RATED": Group(("rating", "rating_known", "rating_difference")),
    "NEAR": Group(
        ("distance_log_km", "distance_near", "distance_here"), ("metres", "metres_near")
    ),
    "POPULAR": Group(
        (
            *("place_visits_1h_log", "place_visits_24h_log", "place_visits_7d_log"),
            *("place_visits_28d_log", "place_interactions_24h_log", "place_visitors_7d_log"),
        ),
        ("visits", "visitors", "crowd_1h", "crowd_24h", "crowd_7d", "crowd_28d"),
        beyond="BUSY_NOW",
    ),
}  # fmt: skip
