"""Choice sets for listwise training: each choice beside all that could have been chosen instead.

Of the places that the user knows, (nearly) all are there, since which of them comes next is most of
the question; of the thousands of others some are drawn, near ones and popular ones oftener. How
often each place is expected in its set is kept, so that a softmax over the set can be corrected
to one over the whole city (logQ; Bengio and Senecal, 2008).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
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
AT_ONCE, _DRAWN_AT_ONCE = 500, 2**15
_MOST = 60_000
Report = Callable[[int], None]


@dataclass(frozen=True)
class ChoiceSets:
    """m choice sets, with what more is made of them; column 0 is what was chosen.

    One that was served has its features, and what was `told`, from the log, if they can be used;
    then nothing else needs to be known of it, and `crowd` and `users` are empty.

    Attributes:
        places: int32[m, SET], catalogue rows; -1 pads.
        log_expected: float32[m, SET], log of how often each place is expected in its set;
            `NOT_THERE` where it must not count.
        features: float16[m, SET, F], columns `RANKING_COLUMNS`.
        crowd: uint8[m, SET, 4], see `online_features.crowds`.
        users: `USER` states, [m].
        moments: m of them.
        told: float16[m, SET, len(PARTS)], what the candidate model told when they were served; NaN
            where it is not known. `None`: of none.
    """

    places: NDArray[np.int32]
    log_expected: NDArray[np.float32]
    features: NDArray[np.float16]
    crowd: NDArray[np.uint8]
    users: States
    moments: Moments
    told: NDArray[np.float16] | None = None

    def __len__(self) -> int:
        return len(self.places)

    def take(self, indices: NDArray[np.integer] | slice) -> Self:
        """The sets at some positions."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        taken = {name: held[indices] for name, held in columns.items() if name in self.ARRAYS}
        told = None if self.told is None else self.told[indices]
        return type(self)(**taken, moments=self.moments.take(indices), told=told)

    ARRAYS = ("places", "log_expected", "features", "crowd", "users")


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
    for start in range(0, len(moments), _DRAWN_AT_ONCE):
        drawn = np.arange(start, min(start + _DRAWN_AT_ONCE, len(moments)))
        places, log_expected = _places(city, moments.take(drawn), rng)
        for first in range(0, len(drawn), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            asked, rows = moments.take(drawn[part]), places[part]
            looks = look(replay, catalogue, asked, rows, pick(at, drawn[part]))
            yield ChoiceSets(
                places=rows.astype(np.int32),
                log_expected=log_expected[part],
                features=half(looks.features),
                crowd=looks.crowd,
                users=looks.users,
                moments=asked,
            )
            report(rows.size)


@dataclass(frozen=True)
class Looks:
    """What is known of k places at each of m moments.

    Attributes:
        users: `USER` states, [m].
        features: float32[m, k, F], columns `RANKING_COLUMNS`.
        crowd: uint8[m, k, 4], see `online_features.crowds`.
    """

    users: States
    features: NDArray[np.float32]
    crowd: NDArray[np.uint8]


def look(
    replay: Replay, catalogue: Catalogue, asked: Moments, rows: NDArray[np.int64], at: Situation
) -> Looks:
    """Play a log on, and look at places as they were.

    Args:
        replay: has not gone beyond the first moment.
        catalogue: all places.
        asked: m moments, ascending by `before`.
        rows: int64[m, k], catalogue rows of the places; -1 none.
        at: situations, [m].
    """
    hashes = np.r_[catalogue.hash, np.uint64(0)]
    users, states = replay.at(Queries(asked.before, asked.user, hashes[rows]))
    of, shape = np.repeat(np.arange(len(asked)), rows.shape[1]), (*rows.shape, -1)
    values = ranking_features(users, states, rows.ravel(), at, catalogue, of)
    crowd = crowd_of(states, asked.time_s[of])
    return Looks(users, values.reshape(shape), crowd.reshape(shape))


def half(values: NDArray[np.floating]) -> NDArray[np.float16]:
    """In half precision, held to what that holds."""
    held: NDArray[np.float16] = np.clip(values, -_MOST, _MOST).astype(np.float16)
    return held


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
