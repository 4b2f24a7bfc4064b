"""Why a place is in the answer: read from the very features that ordered it.

A reason is only given where the figures behind it are strong enough to say it to a person, and
only where the stage that used those figures stood behind the answer. What the ranker leaned on
among those that hold, `inference.explaining` asks it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.person import Person
from online_features.catalogue import Catalogue
from online_features.category_tree import leaf
from online_features.columns import RATE, VISIT
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
        self._now_s = evidence.now_s
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
        )

    def newest_alike(self) -> str:
        """What the user did last with a place of this category, in words."""
        newest = self._newest(np.ones_like(self._person.history.kind[0], bool))
        if newest is None:
            return f"Like what you just looked at: {self.category}"
        name, kind = newest
        been = kind in (VISIT, RATE)
        return f"Like {name or self.category}, {_WHERE if been else _WHICH}"

    def visited_alike(self) -> str:
        """Name of the place of this category that the user was at last; empty if none has one."""
        newest = self._newest(np.isin(self._person.history.kind[0], (VISIT, RATE)))
        return newest[0] if newest is not None else ""

    @cached_property
    def visits_like_now(self) -> list[datetime]:
        """Visits here around this hour of the day, on the place's own clock."""
        events = self._person.history
        here = events.ids[0] == self._catalogue.hash[self._row]
        here &= np.isin(events.kind[0], (VISIT, RATE))
        visits = [self._catalogue.local_time(self._row, t) for t in events.time_s[0][here].tolist()]
        return [v for v in visits if _hours_apart(v, self._now) <= USUAL_HOURS]

    def usual_time(self) -> str:
        """When the user comes here, in words, on the place's own clock."""
        at_weekend = {v.weekday() in _WEEKEND for v in self.visits_like_now}
        part = _part_of_day(self._now.hour)
        if len(at_weekend) == 1:
            return f"on {'weekend' if at_weekend.pop() else 'weekday'} {part}s"
        return f"in the {part}" if part != "night" else "at night"

    @property
    def _now(self) -> datetime:
        return self._catalogue.local_time(self._row, self._now_s)

    def _newest(self, among: NDArray[np.bool_]) -> tuple[str, int] | None:
        """Name (or nothing) and kind of the newest event, of some, at a place of this category."""
        events, catalogue = self._person.history, self._catalogue
        past = catalogue.rows_of(events.ids[0])
        alike = (past >= 0) & (catalogue.category[past] == catalogue.category[self._row]) & among
        if not alike.any() or catalogue.category[self._row] < 0:
            return None
        newest = int(alike.argmax())
        return catalogue.names[int(past[newest])] or "", int(events.kind[0, newest])


#: What is so near is said to be.
NEAR_M = 400.0
#: Visits at most so many hours from this one's hour of the day make a habit.
USUAL_HOURS = 2.0
_WEEKEND = (5, 6)
_WHERE, _WHICH = "where you just were", "which you just looked at"
#: The first hour of each part of the day.
_PARTS = ((5, "morning"), (12, "afternoon"), (17, "evening"), (22, "night"))


def _part_of_day(hour: int) -> str:
    return next((part for first, part in reversed(_PARTS) if hour >= first), "night")


def _hours_apart(a: datetime, b: datetime) -> float:
    hours = abs((a.hour + a.minute / 60) - (b.hour + b.minute / 60))
    return min(hours, 24 - hours)


@dataclass(frozen=True)
class _Rule:
    code: str
    holds: Callable[[_Place], bool]
    text: Callable[[_Place], str]


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _like_visited(p: _Place) -> bool:
    return (
        p.count("visits_here_log") == 0
        and p["category_share"] >= 0.05
        and not p.is_like_recent
        and p.visited_alike() != ""
    )


#: In order of weight: what is the user's own comes before what holds for everybody.
_RULES = (
    _Rule(
        "USUAL_HOUR",
        # The share alone is not enough: of two visits at dawn all are here, at noon too.
        lambda p: p["visits_here_this_hour"] >= 0.25 and len(p.visits_like_now) >= 2,
        lambda p: f"You come here {p.usual_time()}",
    ),
    _Rule(
        "JUST_LOOKED",
        lambda p: math.expm1(p["looked_here"]) >= 0.5,
        lambda p: "You just looked at it",
    ),
    _Rule(
        "SIMILAR_TO_RECENT",
        lambda p: p.is_like_recent,
        _Place.newest_alike,
    ),
    _Rule(
        "VISITED_BEFORE",
        lambda p: p.count("visits_here_log") >= 1,
        lambda p: f"You have been here {_times(p.count('visits_here_log'))}",
    ),
    _Rule(
        "LIKE_VISITED",
        _like_visited,
        lambda p: f"Like {p.visited_alike()} that you visited",
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
