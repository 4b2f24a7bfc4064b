"""Why a place is in the answer: read from the very features that ordered it.

A reason is only given where the figures behind it are strong enough to say it to a person, and
only where the stage that used those figures stood behind the answer.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.person import Person
from online_features.catalogue import Catalogue
from online_features.columns import RATE, VISIT
from online_features.request import RANKING_COLUMNS

MOST_REASONS = 4
_AT = {column: i for i, column in enumerate(RANKING_COLUMNS)}


@dataclass(frozen=True, slots=True)
class Reason:
    """A stable code for programs and a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True)
class Evidence:
    """What the order of an answer's places rested on.

    Attributes:
        features: float32[n, RANKING_COLUMNS].
        rows: int64[n] catalogue rows.
        distance_m: float32[n].
        level: value of `pb.Degradation`: which stages stood behind the order.
    """

    features: NDArray[np.float32]
    rows: NDArray[np.int64]
    distance_m: NDArray[np.float32]
    level: pb.Degradation.ValueType


class _Place:
    """One place and its features, read by name."""

    def __init__(self, evidence: Evidence, i: int, person: Person, catalogue: Catalogue) -> None:
        self._values = evidence.features[i].tolist()
        self.distance_m = float(evidence.distance_m[i])
        self._row = int(evidence.rows[i])
        self._person = person
        self._catalogue = catalogue

    def __getitem__(self, column: str) -> float:
        return float(self._values[_AT[column]])

    def count(self, column: str) -> int:
        """The whole number behind a column of log(1 + n)."""
        return round(math.expm1(self[column]))

    @property
    def category(self) -> str:
        code = int(self._catalogue.category[self._row])
        return self._catalogue.categories[code] if code >= 0 else ""

    def newest_alike(self) -> str:
        """What the user did last with a place of this category, in words."""
        events, catalogue = self._person.history, self._catalogue
        past = catalogue.rows_of(events.ids[0])
        alike = (past >= 0) & (catalogue.category[past] == catalogue.category[self._row])
        if not alike.any():
            return f"Like what you just looked at: {self.category}"
        newest = int(alike.argmax())
        name = catalogue.names[int(past[newest])] or self.category
        been = events.kind[0, newest] in (VISIT, RATE)
        return f"Like {name}, {'where you just were' if been else 'which you just looked at'}"


@dataclass(frozen=True)
class _Rule:
    code: str
    holds: Callable[[_Place], bool]
    text: Callable[[_Place], str]


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


#: In order of weight: what is the user's own comes before what holds for everybody.
_RULES = (
    _Rule(
        "USUAL_HOUR",
        lambda p: p["visits_here_this_hour"] >= 0.25 and p.count("visits_here_log") >= 2,
        lambda p: "You often come here around this hour",
    ),
    _Rule(
        "JUST_LOOKED",
        lambda p: math.expm1(p["looked_here"]) >= 0.5,
        lambda p: "You just looked at it",
    ),
    _Rule(
        "SIMILAR_TO_RECENT",
        lambda p: (
            math.expm1(p["category_intent_strength"]) >= 0.5
            and p["category_intent"] >= 0.25
            and math.expm1(p["looked_here"]) < 0.5
        ),
        _Place.newest_alike,
    ),
    _Rule(
        "VISITED_BEFORE",
        lambda p: p.count("visits_here_log") >= 1,
        lambda p: f"You have been here {_times(p.count('visits_here_log'))}",
    ),
    _Rule(
        "LIKES_CATEGORY",
        lambda p: p["category_share"] >= 0.12 and p.count("user_history_log") >= 3,
        lambda p: f"A kind of place that you often visit: {p.category}",
    ),
    _Rule(
        "BUSY_NOW",
        lambda p: p.count("place_visits_1h_log") >= 3,
        lambda p: f"Busy now: {p.count('place_visits_1h_log')} visits in the last hour",
    ),
    _Rule(
        "TRENDING",
        lambda p: p["place_trend_log"] >= math.log(1.3) and p.count("place_visits_7d_log") >= 10,
        lambda p: "On the rise: more visits this week than the week before",
    ),
    _Rule(
        "WELL_RATED",
        lambda p: (
            p["rating"] >= 4.2
            and p.count("place_rating_count_log") + p.count("review_count_log") >= 5
        ),
        lambda p: f"Rated {p['rating']:.1f} of 5",
    ),
    _Rule(
        "NEAR",
        lambda p: p.distance_m <= 400,
        lambda p: f"Near: {max(10, round(p.distance_m, -1)):.0f} m away",
    ),
    _Rule(
        "POPULAR",
        lambda p: p.count("place_visits_7d_log") >= 20,
        lambda p: f"Popular: {p.count('place_visits_7d_log')} visits this week",
    ),
)
CODES = tuple(rule.code for rule in _RULES)
#: The candidate model sees a user's history and the distance; popularity sees the crowd.
_OF_HISTORY = {
    "USUAL_HOUR", "JUST_LOOKED", "SIMILAR_TO_RECENT", "VISITED_BEFORE", "LIKES_CATEGORY", "NEAR"
}  # fmt: skip
_SAYS = {
    pb.DEGRADATION_CANDIDATE_ORDER: _OF_HISTORY,
    pb.DEGRADATION_POPULARITY: {"WELL_RATED", "NEAR", "POPULAR"},
}


def reasons(evidence: Evidence, person: Person, catalogue: Catalogue) -> list[tuple[Reason, ...]]:
    """Reasons of each place of an answer, strongest first, at most four each."""
    may_say = _SAYS.get(evidence.level, set(CODES))
    rules = [rule for rule in _RULES if rule.code in may_say]
    result = []
    for i in range(len(evidence.rows)):
        place = _Place(evidence, i, person, catalogue)
        held = [rule for rule in rules if rule.holds(place)][:MOST_REASONS]
        result.append(tuple(Reason(rule.code, rule.text(place)) for rule in held))
    return result
