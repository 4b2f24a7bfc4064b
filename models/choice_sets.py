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

from models.ahead import ahead
from models.dataset import pick
from models.moments import Moments
from models.set_drawing import SET as SET
from models.set_drawing import DrawnSets, draw_sets
from online_features.catalogue import Catalogue
from online_features.columns import EventColumns
from online_features.context import Situation
from online_features.crowds import crowd_of
from online_features.place_values import PlaceValues
from online_features.replay import Queries, Replay, States
from online_features.request import ranking_features

#: Requests whose places are replayed at once: some 120 MB of states.
AT_ONCE = 500
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
    log: EventColumns,
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
    replay = Replay(log, moments.user)
    drawn = (
        some
        for several in draw_sets(log, catalogue, moments, rng)
        for some in several.parts(AT_ONCE)
    )
    # The log is played, features are read, and sets are used side by side.
    stood = (
        (some, _stood(replay, catalogue, some.moments, some.places, pick(at, some.at)))
        for some in drawn
    )
    looked = (made(some, they.look(catalogue)) for some, they in ahead(stood))
    for sets in ahead(looked):
        yield sets
        report(sets.places.size)


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
    return _stood(replay, catalogue, asked, rows, at).look(catalogue)


@dataclass(frozen=True)
class _Stood:
    """How users and places stood: what `seen` takes."""

    users: States
    places: States
    crowd: NDArray[np.uint8]
    rows: NDArray[np.int64]
    at: Situation

    def look(self, catalogue: Catalogue) -> Looks:
        """What is known of them."""
        return seen(self.users, self.places, self.crowd, self.rows, self.at, catalogue)


def _stood(
    replay: Replay, catalogue: Catalogue, asked: Moments, rows: NDArray[np.int64], at: Situation
) -> _Stood:
    users, places = replay.at(Queries(asked.before, asked.user, hashes_of(catalogue, rows)))
    crowd = crowd_of(places, np.repeat(at.now_s, rows.shape[1]))
    return _Stood(users, places, crowd, rows, at)


def hashes_of(catalogue: Catalogue, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hashes of places by row, 0 for -1, which no place has."""
    hashes: NDArray[np.uint64] = np.r_[catalogue.hash, np.uint64(0)][rows]
    return hashes


def seen(
    users: States,
    places: States | PlaceValues,
    crowd: NDArray[np.uint8],
    rows: NDArray[np.int64],
    at: Situation,
    catalogue: Catalogue,
) -> Looks:
    """What m requests see of k places each, whoever told how user and places stood.

    Args:
        users: `USER` states, [m].
        places: states [m * k], those of one request after those of another, or what they say.
        crowd: uint8[m * k, 4], of the same.
        rows: int64[m, k], catalogue rows of the places; -1 none.
        at: situations, [m].
        catalogue: all places.
    """
    of, shape = np.repeat(np.arange(len(rows)), rows.shape[1]), (*rows.shape, -1)
    values = ranking_features(users, places, rows.ravel(), at, catalogue, of)
    return Looks(users, values.reshape(shape), crowd.reshape(shape))


def made(drawn: DrawnSets, looks: Looks) -> ChoiceSets:
    """Choice sets of what was drawn and what was seen of it."""
    return ChoiceSets(
        places=drawn.places.astype(np.int32),
        log_expected=drawn.log_expected,
        features=half(looks.features),
        crowd=looks.crowd,
        users=looks.users,
        moments=drawn.moments,
    )


def half(values: NDArray[np.floating]) -> NDArray[np.float16]:
    """In half precision, held to what that holds."""
    held: NDArray[np.float16] = np.clip(values, -_MOST, _MOST).astype(np.float16)
    return held
