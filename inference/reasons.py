"""Why a place is in the answer: read from the very features that ordered it.

A reason is only given where the figures behind it are strong enough to say it to a person, and
only where the stage that used those figures stood behind the answer. What it claims of the user's
past is what `inference.place_past` finds in their last events. What the ranker leaned on among
those that hold, `inference.explaining` asks it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.person import Person
from inference.place_past import PlacePast
from online_features.catalogue import Catalogue
from online_features.category_tree import leaf
from online_features.columns import CLICK, RATE, VIEW, VISIT
from online_features.request import RANKING_COLUMNS

MOST_REASONS = 4
_AT = {column: i for i, column in enumerate(RANKING_COLUMNS)}


@dataclass(frozen=True, slots=True)
class Reason:
    """A stable code for programs and a sentence for people.

    Attributes:
        weight: what the place's score owes to it, in units of the score; None: nobody was asked.
    """

    code: str
    text: str
    weight: float | None = None


@dataclass(frozen=True)
class Evidence:
    """What the order of an answer's places rested on.

    Attributes:
        features: float32[n, RANKING_COLUMNS].
        rows: int64[n] catalogue rows.
        distance_m: float32[n].
        level: value of `pb.Degradation`: which stages stood behind the order.
        now_s: moment of the request, Unix seconds.
    """

    features: NDArray[np.float32]
    rows: NDArray[np.int64]
    distance_m: NDArray[np.float32]
    level: pb.Degradation.ValueType
    now_s: float


class _Place:
    """One place and its features, read by name."""

    def __init__(self, evidence: Evidence, i: int, person: Person, catalogue: Catalogue) -> None:
        self._values = evidence.features[i].tolist()
        self.distance_m = float(evidence.distance_m[i])
        self._row = int(evidence.rows[i])
        self._catalogue = catalogue
        self.past = PlacePast(person, catalogue, self._row, evidence.now_s)

    def __getitem__(self, column: str) -> float:
        return float(self._values[_AT[column]])

    def count(self, column: str) -> int:
        """The whole number behind a column of log(1 + n)."""
        return round(math.expm1(self[column]))

    @property
    def category(self) -> str:
        """The narrowest name of its category."""
        code = int(self._catalogue.category[self._row])
        return leaf(self._catalogue.categories[code]) if code >= 0 else ""

    @property
    def near(self) -> bool:
        """Whether it is a short walk away."""
        return self.distance_m <= NEAR_M

    @property
    def is_like_recent(self) -> bool:
        """Whether the user has just been busy with places of its category, but not with it."""
        return (
            math.expm1(self["category_intent_strength"]) >= 0.5
            and self["category_intent"] >= 0.25
            and math.expm1(self["looked_here"]) < 0.5
            and self.past.just_alike() is not None
        )

    def newest_alike(self) -> str:
        """What the user has just done at another place of this category, in words."""
        name, kind = self.past.just_alike() or ("", VIEW)
        return f"Like {name or self.category}, {_JUST[kind]}"

    def visits_told(self) -> str:
        """How often the user was here, in words; of more than the last events nobody knows."""
        told = _times(len(self.past.visits_s))
        return told if self.past.reaches_back else f"at least {told}"

    @property
    def is_often_visited_kind(self) -> bool:
        """Whether the user was often here, or at others of its category."""
        alike, visits = self.past.visits_of_kind()
        return alike >= max(OFTEN_VISITS, OFTEN_SHARE * visits)

    @property
    def has_usual_time(self) -> bool:
        """Whether the user was here around this hour on more than one day."""
        return len({v.date() for v in self.past.visits_like_now}) >= 2

    def usual_time(self) -> str:
        """When the user comes here, in words: the days and the part of the day of all visits."""
        visits = self.past.visits_like_now
        days = {"weekend" if v.weekday() in _WEEKEND else "weekday" for v in visits}
        parts = {_part_of_day(v.hour) for v in visits}
        if len(parts) > 1:
            return "around this time of day" + (f" on {days.pop()}s" if len(days) == 1 else "")
        (part,) = parts
        if len(days) == 1:
            return f"on {days.pop()} {part}s"
        return f"in the {part}" if part != "night" else "at night"

    @property
    def ratings(self) -> int:
        """How many ratings its figure is the mean of.

        Those that the metadata state, if the figure is theirs; else visitors', whose mean it
        always is where five have rated (`online_features.pair_columns`).
        """
        is_stated = self["rating"] == float(self._catalogue.rating[self._row])
        stated = self.count("review_count_log") if is_stated else 0
        return max(stated, self.count("place_rating_count_log"))


#: What is so near is said to be.
NEAR_M = 400.0
#: So many visits to a kind of place, and so large a share of all, are often.
OFTEN_VISITS, OFTEN_SHARE = 3, 0.12
_WEEKEND = (5, 6)
_LOOKED = "which you just looked at"
_JUST = {VIEW: _LOOKED, CLICK: _LOOKED, VISIT: "where you just were", RATE: "which you just rated"}
#: The first hour of each part of the day.
_PARTS = ((5, "morning"), (12, "afternoon"), (17, "evening"), (22, "night"))


def _part_of_day(hour: int) -> str:
    return next((part for first, part in reversed(_PARTS) if hour >= first), "night")


@dataclass(frozen=True)
class _Rule:
    code: str
    holds: Callable[[_Place], bool]
    text: Callable[[_Place], str]


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _like_visited(p: _Place) -> bool:
    return (
        not p.past.visits_s
        and p["category_share"] >= 0.05
        and not p.is_like_recent
        and p.past.visited_alike() != ""
    )


#: In order of weight: what is the user's own comes before what holds for everybody.
_RULES = (
    _Rule(
        "USUAL_HOUR",
        # The share alone is not enough: of two visits at dawn all are here, at noon too.
        lambda p: p["visits_here_this_hour"] >= 0.25 and p.has_usual_time,
        lambda p: f"You come here {p.usual_time()}",
    ),
    _Rule(
        "JUST_LOOKED",
        lambda p: math.expm1(p["looked_here"]) >= 0.5 and p.past.just_looked,
        lambda p: "You just looked at it",
    ),
    _Rule(
        "SIMILAR_TO_RECENT",
        lambda p: p.is_like_recent,
        _Place.newest_alike,
    ),
    _Rule(
        "VISITED_BEFORE",
        lambda p: len(p.past.visits_s) >= 1,
        lambda p: f"You have been here {p.visits_told()}",
    ),
    _Rule(
        "LIKE_VISITED",
        _like_visited,
        lambda p: f"Like {p.past.visited_alike()} that you visited",
    ),
    _Rule(
        "LIKES_CATEGORY",
        lambda p: p["category_share"] >= OFTEN_SHARE and p.is_often_visited_kind,
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
        lambda p: p["rating"] >= 4.2 and p.ratings >= 5,
        lambda p: f"Rated {p['rating']:.1f} of 5",
    ),
    _Rule(
        "NEAR",
        lambda p: p.near,
        lambda p: f"Near: {max(10, round(p.distance_m, -1)):.0f} m away",
    ),
    _Rule(
        "POPULAR",
        lambda p: p.count("place_visits_7d_log") >= 20,
        lambda p: f"Popular: {p.count('place_visits_7d_log')} visits this week",
    ),
)
EXPLORED = "EXPLORED"
CODES = (EXPLORED, *(rule.code for rule in _RULES))
#: The candidate model sees a user's history and the distance; popularity sees the crowd.
_OF_HISTORY = {
    "USUAL_HOUR", "JUST_LOOKED", "SIMILAR_TO_RECENT", "VISITED_BEFORE", "LIKE_VISITED",
    "LIKES_CATEGORY", "NEAR",
}  # fmt: skip
_SAYS = {
    pb.DEGRADATION_CANDIDATE_ORDER: _OF_HISTORY,
    pb.DEGRADATION_POPULARITY: {"WELL_RATED", "NEAR", "POPULAR"},
}


def holding(evidence: Evidence, person: Person, catalogue: Catalogue) -> list[list[Reason]]:
    """All reasons that hold of each place of an answer, in the order of the rules."""
    may_say = _SAYS.get(evidence.level, set(CODES))
    rules = [rule for rule in _RULES if rule.code in may_say]
    result = []
    for i in range(len(evidence.rows)):
        place = _Place(evidence, i, person, catalogue)
        held = [rule for rule in rules if rule.holds(place)]
        result.append([Reason(rule.code, rule.text(place)) for rule in held])
    return result


def strongest(held: Sequence[Reason]) -> tuple[Reason, ...]:
    """The reasons of one place as they are told: strongest first, at most four.

    Strongest is what weighs most; without weights the rules' order holds.
    """
    joined = _joined(held)
    return tuple(sorted(joined, key=lambda reason: -(reason.weight or 0.0))[:MOST_REASONS])


def _joined(held: Sequence[Reason]) -> list[Reason]:
    """Near and like a place that was visited are told in one sentence."""
    by_code = {reason.code: reason for reason in held}
    like, near = by_code.get("LIKE_VISITED"), by_code.get("NEAR")
    if like is None or near is None:
        return list(held)
    weight = None if like.weight is None else like.weight + (near.weight or 0.0)
    both = Reason(like.code, f"Near, l{like.text[1:]}", weight)
    return [both if reason is like else reason for reason in held if reason is not near]


def explored(views: float) -> Reason:
    """Why a place is there that was drawn for a slot that explores."""
    seen = f"shown {_times(round(views))}" if round(views) else "not shown yet"
    return Reason(EXPLORED, f"To find out who likes it: {seen} in four weeks")
