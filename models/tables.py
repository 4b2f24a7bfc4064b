"""What a city's log teaches about its places, as tables: their crowds, hours and neighbours.

Counts, smoothed, of the visits before a moment and nothing after it. The models read them inside
their graphs (`models.parts`); training rows read the tables of an earlier time than their own
(`models.choice_sets`), since a table that has counted a visit would give it away.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from online_features.catalogue import Catalogue
from online_features.columns import VISIT, EventColumns
from online_features.geo import EARTH_RADIUS_M
from online_features.rings import DAY_S, HOUR_S

Floats = NDArray[np.float32]
#: Neighbours kept of each place, the strongest.
NEIGHBOURS = 64
#: Of a user's places, the newest so many make co-visits: a courier's thousands would cost squares.
MOST_PLACES = 300
#: Width of "around this hour", hours; visits that draw a place to its category.
HOUR_SIGMA, HOUR_PRIOR, DAY_PRIOR, CATEGORY_PRIOR = 1.5, 10.0, 10.0, 20.0
#: Co-visits are shrunk by so many users; followers and company by so many steps.
CO_SHRINK, STEP_SHRINK, COMPANY_SHRINK = 3.0, 2.0, 5.0
#: A step to the next visit fades over this; visits of a user within a day are in company, up to
#: so many visits apart.
STEP_TAU_S, COMPANY_S, COMPANY_STEPS = 6 * HOUR_S, DAY_S, 5
#: A place's surroundings: what lies within so many metres, fading.
AROUND_M, AROUND_TAU_M, PAST_TAU_M = 600.0, 200.0, 400.0


@dataclass(frozen=True)
class Neighbours:
    """The strongest neighbours of each place by some relation.

    Attributes:
        row: int32[p, NEIGHBOURS], catalogue rows; -1 pads.
        weight: float32[p, NEIGHBOURS], 0 where padded.
    """

    row: NDArray[np.int32]
    weight: Floats

    @classmethod
    def of(cls, matrix: sparse.csr_matrix) -> Self:
        """The largest entries of each row, its own diagonal left out."""
        matrix = matrix.tocoo()
        other = (matrix.row != matrix.col) & (matrix.data > 0)
        row, column, data = matrix.row[other], matrix.col[other], matrix.data[other]
        order = np.lexsort((column, -data, row))
        row, column, data = row[order], column[order], data[order]
        first = np.r_[0, np.cumsum(np.bincount(row, minlength=matrix.shape[0]))[:-1]]
        rank = np.arange(len(row)) - first[row]
        kept = rank < NEIGHBOURS
        rows = np.full((matrix.shape[0], NEIGHBOURS), -1, np.int32)
        weights = np.zeros(rows.shape, np.float32)
        rows[row[kept], rank[kept]] = column[kept]
        weights[row[kept], rank[kept]] = data[kept]
        return cls(rows, weights)


@dataclass(frozen=True)
class Tables:
    """Of p places in c categories; the last category stands for "unknown".

    Attributes:
        hashes: uint64[p], ids of the places.
        category: int32[p], 0 to c - 1.
        visits, visitors, category_visits, around, density: float32[p], logarithms of: visits,
            distinct visitors, its category's share of all visits, visits around it, places
            around it.
        hour, category_hour, around_hour: float32[24, p], log of how much busier than usual.
        weekday: float32[7, p], likewise.
        follows: float32[c, c], log of how much likelier a category is after another one.
        shared: places visited by the same people.
        company: places visited by the same people within a day.
        next: places visited next.
        close: places close by.
    """

    hashes: NDArray[np.uint64]
    category: NDArray[np.int32]
    visits: Floats
    visitors: Floats
    category_visits: Floats
    around: Floats
    density: Floats
    hour: Floats
    category_hour: Floats
    around_hour: Floats
    weekday: Floats
    follows: Floats
    shared: Neighbours
    company: Neighbours
    next: Neighbours
    close: Neighbours

    @classmethod
    def learn(cls, log: EventColumns, catalogue: Catalogue, geography: "Geography") -> Self:
        """Tables of all visits in a log that is sorted by time."""
        visits = Visits.of(log, catalogue)
        count = np.bincount(visits.place, minlength=len(catalogue)).astype(np.float64)
        categories = len(catalogue.categories) + 1
        category = np.where(catalogue.category < 0, categories - 1, catalogue.category)
        by_hour = _smooth_hours(visits.counts(visits.time_s // HOUR_S % 24, 24))
        by_day = visits.counts((visits.time_s // DAY_S + 3) % 7, 7)
        category_hour = _by_category(by_hour, category, categories)
        usual = by_hour.sum(axis=0) / max(by_hour.sum(), 1.0) + 1e-6
        usual /= usual.sum()
        hours_of = _shrunk(category_hour, usual, CATEGORY_PRIOR)
        days_of = _shrunk(_by_category(by_day, category, categories), np.full(7, 1 / 7), DAY_PRIOR)
        around = geography.around @ count
        shares = _by_category(count[:, None], category, categories)[:, 0] / max(count.sum(), 1.0)
        seen = visits.distinct()
        return cls(
            hashes=catalogue.hash.copy(),
            category=category.astype(np.int32),
            visits=np.log1p(count).astype(np.float32),
            visitors=np.log1p(np.asarray(seen.sum(axis=0)).ravel()).astype(np.float32),
            category_visits=np.log(shares + 1e-4)[category].astype(np.float32),
            around=np.log1p(around).astype(np.float32),
            density=np.log1p(np.asarray(geography.around.sum(axis=1)).ravel()).astype(np.float32),
            hour=_log_lift(_shrunk(by_hour, hours_of[category], HOUR_PRIOR)),
            category_hour=_log_lift(hours_of[category]),
            around_hour=_log_lift(_shrunk(geography.around @ by_hour, usual, 24.0)),
            weekday=_log_lift(_shrunk(by_day, days_of[category], DAY_PRIOR)),
            follows=visits.follows(category, categories, shares),
            shared=Neighbours.of(_cosine(seen)),
            company=Neighbours.of(_per_row(visits.company(), COMPANY_SHRINK)),
            next=Neighbours.of(_per_row(visits.steps(), STEP_SHRINK)),
            close=geography.close,
        )


@dataclass(frozen=True)
class Geography:
    """What lies close to what; of the catalogue alone, so the same at any time.

    Attributes:
        around: [p, p] weights of the places around each, itself included.
        close: the closest places, by a slower fading weight.
    """

    around: sparse.csr_matrix
    close: Neighbours

    @classmethod
    def of(cls, catalogue: Catalogue) -> Self:
        """Of all places with a position, on a plane around the city's middle."""
        count = len(catalogue)
        known = np.flatnonzero(~np.isnan(catalogue.lat))
        lat, lng = np.radians(catalogue.lat[known]), np.radians(catalogue.lng[known])
        squeeze = np.cos(np.median(lat)) if len(lat) else 1.0
        points = EARTH_RADIUS_M * np.c_[lng * squeeze, lat]
        most = min(NEIGHBOURS + 1, len(known))
        if not most:
            empty = sparse.csr_matrix((count, count))
            return cls(sparse.identity(count, format="csr"), Neighbours.of(empty))
        metres, found = cKDTree(points).query(points, k=np.arange(1, most + 1))
        row, column = np.repeat(known, most), known[found.ravel()]
        metres = metres.ravel()
        near = metres <= AROUND_M
        around = sparse.csr_matrix(
            (np.exp(-metres[near] / AROUND_TAU_M), (row[near], column[near])), (count, count)
        )
        close = sparse.csr_matrix((np.exp(-metres / PAST_TAU_M), (row, column)), (count, count))
        return cls(around, Neighbours.of(close))


@dataclass(frozen=True)
class Visits:
    """Visits sorted by user, then time: codes of users and places, and times."""

    user: NDArray[np.int64]
    place: NDArray[np.int64]
    time_s: NDArray[np.float64]
    places: int

    @classmethod
    def of(cls, log: EventColumns, catalogue: Catalogue) -> Self:
        """Those at places of the catalogue; the log is sorted by time."""
        place = catalogue.rows_of(log.place)
        kept = np.flatnonzero((log.kind == VISIT) & (place >= 0))
        kept = kept[np.argsort(log.user[kept], kind="stable")]
        _, user = np.unique(log.user[kept], return_inverse=True)
        return cls(user, place[kept], log.time_s[kept], len(catalogue))

    def counts(self, code: NDArray[np.floating], codes: int) -> NDArray[np.float64]:
        """Visits by place and a small code, float64[places, codes]."""
        key = self.place * codes + code.astype(np.int64)
        return np.bincount(key, minlength=self.places * codes).reshape(-1, codes).astype(np.float64)

    def distinct(self) -> sparse.csr_matrix:
        """1 where a user visited a place (of its newest `MOST_PLACES` visits), [users, places]."""
        users = int(self.user.max(initial=-1)) + 1
        last = np.cumsum(np.bincount(self.user, minlength=users))
        newest = last[self.user] - np.arange(len(self.user)) <= MOST_PLACES
        user, place = self.user[newest], self.place[newest]
        seen = sparse.csr_matrix((np.ones(len(user)), (user, place)), (users, self.places))
        seen.data[:] = 1.0
        return seen

    def pairs(self, apart: int, within_s: float) -> tuple[NDArray[np.int64], ...]:
        """Earlier and later place of visits of a user so many apart, and the seconds between."""
        same = self.user[apart:] == self.user[:-apart]
        gap_s = self.time_s[apart:] - self.time_s[:-apart]
        other = self.place[apart:] != self.place[:-apart]
        kept = same & other & (gap_s <= within_s)
        return self.place[:-apart][kept], self.place[apart:][kept], gap_s[kept]

    def steps(self) -> sparse.csr_matrix:
        """Weight of going from one place to the next, [places, places]."""
        before, after, gap_s = self.pairs(1, np.inf)
        weight = np.exp(-gap_s / STEP_TAU_S)
        return sparse.csr_matrix((weight, (before, after)), (self.places, self.places))

    def company(self) -> sparse.csr_matrix:
        """Weight of being visited within a day of another place, [places, places]."""
        total = sparse.csr_matrix((self.places, self.places))
        for apart in range(1, COMPANY_STEPS + 1):
            before, after, _ = self.pairs(apart, COMPANY_S)
            weight = np.full(len(before), 1 / apart)
            one_way = sparse.csr_matrix((weight, (before, after)), total.shape)
            total = total + one_way + one_way.T
        return total.tocsr()

    def follows(
        self, category: NDArray[np.integer], categories: int, shares: NDArray[np.float64]
    ) -> Floats:
        """See `Tables.follows`."""
        before, after, gap_s = self.pairs(1, np.inf)
        counts = np.zeros((categories, categories))
        np.add.at(counts, (category[before], category[after]), np.exp(-gap_s / STEP_TAU_S))
        expected = shares + 1e-5
        likely = (counts + 5 * expected) / (counts.sum(axis=1, keepdims=True) + 5)
        lift: Floats = np.log(likely / expected + 0.05).astype(np.float32)
        return lift


def _cosine(seen: sparse.csr_matrix) -> sparse.csr_matrix:
    """Co-visits over the geometric mean of the visitors, shrunk; [places, places]."""
    together = (seen.T @ seen).tocoo()
    visitors = np.asarray(seen.sum(axis=0)).ravel()
    scale = np.sqrt(visitors[together.row] * visitors[together.col]) + CO_SHRINK
    return sparse.csr_matrix((together.data / scale, (together.row, together.col)), together.shape)


def _per_row(counts: sparse.csr_matrix, shrink: float) -> sparse.csr_matrix:
    total = np.asarray(counts.sum(axis=1)).ravel() + shrink
    return sparse.diags(1 / total) @ counts


def _smooth_hours(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts by hour, each visit spread over the hours around it; [n, 24]."""
    apart = np.minimum(np.arange(24), 24 - np.arange(24))
    bell = np.exp(-0.5 * (apart / HOUR_SIGMA) ** 2)
    bell /= bell.sum()
    smooth: NDArray[np.float64] = counts @ np.stack([np.roll(bell, h) for h in range(24)])
    return smooth


def _by_category(
    counts: NDArray[np.float64], category: NDArray[np.integer], categories: int
) -> NDArray[np.float64]:
    total = np.zeros((categories, counts.shape[1]))
    np.add.at(total, category, counts)
    return total


def _shrunk(
    counts: NDArray[np.float64], prior: NDArray[np.float64], weight: float
) -> NDArray[np.float64]:
    """Shares of each row, drawn to a prior by so many visits."""
    shares: NDArray[np.float64] = (counts + weight * prior) / (
        counts.sum(axis=1, keepdims=True) + weight
    )
    return shares


def _log_lift(shares: NDArray[np.float64]) -> Floats:
    """log(share times the number of bins), bins first: 0 is "as much as at any time"."""
    lift: Floats = np.log(shares.T * shares.shape[1] + 0.01).astype(np.float32)
    return lift
