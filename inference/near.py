"""First stage: the places within reach that may be in the answer.

Every filter that needs no model is applied here, so that what the models see can fill the
answer. Where the area is thin, or the filters leave few, the ring widens by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.ids import id64
from contracts.settings import Settings
from inference.course import Ask
from inference.person import Person
from inference.query import Query
from online_features.catalogue import OPEN, Catalogue
from online_features.history import HISTORY
from online_features.request import ARRIVAL_SPEED_M_S

Rows = NDArray[np.int64]
Metres = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: With filters the ring must hold more than the models will see, or a rare category would be
#: missed in a dense city.
FILTERED_PLACES = 50_000


def arrival_s(now_s: float, distance_m: Metres) -> NDArray[np.float64]:
    """Unix seconds at which a user who leaves now arrives, with the speed the features assume."""
    return now_s + distance_m.astype(np.float64) / ARRIVAL_SPEED_M_S


@dataclass(frozen=True)
class Nearby:
    """Places within a radius.

    Attributes:
        rows: catalogue rows, nearest first.
        distance_m: distance of each from the user.
        radius_m: radius that was searched.
        passed_over: how many within the radius the filters took out.
    """

    rows: Rows
    distance_m: Metres
    radius_m: float
    passed_over: int

    def keep(self, mask: Mask) -> "Nearby":
        """Only the places under a mask."""
        kept = self.rows[mask]
        dropped = len(self.rows) - len(kept)
        return Nearby(kept, self.distance_m[mask], self.radius_m, self.passed_over + dropped)

    def nearest(self, most: int) -> "Nearby":
        """At most so many, the nearest; what is cut off was not filtered out."""
        if len(self.rows) <= most:
            return self
        return Nearby(self.rows[:most], self.distance_m[:most], self.radius_m, self.passed_over)


class NearStage:
    """Looks around one spot for one query, in rings that grow."""

    def __init__(self, catalogue: Catalogue, settings: Settings, ask: Ask) -> None:
        query = ask.query
        self._catalogue = catalogue
        self._query = query
        self._now_s = ask.now_s
        self._widest_m = query.radius_m or settings.max_radius_m
        self._start_m = query.radius_m or min(settings.radius_m, settings.max_radius_m)
        # Resting places are taken out after the cut, and must not leave the answer short.
        self._most = max(settings.near_places, query.limit + HISTORY)
        self._filters = _filters(catalogue, query)
        filtered = bool(self._filters) or query.open_now or query.only_new or query.only_known
        self._reach = max(FILTERED_PLACES, self._most) if filtered else self._most

    def first(self) -> Nearby:
        """The first ring, with all filters that need no knowledge of the user."""
        return self._ring(self._start_m)

    def finish(self, ring: Nearby, person: Person) -> Nearby:
        """Apply what depends on the user, and widen while there are fewer than wanted."""
        wanted = self._query.limit
        kept = self._for(person, ring)
        while len(kept.rows) < wanted and ring.radius_m < self._widest_m:
            ring = self._ring(min(2 * ring.radius_m, self._widest_m))
            kept = self._for(person, ring)
        return kept.nearest(self._most)

    def _ring(self, radius_m: float) -> Nearby:
        query = self._query
        rows, distance_m = self._catalogue.near(query.lat, query.lng, radius_m, self._reach)
        ring = Nearby(rows, distance_m, radius_m, 0)
        for passes in self._filters:
            ring = ring.keep(passes(ring.rows))
        if query.open_now:
            ring = ring.keep(self._open(ring))
        return ring

    def _open(self, ring: Nearby) -> Mask:
        state = self._catalogue.open_state(ring.rows, arrival_s(self._now_s, ring.distance_m))
        mask: Mask = state == OPEN
        return mask

    def _for(self, person: Person, ring: Nearby) -> Nearby:
        hashes = self._catalogue.hash[ring.rows]
        if len(person.resting):
            ring = ring.keep(~np.isin(hashes, person.resting))
            hashes = self._catalogue.hash[ring.rows]
        if self._query.only_new:
            return ring.keep(~np.isin(hashes, person.visited))
        if self._query.only_known:
            return ring.keep(np.isin(hashes, person.visited))
        return ring


def _filters(catalogue: Catalogue, query: Query) -> list[Callable[[Rows], Mask]]:
    """The query's filters on columns of the catalogue. What is not known passes no filter."""
    filters: list[Callable[[Rows], Mask]] = []
    if query.categories:
        wanted = np.array([id64(category) for category in query.categories], np.uint64)
        filters.append(lambda rows: np.isin(catalogue.category_hash[rows], wanted))
    if query.max_price_level:
        filters.append(lambda rows: catalogue.price[rows] <= query.max_price_level)
    if query.min_rating:
        filters.append(lambda rows: catalogue.rating[rows] >= query.min_rating)
    if query.exclude:
        excluded = np.array([id64(place_id) for place_id in query.exclude], np.uint64)
        filters.append(lambda rows: ~np.isin(catalogue.hash[rows], excluded))
    return filters
