"""Training sets, point in time: what the service would have known at each past request.

One replay of the log answers for every row how user and place stood just before the moment, so
that a row is what the reader would have served. Ratings and review counts that places state, and
which places there were, are those of the moment, too (`Catalogue.changes`); all other metadata are
the one exception: they come from the catalogue as it is now.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.ahead import ahead
from models.moments import Moments, find_moments
from models.near import Neighbours
from models.negatives import PER_POSITIVE, Sampler
from models.split import DEFAULT_SPLIT, Parting
from models.training_rows import NO_EVENT, Choices, Dataset, Part, RankerRows
from online_features.archive import MakeArray
from online_features.catalogue import Catalogue
from online_features.columns import EventColumns
from online_features.context import ContextLog, Situation
from online_features.geo import distance_m
from online_features.history import HISTORY, history
from online_features.replay import Queries, States, point_in_time
from online_features.request import RANKING_COLUMNS, ranking_features

Report = Callable[[int], None]

#: Near negatives a choice for the candidate model, out of so many nearest places.
NEAR_EACH, NEAR_OF = 8, 1_000
#: Rows of the ranker a choice.
EACH = 1 + PER_POSITIVE
#: Given how many moments a part has, which of them are answered, or judged by.
Judged = Callable[[int], NDArray[np.int64]]


def build(
    log: EventColumns,
    catalogue: Catalogue,
    context: ContextLog,
    *,
    seed: int,
    max_events: int,
    stale_s: float,
    split: Parting = DEFAULT_SPLIT,
    train_rows: bool = True,
    judged: Judged = np.arange,
    answered: Judged = lambda count: np.arange(0),
    array: MakeArray = np.empty,
    report: Report = lambda rows: None,
) -> Dataset:
    """Make the training sets of a log.

    Args:
        log: sorted by time.
        seed: of the drawn moments and negatives.
        max_events: only choices among the newest so many events count (states see all events).
        stale_s: weather older than this is unknown, seconds.
        split: tells the parts.
        train_rows: whether the train and validation parts get rows and choices; they are most of
            the work, and models that learn from choice sets do not read them.
        judged: which moments of the test part get rows.
        answered: which of the validation part get them, even without `train_rows`.
        array: makes the large arrays, which are then filled (see `RowStore.array`).
        report: told the number of rows after each step.

    Raises:
        TooFewEvents: a part would be too small.
    """
    rng = np.random.default_rng(seed)
    parted = part(log, catalogue, rng, max_events=max_events, split=split)
    used, codes = parted.moments, parted.codes
    # More is drawn than is read: what is drawn must not depend on how many are judged.
    drawn_for = (codes > 0) | train_rows
    drawn = _Drawn.of(log, catalogue, used.take(drawn_for), rng)
    at = situations(context, catalogue, used, stale_s=stale_s)
    shown = np.full(len(used), train_rows)
    test = np.flatnonzero(codes == 2)
    shown[test] = False
    shown[test[judged(len(test))]] = True
    validation = np.flatnonzero(codes == 1)
    shown[validation[answered(len(validation))]] = True
    drawn = drawn.take(shown[drawn_for])
    asked = pick(at, np.flatnonzero(shown))
    ranker, choices = _replay(log, catalogue, drawn, asked, report, array)
    parts = [
        _part(used, at, ranker, choices, shown, slice(*np.searchsorted(codes, (part, part + 1))))
        for part in range(3)
    ]
    return Dataset(parts[0], parts[1], parts[2], drawn.near_of)


@dataclass(frozen=True)
class Parted:
    """The moments of choice of a log, in their parts.

    Attributes:
        moments: n of them, but for those that belong to no part.
        codes: int8[n], ascending: 0 train, 1 validation, 2 test.
    """

    moments: Moments
    codes: NDArray[np.int8]

    def of(self, *codes: int) -> Moments:
        """Those of some parts."""
        return self.moments.take(np.isin(self.codes, codes))


def part(
    log: EventColumns,
    catalogue: Catalogue,
    rng: np.random.Generator,
    *,
    max_events: int,
    split: Parting = DEFAULT_SPLIT,
) -> Parted:
    """Find the moments of choice among the newest so many events of a log, and part them.

    Raises:
        TooFewEvents: a part would be too small.
    """
    moments = find_moments(log, catalogue, rng)
    moments = moments.take(moments.before >= len(log) - max_events)
    codes = split.codes(moments)
    return Parted(moments.take(codes >= 0), codes[codes >= 0])


def _part(
    moments: Moments,
    at: Situation,
    ranker: RankerRows,
    choices: Choices,
    shown: NDArray[np.bool_],
    part: slice,
) -> Part:
    """A stretch of the moments, with its rows; nothing is copied."""
    first, end = np.count_nonzero(shown[: part.start]), np.count_nonzero(shown[: part.stop])
    return Part(
        moments.take(part),
        ranker.take(slice(EACH * first, EACH * end)),
        choices.take(slice(first, end)),
        Situation(**{f.name: getattr(at, f.name)[part] for f in fields(Situation)}),
        np.flatnonzero(shown[part]),
    )


def situations(
    context: ContextLog, catalogue: Catalogue, moments: Moments, *, stale_s: float
) -> Situation:
    """Weather and traffic at each moment, of the region of the nearest place."""
    nearest = Neighbours.of(catalogue, moments.lat, moments.lng, 1)
    region = catalogue.region[nearest.rows[:, 0]][nearest.cell]
    result = context.at(None, moments.lat, moments.lng, moments.time_s, stale_s=stale_s)
    for code in np.unique(region[region >= 0]).tolist():
        mine = region == code
        of_region = context.at(
            catalogue.regions[code],
            moments.lat[mine],
            moments.lng[mine],
            moments.time_s[mine],
            stale_s=stale_s,
        )
        for f in fields(Situation):
            getattr(result, f.name)[mine] = getattr(of_region, f.name)
    return result


def pick(at: Situation, indices: NDArray[np.integer]) -> Situation:
    """The situations at some positions."""
    return Situation(**{f.name: getattr(at, f.name)[indices] for f in fields(Situation)})


@dataclass(frozen=True)
class _Drawn:
    """All that chance decides of the rows, before any feature is known.

    Attributes:
        moments: m of them.
        places: int64[m, 5], catalogue rows: the choice, then its negatives.
        expected: float32[m, 5], see `Sampler.expected`.
        near: int32[m, NEAR_EACH] and near_reach_m float32[m], see `Choices`.
        near_of: how many nearest places `near` was drawn from.
    """

    moments: Moments
    places: NDArray[np.int64]
    expected: NDArray[np.float32]
    near: NDArray[np.int32]
    near_reach_m: NDArray[np.float32]
    near_of: int

    def take(self, mask: NDArray[np.bool_]) -> Self:
        """What was drawn for some of the moments."""
        kept = {
            f.name: getattr(self, f.name)[mask]
            for f in fields(self)
            if f.name not in ("moments", "near_of")
        }
        return replace(self, moments=self.moments.take(mask), **kept)

    @classmethod
    def of(
        cls, log: EventColumns, catalogue: Catalogue, moments: Moments, rng: np.random.Generator
    ) -> Self:
        sampler = Sampler(log, catalogue, moments, rng)
        places = np.concatenate([moments.place[:, None], sampler.draw()], axis=1)
        around = Neighbours.of(catalogue, moments.lat, moments.lng, NEAR_OF)
        return cls(
            moments,
            places,
            sampler.expected(places),
            around.draw(np.arange(len(moments)), NEAR_EACH, rng),
            around.reach_m[around.cell],
            around.rows.shape[1],
        )


def _replay(
    log: EventColumns,
    catalogue: Catalogue,
    drawn: _Drawn,
    at: Situation,
    report: Report,
    array: MakeArray,
) -> tuple[RankerRows, Choices]:
    """Rows of all moments from one pass over the log."""
    moments, place = drawn.moments, drawn.places.ravel()
    moment = np.repeat(np.arange(len(moments)), EACH)
    queries = Queries(moments.before, moments.user, catalogue.hash[drawn.places])
    features = array((len(place), len(RANKING_COLUMNS)), np.float32)
    past = _Past.empty(len(moments), array)
    for asked, users, places in ahead(point_in_time(log, queries)):
        mine = np.arange(asked.start, asked.stop)
        rows = slice(EACH * asked.start, EACH * asked.stop)
        of = moment[rows] - asked.start
        features[rows] = ranking_features(users, places, place[rows], pick(at, mine), catalogue, of)
        past.write(asked, users, moments.time_s[asked], catalogue)
        report(len(of))
    ranker = RankerRows(
        features=features,
        user=moments.user[moment],
        place=queries.place.ravel(),
        category=catalogue.category_hash[place],
        label=np.arange(len(place)) % EACH == 0,
        expected=drawn.expected.ravel(),
        group=moment,
        time_s=moments.time_s[moment],
    )
    return ranker, _choices(drawn, past, catalogue)


def _choices(drawn: _Drawn, past: "_Past", catalogue: Catalogue) -> Choices:
    moments = drawn.moments
    lat, lng = catalogue.lat[moments.place], catalogue.lng[moments.place]
    return Choices(
        history_row=past.row,
        history_age_s=past.age_s,
        history_kind=past.kind,
        place=moments.place.astype(np.int32),
        distance_m=distance_m(moments.lat, moments.lng, lat, lng).astype(np.float32),
        lat=moments.lat,
        lng=moments.lng,
        near=drawn.near,
        near_reach_m=drawn.near_reach_m,
    )


@dataclass(frozen=True)
class _Past:
    """Histories, written as they are replayed: [n, HISTORY] each, see `Choices`."""

    row: NDArray[np.int32]
    age_s: NDArray[np.float32]
    kind: NDArray[np.int8]

    @classmethod
    def empty(cls, count: int, array: MakeArray) -> Self:
        shape = (count, HISTORY)
        return cls(array(shape, np.int32), array(shape, np.float32), array(shape, np.int8))

    def write(
        self, part: slice, users: States, now_s: NDArray[np.float64], catalogue: Catalogue
    ) -> None:
        past = history(users)
        distinct, inverse = np.unique(past.ids, return_inverse=True)
        row = catalogue.rows_of(distinct)[inverse].reshape(past.ids.shape)
        self.row[part] = np.where(past.ids == 0, NO_EVENT, row)
        self.age_s[part], self.kind[part] = past.age_s(now_s), past.kind
