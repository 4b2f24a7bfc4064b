"""Places that a user did not choose: four for each one chosen, half random, half hard.

Random are one place drawn evenly from the catalogue and one by its visits so far, which keeps
popularity alone from telling positives apart. Hard are one place near the user and one that
the user knows (has visited before), chosen or not by that user at other times. "Not visited"
means on this occasion: were a user's own places never among the negatives, "visited before"
would be a sure sign of a positive, and the ranker could not tell which of the known places is
next.

The four are no fair sample of what could have been chosen: a known place stands among them
hundreds of times as often as some place in the city. So the expected count of every row's place
is kept (`Sampler.expected`), and the ranker's training takes it into account.
"""

import numpy as np
from numpy.typing import NDArray

from models.moments import LEAD_S, Moments
from models.near import Neighbours
from online_features.catalogue import Catalogue
from online_features.columns import VISIT, EventColumns
from online_features.geo import distance_m

PER_POSITIVE = 4
#: "Near" is one of so many nearest places.
NEAR_PLACES = 300
#: "Known" is one of so many newest visits.
KNOWN_VISITS = 64
_TRIES = 8


class _Counter:
    """Counts how often codes were seen before given positions.

    Args:
        code: int64[v] >= 0, what was seen.
        position: int64[v] >= 0, where.
    """

    def __init__(self, code: NDArray[np.int64], position: NDArray[np.int64]) -> None:
        self._most = int(position.max(initial=0)) + 2
        self._seen = np.sort(code * self._most + position)

    def before(self, code: NDArray[np.int64], position: NDArray[np.int64]) -> NDArray[np.int64]:
        """How often each code was seen at an earlier position; 0 for code -1."""
        at = np.clip(position, 0, self._most - 1)
        counted = np.searchsorted(self._seen, code * self._most + at)
        first = np.searchsorted(self._seen, code * self._most)
        return np.where(code >= 0, counted - first, 0)


class Visits:
    """The visits of a log, ready to be asked by user, place and moment.

    Args:
        log: sorted by time.
        rows: int64[len(log)], catalogue row of each event's place, -1 unknown.
        places: rows of the catalogue.
    """

    def __init__(self, log: EventColumns, rows: NDArray[np.int64], places: int) -> None:
        position = np.flatnonzero((log.kind == VISIT) & (rows >= 0))
        position = position[np.argsort(log.user[position], kind="stable")]
        self._places = places
        self._users, self._start = np.unique(log.user[position], return_index=True)
        lengths = np.diff(np.r_[self._start, len(position)])
        user = np.repeat(np.arange(len(self._users)), lengths)
        ordinal = np.arange(len(position)) - np.repeat(self._start, lengths)
        #: Catalogue rows of the visits, by user, then time.
        self.place = rows[position]
        self._by_user = _Counter(user, position)
        self._by_place = _Counter(self.place, position)
        self._by_pair = _Counter(self._pair(user, self.place), ordinal)

    def of_user(
        self, user: NDArray[np.uint64], before: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where each user's visits begin in `place`, and how many lie before a log position."""
        code = self._code(user)
        start = np.r_[self._start, 0][code]
        return start, self._by_user.before(code, before)

    def of_place(self, place: NDArray[np.int64], before: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many visits each place had before a log position."""
        return self._by_place.before(place, before)

    def newest_at(
        self, user: NDArray[np.uint64], place: NDArray[np.int64], before: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """How many of each user's newest `KNOWN_VISITS` before a position were at a place."""
        code = self._code(user)
        pair = np.where(code >= 0, self._pair(code, place), -1)
        count = self._by_user.before(code, before)
        older = self._by_pair.before(pair, count - KNOWN_VISITS)
        return self._by_pair.before(pair, count) - older

    def _code(self, user: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Index in the users with visits, -1 for others."""
        if not len(self._users):
            return np.full(len(user), -1, np.int64)
        code = np.minimum(np.searchsorted(self._users, user), len(self._users) - 1)
        return np.where(self._users[code] == user, code, -1).astype(np.int64)

    def _pair(self, code: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.int64]:
        return code * self._places + place


class Sampler:
    """Draws the places that were not chosen, for moments of one log."""

    def __init__(
        self, log: EventColumns, catalogue: Catalogue, moments: Moments, rng: np.random.Generator
    ) -> None:
        rows = catalogue.rows_of(log.place)
        self._rng = rng
        self._moments = moments
        self._catalogue = catalogue
        self._visits = Visits(log, rows, len(catalogue))
        self._visit_row = np.where(log.kind == VISIT, rows, -1)
        self._visits_before = np.r_[0, np.cumsum(self._visit_row >= 0)]
        self._open = np.flatnonzero(catalogue.ever_open)
        self._near = Neighbours.of(catalogue, moments.lat, moments.lng, NEAR_PLACES)
        self._occasion = _Occasions(log, rows, len(catalogue))

    def draw(self) -> NDArray[np.int64]:
        """Catalogue rows, int64[moments, 4]: anywhere, popular, near, known."""
        kinds = (self._anywhere, self._popular, self._nearby, self._known)
        result = np.empty((len(self._moments), PER_POSITIVE), np.int64)
        for column, kind in enumerate(kinds):
            open_ = np.arange(len(self._moments))
            for attempt in range(_TRIES):
                # A user with one habit has no other known place: then another kind stands in.
                draw = kind if attempt < _TRIES // 2 else self._anywhere
                result[open_, column] = draw(open_)
                open_ = open_[self._is_chosen(open_, result[open_, column])]
                if not len(open_):
                    break
        return result

    def expected(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """How often each place is expected among the four of its moment.

        Repeats of a draw that hit a chosen place are left out of the reckoning.

        Args:
            places: int64[moments, k], catalogue rows.

        Returns:
            float32[moments, k], above 0.
        """
        moments, each = self._moments, places.shape[1]
        place, shape = places.ravel(), places.shape
        user, before = np.repeat(moments.user, each), np.repeat(moments.before, each)
        anywhere = 1 / len(self._open)
        past = np.maximum(before, 1)
        popular = self._visits.of_place(place, before) / past
        # Other events than visits stand for a place from anywhere.
        popular += anywhere * (1 - self._visits_before[before] / past)
        metres = distance_m(
            np.repeat(moments.lat, each),
            np.repeat(moments.lng, each),
            self._catalogue.lat[place],
            self._catalogue.lng[place],
        )
        near = self._near
        reach_m = np.repeat(near.reach_m[near.cell], each)
        nearby = np.where(metres <= reach_m, 1 / near.rows.shape[1], 0.0)
        _, count = self._visits.of_user(user, before)
        newest = self._visits.newest_at(user, place, before)
        known = np.where(count > 0, newest / np.clip(count, 1, KNOWN_VISITS), nearby)
        total: NDArray[np.float32] = (anywhere + popular + nearby + known).astype(np.float32)
        return total.reshape(shape)

    def _is_chosen(self, which: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.bool_]:
        moments = self._moments
        same: NDArray[np.bool_] = place == moments.place[which]
        same |= self._catalogue.gone(place, moments.time_s[which])
        return same | self._occasion.visited(moments.user[which], place, moments.time_s[which])

    def _anywhere(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._rng.choice(self._open, len(which))

    def _popular(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """The place of a random earlier visit by anyone."""
        before = np.maximum(self._moments.before[which], 1)
        place = self._visit_row[self._rng.integers(0, before)]
        return np.where(place >= 0, place, self._anywhere(which))

    def _nearby(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._near.draw(which, 1, self._rng)[:, 0].astype(np.int64)

    def _known(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """The place of a random one of the user's newest visits, else a near one."""
        start, count = self._visits.of_user(self._moments.user[which], self._moments.before[which])
        back = self._rng.integers(0, np.clip(count, 1, KNOWN_VISITS))
        at = np.maximum(start + count - 1 - back, 0)
        if not len(self._visits.place):
            return self._nearby(which)
        return np.where(count > 0, self._visits.place[at], self._nearby(which))


class _Occasions:
    """Tells whether a user visited a place within `LEAD_S` of a moment."""

    def __init__(self, log: EventColumns, rows: NDArray[np.int64], places: int) -> None:
        visit = np.flatnonzero((log.kind == VISIT) & (rows >= 0))
        self._users = np.unique(log.user[visit])
        self._places = places
        self._first_s = float(log.time_s[0]) if len(log) else 0.0
        pair = self._pair(log.user[visit], rows[visit])
        self._pairs, code = np.unique(pair, return_inverse=True)
        self._stamps = np.sort(self._stamp(code, log.time_s[visit]))

    def visited(
        self, user: NDArray[np.uint64], place: NDArray[np.int64], time_s: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        if not len(self._pairs):
            return np.zeros(len(user), bool)
        pair = self._pair(user, place)
        code = np.minimum(np.searchsorted(self._pairs, pair), len(self._pairs) - 1)
        since = np.searchsorted(self._stamps, self._stamp(code, time_s - LEAD_S), side="left")
        until = np.searchsorted(self._stamps, self._stamp(code, time_s + LEAD_S), side="right")
        result: NDArray[np.bool_] = (self._pairs[code] == pair) & (until > since)
        return result

    def _pair(self, user: NDArray[np.uint64], place: NDArray[np.int64]) -> NDArray[np.int64]:
        code = np.searchsorted(self._users, user)
        known = self._users[np.minimum(code, max(len(self._users) - 1, 0))] == user
        return np.where(known, code * self._places + place, -1)

    def _stamp(self, code: NDArray[np.int64], time_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """Pair and second as one integer, 33 bits of which are seconds since the log's start."""
        second = np.clip(time_s - self._first_s, 0, 2**33 - 1).astype(np.int64)
        return code.astype(np.int64) * 2**33 + second
