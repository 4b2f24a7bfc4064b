"""Training sets, point in time: what the service would have known at each past request.

One replay of the log answers for every row how user and place stood just before the moment, so
that a row is what the reader would have served. Metadata are the one exception: they come from
the catalogue as it is now.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.moments import Moments, find_moments
from models.near import Neighbours
from models.negatives import PER_POSITIVE, Sampler
from models.split import DEFAULT_SPLIT, Parting
from online_features.archive import EventLog
from online_features.catalogue import Catalogue
from online_features.context import ContextLog, Situation
from online_features.geo import distance_m
from online_features.history import history
from online_features.replay import Queries, point_in_time
from online_features.request import RANKING_COLUMNS, ranking_features

#: Catalogue row that stands for "no event" in a history; -1 is a place not in the catalogue.
NO_EVENT = -2
Report = Callable[[int], None]


class _Columns:
    """Parallel arrays that are picked from together."""

    def take(self, indices: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Self:
        """The rows at some positions, or under a mask."""
        picked = {f.name: getattr(self, f.name)[indices] for f in fields(self)}  # type: ignore[arg-type]
        return type(self)(**picked)


@dataclass(frozen=True)
class RankerRows(_Columns):
    """Rows for the ranker: each choice and its four negatives.

    Attributes:
        features: float32[n, F], columns `RANKING_COLUMNS`.
        user, place, category: uint64[n] id hashes, 0 none.
        label: bool[n], whether the place was chosen.
        expected: float32[n], how often the place is expected among its request's negatives.
        group: int64[n], which request a row belongs to.
        time_s: float64[n], the moment.
    """

    features: NDArray[np.float32]
    user: NDArray[np.uint64]
    place: NDArray[np.uint64]
    category: NDArray[np.uint64]
    label: NDArray[np.bool_]
    expected: NDArray[np.float32]
    group: NDArray[np.int64]
    time_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class Choices(_Columns):
    """Rows for the candidate model: one a choice.

    Attributes:
        history_row: int32[n, 144], catalogue rows, newest first; -1 unknown, `NO_EVENT`.
        history_age_s: float32[n, 144], seconds since.
        history_kind: int8[n, 144], index in `EVENT_TYPES`.
        place: int32[n], catalogue row of the choice.
        distance_m: float32[n], from the request to it.
        lat, lng: float64[n], of the request.
        near: int32[n, k], catalogue rows drawn evenly from the nearest places.
        near_reach_m: float32[n], how far those reach.
    """

    history_row: NDArray[np.int32]
    history_age_s: NDArray[np.float32]
    history_kind: NDArray[np.int8]
    place: NDArray[np.int32]
    distance_m: NDArray[np.float32]
    lat: NDArray[np.float64]
    lng: NDArray[np.float64]
    near: NDArray[np.int32]
    near_reach_m: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.place)


@dataclass(frozen=True)
class Part:
    """One of train, validation, test: the moments, their weather, and both models' rows of them."""

    moments: Moments
    ranker: RankerRows
    choices: Choices
    at: Situation


@dataclass(frozen=True)
class Dataset:
    """What a pair of models is trained and judged on.

    Attributes:
        train, validation, test: in the order of time.
        near_places: how many nearest places `Choices.near` was drawn from.
    """

    train: Part
    validation: Part
    test: Part
    near_places: int


#: Near negatives a choice for the candidate model, out of so many nearest places.
NEAR_EACH, NEAR_OF = 8, 1_000
#: Rows of the ranker a choice.
EACH = 1 + PER_POSITIVE


def build(
    log: EventLog,
    catalogue: Catalogue,
    context: ContextLog,
    *,
    seed: int,
    max_events: int,
    stale_s: float,
    split: Parting = DEFAULT_SPLIT,
    train_rows: bool = True,
    report: Report = lambda rows: None,
) -> Dataset:
    """Make the training sets of a log.

    Args:
        log: sorted by time.
        seed: of the drawn moments and negatives.
        max_events: only choices among the newest so many events count (states see all events).
        stale_s: weather older than this is unknown, seconds.
        split: tells the parts.
        train_rows: whether the train part gets rows and choices; they are most of the work, and
            models that learn from choice sets do not read them.
        report: told the number of rows after each step.

    Raises:
        TooFewEvents: a part would be too small.
    """
    rng = np.random.default_rng(seed)
    moments = find_moments(log, catalogue, rng)
    moments = moments.take(moments.before >= len(log) - max_events)
    codes = split.codes(moments)
    used, codes = moments.take(codes >= 0), codes[codes >= 0]
    shown = (codes > 0) | train_rows
    drawn = _Drawn.of(log, catalogue, used.take(shown), rng)
    at = situations(context, catalogue, used, stale_s=stale_s)
    ranker, choices = _replay(log, catalogue, drawn, pick(at, np.flatnonzero(shown)), report)
    parts = [
        Part(
            used.take(mine),
            ranker.take(np.repeat(mine[shown], EACH)),
            choices.take(mine[shown]),
            pick(at, np.flatnonzero(mine)),
        )
        for mine in (codes == part for part in range(3))
    ]
    return Dataset(parts[0], parts[1], parts[2], drawn.near_of)


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

    @classmethod
    def of(
        cls, log: EventLog, catalogue: Catalogue, moments: Moments, rng: np.random.Generator
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
    log: EventLog, catalogue: Catalogue, drawn: _Drawn, at: Situation, report: Report
) -> tuple[RankerRows, Choices]:
    """Rows of all moments from one pass over the log."""
    moments, place = drawn.moments, drawn.places.ravel()
    moment = np.repeat(np.arange(len(moments)), EACH)
    queries = Queries(moments.before, moments.user, catalogue.hash[drawn.places])
    features = np.empty((len(place), len(RANKING_COLUMNS)), np.float32)
    pasts: list[tuple[NDArray[np.generic], ...]] = []
    for asked, users, places in point_in_time(log, queries):
        mine = np.arange(asked.start, asked.stop)
        rows = slice(EACH * asked.start, EACH * asked.stop)
        of = moment[rows] - asked.start
        features[rows] = ranking_features(users, places, place[rows], pick(at, mine), catalogue, of)
        pasts.append(_history_columns(users, moments.time_s[asked], catalogue))
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
    return ranker, _choices(drawn, pasts, catalogue)


def _choices(
    drawn: _Drawn, pasts: list[tuple[NDArray[np.generic], ...]], catalogue: Catalogue
) -> Choices:
    moments = drawn.moments
    row, age_s, kind = (np.concatenate(column) for column in zip(*pasts, strict=True))
    lat, lng = catalogue.lat[moments.place], catalogue.lng[moments.place]
    return Choices(
        history_row=row,
        history_age_s=age_s,
        history_kind=kind,
        place=moments.place.astype(np.int32),
        distance_m=distance_m(moments.lat, moments.lng, lat, lng).astype(np.float32),
        lat=moments.lat,
        lng=moments.lng,
        near=drawn.near,
        near_reach_m=drawn.near_reach_m,
    )


def _history_columns(
    users: NDArray[np.void], now_s: NDArray[np.float64], catalogue: Catalogue
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int8]]:
    """Catalogue rows, ages and kinds of the users' histories."""
    past = history(users)
    distinct, inverse = np.unique(past.ids, return_inverse=True)
    row = catalogue.rows_of(distinct)[inverse].reshape(past.ids.shape)
    row = np.where(past.ids == 0, NO_EVENT, row)
    return row.astype(np.int32), past.age_s(now_s), past.kind
