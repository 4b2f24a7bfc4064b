"""First stage: the places within reach that may be in the answer.

Every filter that needs no model is applied here, so that what the models see can fill the
answer. Where the area is thin, or the filters leave few, the ring widens by itself. Where places
are so dense that a look-up ends before its radius does, and the filters leave few of what it found,
they are asked of all places: a rare kind is found as far off as anybody may look.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Settings
from inference.course import Ask
from inference.filters import FAMILIARITY, REST, Condition, Mask, Metres, Rows, conditions
from inference.filters import arrival_s as arrival_s
from inference.person import Person
from online_features.catalogue import Catalogue
from online_features.history import HISTORY

#: So many of the nearest are looked up where a filter will take some out.
FILTERED_PLACES = 50_000


@dataclass(frozen=True)
class Nearby:
    """Places within a radius.

    Attributes:
        rows: catalogue rows, nearest first.
        distance_m: distance of each from the user.
        radius_m: radius that was searched; where there were more places within than may be looked
            at, that of the farthest that was.
        widened: whether that is more than the radius begun with.
        widest: whether no wider radius may be searched.
        taken_out: how many places of those looked up each condition took out, of those that the
            conditions before it had left; in the order in which they were applied.
        cut: whether the radius holds more places than were looked at.
    """

    rows: Rows
    distance_m: Metres
    radius_m: float
    widened: bool = False
    widest: bool = False
    taken_out: tuple[tuple[str, int], ...] = ()
    cut: bool = False

    @property
    def passed_over(self) -> int:
        """How many places within the radius the conditions took out together."""
        return sum(places for _, places in self.taken_out)

    def keep(self, field: str, mask: Mask) -> "Nearby":
        """Only the places under the mask of a condition."""
        if mask.all():
            return self
        kept = self.rows[mask]
        taken_out = (*self.taken_out, (field, len(self.rows) - len(kept)))
        return replace(self, rows=kept, distance_m=self.distance_m[mask], taken_out=taken_out)

    def nearest(self, most: int) -> "Nearby":
        """At most so many, the nearest; what is cut off was not filtered out."""
        if len(self.rows) <= most and not self.cut:
            return self
        rows, distance_m = self.rows[:most], self.distance_m[:most]
        seen_m = float(distance_m[-1]) if len(rows) else self.radius_m
        return replace(self, rows=rows, distance_m=distance_m, radius_m=seen_m)


class NearStage:
    """Looks around one spot for one query, in rings that grow."""

    def __init__(self, catalogue: Catalogue, settings: Settings, ask: Ask) -> None:
        query = ask.query
        self._catalogue = catalogue
        self._query = query
        farthest_m = query.max_distance_m or settings.max_radius_m
        self._widest_m = min(query.radius_m or settings.max_radius_m, farthest_m)
        self._start_m = min(query.radius_m or settings.radius_m, self._widest_m)
        self._shown = np.array(query.page.shown if query.page else (), np.uint64)
        # Resting and visited places, and those of the pages before, are taken out after the cut,
        # and must not leave the answer short.
        with_past = query.limit + HISTORY
        self._most = max(settings.near_places, with_past) + query.shown
        self._conditions = conditions(catalogue, query, ask.now_s)
        filtered = bool(self._conditions) or query.only_new or query.only_known
        self._reach = max(FILTERED_PLACES, self._most) if filtered else self._most
        self._enough = max(settings.candidates, with_past)
        #: What passes of all places, and what was taken out of those looked up; None: not asked.
        self._rare: tuple[Rows, tuple[tuple[str, int], ...]] | None = None

    def first(self) -> Nearby:
        """The first ring, with all conditions that need no knowledge of the user."""
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
        widened, widest = radius_m > self._start_m, radius_m >= self._widest_m
        if self._rare is not None:
            rows, taken_out = self._rare
            nothing = np.empty(0, np.float32)
            return self._of(rows, Nearby(rows[:0], nothing, radius_m, widened, widest, taken_out))
        rows, distance_m = self._catalogue.near(query.lat, query.lng, radius_m, self._reach)
        cut = len(rows) >= self._reach
        ring = self._unseen(Nearby(rows, distance_m, radius_m, widened, widest, cut=cut))
        for condition in self._conditions:
            ring = ring.keep(condition.field, condition.holds(ring.rows, ring.distance_m))
        if cut and self._conditions and len(ring.rows) < self._enough:
            self._rare = self._passing(np.arange(len(self._catalogue))), ring.taken_out
            return self._of(self._rare[0], ring)
        return ring

    def _passing(self, rows: Rows) -> Rows:
        """Those of some rows that fulfil all conditions that hold wherever the user is."""
        for condition in self._conditions:
            if not condition.on_arrival:
                rows = rows[condition.holds(rows, np.zeros(len(rows), np.float32))]
        return rows

    def _of(self, rows: Rows, ring: Nearby) -> Nearby:
        """The ring with those of some passing rows that are in it, instead of what it held."""
        query = self._query
        rows, distance_m = self._catalogue.among(rows, query.lat, query.lng, ring.radius_m)
        ring = self._unseen(replace(ring, rows=rows, distance_m=distance_m, cut=False))
        # Hours cost some time a place: they are asked of the nearest, until enough are open.
        for condition in self._conditions:
            if condition.on_arrival:
                ring = _nearest_that(condition, ring, self._most)
        return ring

    def _unseen(self, ring: Nearby) -> Nearby:
        """What the pages before have not shown: it was not filtered out, and counts as nothing."""
        if not len(self._shown):
            return ring
        new = ~self._is_one_of(ring.rows, self._shown)
        return replace(ring, rows=ring.rows[new], distance_m=ring.distance_m[new])

    def _is_one_of(self, rows: Rows, hashes: NDArray[np.uint64]) -> Mask:
        """Which of many rows are those of a few places."""
        return np.isin(rows, self._catalogue.rows_of(hashes))

    def _for(self, person: Person, ring: Nearby) -> Nearby:
        if len(person.resting):
            ring = ring.keep(REST, ~self._is_one_of(ring.rows, person.resting))
        if self._query.only_new or self._query.only_known:
            known = self._is_one_of(ring.rows, person.visited)
            ring = ring.keep(FAMILIARITY, known if self._query.only_known else ~known)
        if self._query.only_known and ring.cut:
            rows = self._catalogue.rows_of(np.setdiff1d(person.visited, person.resting))
            ring = self._of(self._passing(rows[rows >= 0]), ring)
        return ring


def _nearest_that(condition: Condition, ring: Nearby, most: int) -> Nearby:
    """Of a ring the nearest places for which a condition holds, at least `most` of them if all."""
    kept: list[Mask] = []
    for start in range(0, len(ring.rows), FILTERED_PLACES):
        part = slice(start, start + FILTERED_PLACES)
        kept.append(condition.holds(ring.rows[part], ring.distance_m[part]))
        if sum(int(mask.sum()) for mask in kept) >= most:
            break
    at = np.flatnonzero(np.concatenate(kept)) if kept else np.empty(0, np.int64)
    return replace(ring, rows=ring.rows[at], distance_m=ring.distance_m[at])
