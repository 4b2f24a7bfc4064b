"""Which places stand in a choice set, and how often each is expected: all that chance decides.

Nothing of it needs a feature, so that who makes the sets (the replay in one process, or Spark over
an archive of any size) draws the same places by the same numbers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.moments import Moments
from models.near import Neighbours
from models.negatives import Visits
from online_features.catalogue import Catalogue
from online_features.columns import VISIT, EventColumns
from online_features.geo import distance_m

#: Known places of a set, the newest; a few users know more.
KNOWN = 48
#: Drawn places of a set, by how.
POPULAR, CLOSEST, CLOSE, ANYWHERE = 20, 12, 10, 8
DRAWN = POPULAR + CLOSEST + CLOSE + ANYWHERE
CLOSEST_OF, CLOSE_OF = 40, 400
SET = 1 + KNOWN + DRAWN
#: log of the expected count of what must not count: as if it were there without end.
NOT_THERE = 80.0
#: Places are drawn for so many sets at once, in some 300 MB.
DRAWN_AT_ONCE = 2**15


@dataclass(frozen=True)
class DrawnSets:
    """The places of m choice sets; column 0 is what was chosen.

    Attributes:
        moments: m of them.
        at: int64[m], their positions among all moments that are drawn for.
        places: int64[m, SET], catalogue rows; -1 pads.
        log_expected: float32[m, SET], log of how often each place is expected in its set;
            `NOT_THERE` where it must not count.
    """

    moments: Moments
    at: NDArray[np.int64]
    places: NDArray[np.int64]
    log_expected: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.places)

    def parts(self, size: int) -> Iterator[Self]:
        """Some of them at a time, in order."""
        for first in range(0, len(self), size):
            part = slice(first, first + size)
            yield type(self)(
                self.moments.take(part), self.at[part], self.places[part], self.log_expected[part]
            )


def draw_sets(
    log: EventColumns, catalogue: Catalogue, moments: Moments, rng: np.random.Generator
) -> Iterator[DrawnSets]:
    """Draw the places of some moments' sets, in their order, `DRAWN_AT_ONCE` at a time.

    Args:
        log: sorted by time; a moment sees what lies before it.
        catalogue: all places.
        moments: ascending by `before`.
        rng: draws the places that were not chosen.
    """
    city = _City.of(log, catalogue)
    for start in range(0, len(moments), DRAWN_AT_ONCE):
        at = np.arange(start, min(start + DRAWN_AT_ONCE, len(moments)))
        asked = moments.take(at)
        yield DrawnSets(asked, at, *_places(city, asked, rng))


@dataclass(frozen=True)
class _City:
    """What drawing reads of a log, worked out once.

    Attributes:
        catalogue: all places.
        visits: of the log.
        visited: int64[events], catalogue row of each visit; -1 for other events.
        visits_before: int64[events + 1], visits among the first events.
    """

    catalogue: Catalogue
    visits: Visits
    visited: NDArray[np.int64]
    visits_before: NDArray[np.int64]

    @classmethod
    def of(cls, log: EventColumns, catalogue: Catalogue) -> Self:
        rows = catalogue.rows_of(log.place)
        visited = np.where(log.kind == VISIT, rows, -1)
        before = np.r_[0, np.cumsum(visited >= 0)]
        return cls(catalogue, Visits(log, rows, len(catalogue)), visited, before)


def _places(
    city: _City, moments: Moments, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    known = _known(city.visits, moments)
    drawn, expected = _drawn(city, moments, rng)
    places = np.concatenate([moments.place[:, None], known, drawn], axis=1)
    every = np.concatenate([moments.place[:, None], drawn], axis=1)
    chosen_known = (known == moments.place[:, None]).any(axis=1)
    log_expected = np.log(expected(every)).astype(np.float32)
    first = np.where(chosen_known, 0.0, log_expected[:, :1].T[0])
    time_s = moments.time_s[:, None]
    counts = (known >= 0) & (known != moments.place[:, None]) & ~city.catalogue.gone(known, time_s)
    of_known = np.where(counts, 0.0, NOT_THERE)
    again = (drawn[:, :, None] == known[:, None, :]).any(axis=2)
    again |= (drawn == moments.place[:, None]) | city.catalogue.gone(drawn, time_s)
    of_drawn = np.where(again, NOT_THERE, log_expected[:, 1:])
    both = np.concatenate([first[:, None], of_known, of_drawn], axis=1).astype(np.float32)
    return places, both


def _known(visits: Visits, moments: Moments) -> NDArray[np.int64]:
    """The newest distinct places that each user knows, int64[m, KNOWN]; -1 pads."""
    start, count = visits.of_user(moments.user, moments.before)
    looked_at = 2 * KNOWN
    back = np.arange(looked_at)
    there = back < count[:, None]
    at = np.where(there, start[:, None] + count[:, None] - 1 - back, 0)
    place = np.where(there, visits.place[at] if len(visits.place) else -1, -1)
    order = np.argsort(place, axis=1, kind="stable")  # equal places stay newest first
    ordered = np.take_along_axis(place, order, axis=1)
    first = np.c_[np.ones(len(place), bool), ordered[:, 1:] != ordered[:, :-1]] & (ordered >= 0)
    age = np.where(first, order, looked_at)
    newest = np.argsort(age, axis=1, kind="stable")[:, :KNOWN]
    kept = np.take_along_axis(first, newest, axis=1)
    return np.where(kept, np.take_along_axis(ordered, newest, axis=1), -1)


def _drawn(
    city: _City, moments: Moments, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Callable[[NDArray[np.int64]], NDArray[np.float64]]]:
    """Places drawn without regard to the user, and a function that tells their expected counts."""
    count, catalogue, visits = len(moments), city.catalogue, city.visits
    before = np.maximum(moments.before, 1)[:, None]
    popular = city.visited[(rng.random((count, POPULAR)) * before).astype(np.int64)]
    popular = np.where(popular >= 0, popular, rng.integers(0, len(catalogue), popular.shape))
    rings = [
        (Neighbours.of(catalogue, moments.lat, moments.lng, k), each)
        for k, each in ((CLOSEST_OF, CLOSEST), (CLOSE_OF, CLOSE))
    ]
    near = [ring.draw(np.arange(count), each, rng).astype(np.int64) for ring, each in rings]
    anywhere = rng.integers(0, len(catalogue), (count, ANYWHERE))
    seen_before = city.visits_before[moments.before][:, None] / before

    def expected(places: NDArray[np.int64]) -> NDArray[np.float64]:
        each = places.shape[1]
        flat = np.repeat(moments.before, each)
        share = visits.of_place(places.ravel(), flat).reshape(places.shape) / before
        total = POPULAR * share + (POPULAR * (1 - seen_before) + ANYWHERE) / len(catalogue)
        metres = distance_m(
            moments.lat[:, None],
            moments.lng[:, None],
            catalogue.lat[places],
            catalogue.lng[places],
        )
        for ring, drawn in rings:
            inside = metres <= ring.reach_m[ring.cell][:, None]
            total += inside * (drawn / ring.rows.shape[1])
        result: NDArray[np.float64] = total
        return result

    return np.concatenate([popular, *near, anywhere], axis=1), expected
