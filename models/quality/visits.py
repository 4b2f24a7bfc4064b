"""Visits in columns, in order of time, and what follows from the order alone."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.quality.postings import Postings
from online_features.columns import occurrence

Index = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VisitLog:
    """n visits of `users` users at p places; position i happened before position i + 1.

    Attributes:
        user: int64[n], 0 <= user < users.
        place: int64[n], 0 <= place < p.
        time_s: float64[n], Unix seconds, not descending.
        users: how many users there are.
        lat, lng: float64[p], degrees.
    """

    user: Index
    place: Index
    time_s: Floats
    users: int
    lat: Floats
    lng: Floats

    def __len__(self) -> int:
        return len(self.user)

    @property
    def places(self) -> int:
        """How many places there are, visited or not."""
        return len(self.lat)

    def first(self, count: int) -> "VisitLog":
        """The oldest visits; users and places keep their numbers."""
        return self.take(slice(0, count))

    def take(self, rows: Index | NDArray[np.bool_] | slice) -> "VisitLog":
        """Some of the visits, in their order; users and places keep their numbers."""
        return replace(self, user=self.user[rows], place=self.place[rows], time_s=self.time_s[rows])

    @cached_property
    def previous(self) -> Index:
        """Position of the same user's visit before each one, -1 for the first; int64[n]."""
        order = np.argsort(self.user, kind="stable")
        user = self.user[order]
        same = np.r_[False, user[1:] == user[:-1]][: len(order)]
        result = np.full(len(self), -1, np.int64)
        result[order[same]] = order[np.flatnonzero(same) - 1]
        return result

    @cached_property
    def is_new(self) -> NDArray[np.bool_]:
        """Whether each visit is its user's first at its place; bool[n]."""
        first: NDArray[np.bool_] = occurrence(self.user * self.places + self.place) == 0
        return first

    @cached_property
    def user_past(self) -> Index:
        """How many visits each visit's user had made before; int64[n]."""
        return occurrence(self.user)

    @cached_property
    def place_past(self) -> Index:
        """How many visits each visit's place had had before, of anyone; int64[n]."""
        return occurrence(self.place)

    @cached_property
    def by_user(self) -> Postings:
        """Positions by user."""
        return Postings(self.user, self.users)

    @cached_property
    def by_origin(self) -> Postings:
        """Positions by the place that their user came from (the previous visit's place)."""
        origin = np.where(self.previous >= 0, self.place[self.previous], self.places)
        return Postings(origin, self.places + 1)
