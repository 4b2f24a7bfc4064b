"""Choice sets for listwise training: each choice beside all that could have been chosen instead.

Of the places that the user knows, (nearly) all are there, since which of them comes next is most of
the question; of the thousands of others some are drawn, near ones and popular ones oftener. How
often each place is expected in its set is kept, so that a softmax over the set can be corrected
to one over the whole city (logQ; Bengio and Senecal, 2008).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.dataset import pick
from models.listwise import NOT_THERE
from models.moments import Moments
from models.near import Neighbours
from models.negatives import Visits
from online_features.archive import EventLog
from online_features.catalogue import Catalogue
from online_features.columns import VISIT
from online_features.context import Situation
from online_features.crowds import crowd_of
from online_features.geo import distance_m
from online_features.replay import Queries, Replay, States
from online_features.request import ranking_features

#: Known places of a set, the newest; a few users know more.
KNOWN = 48
#: Drawn places of a set, by how.
POPULAR, CLOSEST, CLOSE, ANYWHERE = 20, 12, 10, 8
DRAWN = POPULAR + CLOSEST + CLOSE + ANYWHERE
CLOSEST_OF, CLOSE_OF = 40, 400
SET = 1 + KNOWN + DRAWN
#: Requests whose places are replayed at once: some 120 MB of states. Places are drawn for more of
#: them at once, in some 300 MB.
_AT_ONCE, _DRAWN_AT_ONCE = 500, 2**15
Report = Callable[[int], None]


@dataclass(frozen=True)
class ChoiceSets:
    """m choice sets, with what more is made of them; column 0 is what was chosen.

    Attributes:
        places: int32[m, SET], catalogue rows; -1 pads.
        log_expected: float32[m, SET], log of how often each place is expected in its set;
            `NOT_THERE` where it must not count.
        features: float16[m, SET, F], columns `RANKING_COLUMNS`.
        crowd: uint8[m, SET, 4], see `online_features.crowds`.
        users: `USER` states, [m].
        moments: m of them.
    """

    places: NDArray[np.int32]
    log_expected: NDArray[np.float32]
    features: NDArray[np.float16]
    crowd: NDArray[np.uint8]
    users: States
    moments: Moments

    def __len__(self) -> int:
        return len(self.places)


def choice_sets(
    log: EventLog,
    catalogue: Catalogue,
    moments: Moments,
    at: Situation,
    rng: np.random.Generator,
    report: Report = lambda rows: None,
) -> Iterator[ChoiceSets]:
    """Choice sets of some moments, in their order, some at a time: so any number can be made.

    Args:
        log: sorted by time; a moment sees what lies before it.
        catalogue: all places.
        moments: ascending by `before`.
        at: weather and traffic of each.
        rng: draws the places that were not chosen.
        report: told the number of rows after each step.
    """
    city, replay = _City.of(log, catalogue), Replay(log, moments.user)
    hashes = np.r_[catalogue.hash, np.uint64(0)]
    for start in range(0, len(moments), _DRAWN_AT_ONCE):
        drawn = np.arange(start, min(start + _DRAWN_AT_ONCE, len(moments)))
        places, log_expected = _places(city, moments.take(drawn), rng)
        for first in range(0, len(drawn), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            asked, rows = moments.take(drawn[part]), places[part]
            users, states = replay.at(Queries(asked.before, asked.user, hashes[rows]))
            of, shape = np.repeat(np.arange(len(asked)), SET), (*rows.shape, -1)
            situation = pick(at, drawn[part])
            values = ranking_features(users, states, rows.ravel(), situation, catalogue, of)
            yield ChoiceSets(
                places=rows.astype(np.int32),
                log_expected=log_expected[part],
                features=np.clip(values, -60_000, 60_000).astype(np.float16).reshape(shape),
                crowd=crowd_of(states, asked.time_s[of]).reshape(shape),
                users=users,
                moments=asked,
            )
            report(rows.size)


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
    def of(cls, log: EventLog, catalogue: Catalogue) -> Self:
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
    of_known = np.where((known >= 0) & (known != moments.place[:, None]), 0.0, NOT_THERE)
    again = (drawn[:, :, None] == known[:, None, :]).any(axis=2)
    again |= (drawn == moments.place[:, None]) | city.catalogue.closed[drawn]
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
