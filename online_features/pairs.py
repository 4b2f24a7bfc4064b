"""Requests and their pairs with places: what features are made from, each thing worked out once.

What belongs to a request alone (its user's history, the weights of the past events) has one row a
request, whatever the number of its places; sums over the past events at a place, or at places of
a category, are looked up by pair.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from online_features.catalogue import Catalogue
from online_features.context import Situation
from online_features.definitions import FAVOURITES, NEVER_S, USER
from online_features.geo import metres_each
from online_features.habits import WEIGHTS
from online_features.history import History
from online_features.occasions import Occasions
from online_features.past_sums import Column, sums_at, times_at
from online_features.place_values import PlaceValues

#: Mean speed with which a place is reached, metres a second (30 minutes for 5 km).
ARRIVAL_SPEED_M_S = 2.8
_BEEN = WEIGHTS.index("been")


@dataclass(frozen=True)
class Asks:
    """r requests, each of a user in a situation.

    Attributes:
        users: [r], state of each request's user.
        at: situation of each request, [r].
        catalogue: where metadata come from.
        past: each request's history, [r, history].
    """

    users: NDArray[np.void]
    at: Situation
    catalogue: Catalogue
    past: History

    @cached_property
    def now_s(self) -> Column:
        """The moment of each request, Unix seconds, float64[r]."""
        return np.asarray(self.at.now_s, np.float64)

    @cached_property
    def _read(self) -> dict[str, NDArray[np.float32]]:
        """Features that were asked for so far."""
        return {}

    def feature(self, name: str) -> NDArray[np.float32]:
        """All columns of one feature of the users, [r, its columns]; read when first asked for."""
        if name not in self._read:
            self._read[name] = USER.read_feature(name, self.users, self.now_s)
        return self._read[name]

    def user(self, column: str) -> Column:
        """One column of the users, [r]."""
        feature, at = USER.owner[column]
        values: Column = self.feature(feature)[:, at]
        return values

    @cached_property
    def past_rows(self) -> NDArray[np.int64]:
        """Catalogue row of each place in the history, [r, history]; -1 none or unknown."""
        distinct, inverse = np.unique(self.past.ids, return_inverse=True)
        return self.catalogue.rows_of(distinct)[inverse].reshape(self.past.ids.shape)

    @cached_property
    def past_category(self) -> NDArray[np.int64]:
        """Category of each past event's place, [r, history]; -1 unknown."""
        return _category(self.catalogue, self.past_rows)

    @cached_property
    def occasions(self) -> Occasions:
        """The past events as occasions like this one, or unlike it."""
        return Occasions.of(self.past, self.past_rows, self.at, self.catalogue)


@dataclass(frozen=True)
class Pairs:
    """n pairs of a request and a place.

    Attributes:
        asks: the requests, [r].
        places: what the places' states say, [n].
        rows: int64[n], catalogue rows of the places, -1 not in it.
        of: int64[n], the request of each pair.
    """

    asks: Asks
    places: PlaceValues
    rows: NDArray[np.int64]
    of: NDArray[np.int64]

    @cached_property
    def now_s(self) -> Column:
        """The moment of each pair's request, Unix seconds, [n]."""
        return self.spread(self.asks.now_s)

    @cached_property
    def _meta(self) -> dict[str, Column]:
        """Columns of the catalogue that were asked for so far."""
        return {}

    def meta(self, column: str) -> Column:
        """One numeric column of the catalogue, [n], as it was known at the moment of each pair's
        request; NaN where the place is not in it."""
        if column not in self._meta:
            known = self.asks.catalogue.column_at(column, self.rows, self.now_s)
            values = known.astype(np.float64)
            self._meta[column] = np.where(self.rows >= 0, values, np.nan)
        return self._meta[column]

    def spread(self, of_request: Column) -> Column:
        """A value of each request, [r], as one of each pair, [n]."""
        values: Column = np.asarray(of_request)[self.of]
        return values

    @cached_property
    def category(self) -> NDArray[np.int64]:
        """Category of each pair's place, [n]; -1 unknown."""
        return _category(self.asks.catalogue, self.rows)

    def here(self, weights: list[int]) -> Column:
        """Sums of some of `WEIGHTS` over the past events at each pair's very place, [.., n]."""
        chosen = self.asks.occasions.weights[weights]
        return sums_at(self.asks.past_rows, chosen, self.of, self.rows)

    def alike(self, weights: list[int]) -> Column:
        """The same over those at places of the category of each pair's place."""
        chosen = self.asks.occasions.weights[weights]
        return sums_at(self.asks.past_category, chosen, self.of, self.category)

    @cached_property
    def visits_here(self) -> Column:
        """How many of the kept visits were at this very place, [n]."""
        visits: Column = self.here([_BEEN])[0]
        return visits

    @cached_property
    def _times_here(self) -> Column:
        asks = self.asks
        been = asks.occasions.weights[_BEEN]
        return times_at(asks.past_rows, been, asks.past.time_s, self.of, self.rows)

    @cached_property
    def since_here_s(self) -> Column:
        """Seconds since the last visit there, [n]; `NEVER_S` for none."""
        newest = self._times_here[0]
        return np.where(np.isfinite(newest), np.maximum(self.now_s - newest, 0.0), NEVER_S)

    @cached_property
    def first_here_s(self) -> Column:
        """Age of the oldest kept visit there, seconds, [n]; 0 for none."""
        oldest: Column = np.maximum(self.now_s - self._times_here[1], 0.0)
        return oldest

    @cached_property
    def favourite(self) -> Column:
        """Fading number of visits to this very place, over months, [n]."""
        asks = self.asks
        places, weight = FAVOURITES.read_places(asks.users["favourites"], asks.now_s)
        kept = np.asarray(weight, np.float64)[None]
        values: Column = sums_at(asks.catalogue.rows_of(places), kept, self.of, self.rows)[0]
        return values

    @cached_property
    def metres(self) -> Column:
        """Distance from the request to the place, [n]; NaN unknown."""
        return self.metres_from(self.asks.at.lat, self.asks.at.lng)

    def metres_from(self, lat: Column, lng: Column) -> Column:
        """Distance of each place from its request's point, [n]; degrees [r], NaN unknown."""
        return metres_each(self.spread(lat), self.spread(lng), self.meta("lat"), self.meta("lng"))

    @cached_property
    def open_state(self) -> NDArray[np.int8]:
        """Whether the place is open when the user arrives, [n]."""
        arrival_s = self.now_s + filled(self.metres, 0.0) / ARRIVAL_SPEED_M_S
        return self.asks.catalogue.open_state(self.rows, arrival_s)

    @cached_property
    def rating(self) -> Column:
        """Rating of the place: of its visitors, else its metadata's; NaN unknown."""
        own = np.where(
            self.places.column("rating_count") >= 3, self.places.column("rating_mean"), np.nan
        )
        return np.where(np.isnan(own), self.meta("rating"), own)


def ratio(top: Column, bottom: Column, missing: float = 0.0) -> Column:
    """top / bottom, and `missing` where the bottom is not above 0."""
    some = np.asarray(bottom) > 0
    return np.where(some, top / np.where(some, bottom, 1.0), missing)


def _category(catalogue: Catalogue, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(rows >= 0, catalogue.category[rows], -1).astype(np.int64)


def picked(values: Column, at: NDArray[np.int64]) -> Column:
    """Of each row of values [r, m], those at some positions [r, k]."""
    chosen: Column = values[np.arange(len(values))[:, None], at]
    return chosen


def log1p(values: Column) -> Column:
    """log(1 + value), values below 0 counting as 0."""
    return np.log1p(np.maximum(values, 0.0))


def log_km(metres: Column) -> Column:
    """log(1 + km); unknown is 0 with its own flag where that matters."""
    return np.log1p(np.where(np.isfinite(metres), metres, 0.0) / 1_000)


def filled(values: Column, missing: float) -> Column:
    """The values, and `missing` where one is NaN."""
    return np.where(np.isnan(values), missing, values)
