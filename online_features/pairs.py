"""Requests and their pairs with places: what features are made from, each thing worked out once.

What belongs to a request alone (its user's history, the weights of the past events) has one row a
request, whatever the number of its places; sums over the past events at a place, or at places of
a category, are looked up by place. So 200 places cost little more than one, and a training set
of millions of rows no [rows, history] array.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from online_features.catalogue import Catalogue
from online_features.columns import RATE, VISIT
from online_features.context import Situation
from online_features.definitions import FAVOURITES, USER
from online_features.geo import distance_m
from online_features.history import History, history
from online_features.past_sums import Column, PastSums
from online_features.place_values import PlaceValues
from online_features.rings import DAY_S, HOUR_S

Flags = NDArray[np.bool_]
#: How fast a taste fades, and how fast what was just looked at does.
TASTE_TAU_S = 21.0 * DAY_S
INTENT_TAU_S = 0.5 * HOUR_S
#: Width of "around this hour", hours.
HOUR_SIGMA = 1.5
#: Mean speed with which a place is reached, metres a second (30 minutes for 5 km).
ARRIVAL_SPEED_M_S = 2.8


@dataclass(frozen=True)
class Asks:
    """r requests, each of a user in a situation.

    Attributes:
        users: [r], state of each request's user.
        at: situation of each request, [r].
        catalogue: where metadata come from.
    """

    users: NDArray[np.void]
    at: Situation
    catalogue: Catalogue

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
    def past(self) -> History:
        """Each request's history, [r, history]."""
        return history(self.users)

    @cached_property
    def past_rows(self) -> NDArray[np.int64]:
        """Catalogue row of each place in the history, [r, history]; -1 none or unknown."""
        distinct, inverse = np.unique(self.past.ids, return_inverse=True)
        return self.catalogue.rows_of(distinct)[inverse].reshape(self.past.ids.shape)

    @cached_property
    def past_age_s(self) -> Column:
        """Age of each past event, [r, history]."""
        return self.past.age_s(self.now_s)

    @cached_property
    def been(self) -> Flags:
        """Which of the history were visits (or ratings), [r, history]."""
        kind = self.past.kind
        been: Flags = (self.past.ids != 0) & ((kind == VISIT) | (kind == RATE))
        return been

    @cached_property
    def taste_weight(self) -> Column:
        """Weight of each past visit, fading over weeks; [r, history]."""
        return np.where(self.been, np.exp(-self.past_age_s / TASTE_TAU_S), 0.0)

    @cached_property
    def intent_weight(self) -> Column:
        """Weight of each past event of any kind, fading over minutes; [r, history]."""
        return np.where(self.past.ids != 0, np.exp(-self.past_age_s / INTENT_TAU_S), 0.0)

    def around(self, sigma_h: float, period_h: float = 24.0) -> Column:
        """How near each past event was to this moment of the day (or week), 0 to 1; [r, history].

        A bell over the hours apart, of width `sigma_h`. Do not write to it: columns share it.
        """
        near = self._bells.get((sigma_h, period_h))
        if near is None:
            near = np.exp(-0.5 * (self._apart_h(period_h) / sigma_h) ** 2)
            self._bells[sigma_h, period_h] = near
        return near

    def _apart_h(self, period_h: float) -> Column:
        """Hours between each past event and this moment, around the clock of a period."""
        apart = self._clocks.get(period_h)
        if apart is None:
            apart = np.abs(self.past.time_s - self.now_s[:, None]) / HOUR_S % period_h
            self._clocks[period_h] = apart = np.minimum(apart, period_h - apart)
        return apart

    @cached_property
    def _bells(self) -> dict[tuple[float, float], Column]:
        return {}

    @cached_property
    def _clocks(self) -> dict[float, Column]:
        return {}

    @cached_property
    def hour_weight(self) -> Column:
        """How near each past event was to this hour of the day, 0 to 1; [r, history]."""
        return self.around(HOUR_SIGMA)

    @cached_property
    def past_category(self) -> NDArray[np.int64]:
        """Category of each past event's place, [r, history]; -1 unknown."""
        known = self.past_rows >= 0
        return np.where(known, self.catalogue.category[self.past_rows], -1).astype(np.int64)

    @cached_property
    def newest(self) -> NDArray[np.int64]:
        """Position in the history of the newest visit, [r]; 0 where there is none."""
        newest: NDArray[np.int64] = np.argmax(self.been, axis=1)
        return newest

    @cached_property
    def last_row(self) -> NDArray[np.int64]:
        """Catalogue row of the place visited last, [r]; -1 none or unknown."""
        rows = np.where(self.been, self.past_rows, -1)
        last: NDArray[np.int64] = picked(rows, self.newest[:, None])[:, 0]
        return last

    @cached_property
    def past_lat_lng(self) -> tuple[Column, Column]:
        """Where the past visits were, degrees, [r, history]; NaN unknown or no visit."""
        known = self.been & (self.past_rows >= 0)
        lat = np.where(known, self.catalogue.lat[self.past_rows], np.nan)
        lng = np.where(known, self.catalogue.lng[self.past_rows], np.nan)
        return lat, lng

    @cached_property
    def centre(self) -> tuple[Column, Column, Column]:
        """Latitude, longitude and radius in metres of where the user goes, [r]; NaN unknown.

        Medians, so that one far trip moves neither.
        """
        lat, lng = self.past_lat_lng
        mid_lat, mid_lng = _nanmedian(lat), _nanmedian(lng)
        radius = _nanmedian(distance_m(mid_lat[:, None], mid_lng[:, None], lat, lng))
        return mid_lat, mid_lng, radius

    @cached_property
    def price_taste(self) -> Column:
        """Mean price level of what the user visits, fading, [r]; NaN unknown."""
        price = self.catalogue.price[self.past_rows]
        weight = np.where((self.past_rows >= 0) & ~np.isnan(price), self.taste_weight, 0.0)
        return ratio((weight * filled(price, 0.0)).sum(axis=1), weight.sum(axis=1), np.nan)


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
    def here(self) -> PastSums:
        """The past events at each pair's very place."""
        return PastSums.of(self.asks.past_rows, self.of, self.rows)

    @cached_property
    def category(self) -> NDArray[np.int64]:
        """Category of each pair's place, [n]; -1 unknown."""
        return np.where(self.rows >= 0, self.asks.catalogue.category[self.rows], -1).astype(
            np.int64
        )

    @cached_property
    def alike(self) -> PastSums:
        """The past events at places of the category of each pair's place."""
        return PastSums.of(self.asks.past_category, self.of, self.category)

    @cached_property
    def favourite(self) -> Column:
        """Fading number of visits to this very place, over months, [n]."""
        asks = self.asks
        places, weight = FAVOURITES.read_places(asks.users["favourites"], asks.now_s)
        at = PastSums.of(asks.catalogue.rows_of(places), self.of, self.rows)
        values: Column = at.spread(at.sums(weight[None]), np.zeros(1))[0]
        return values

    @cached_property
    def metres(self) -> Column:
        """Distance from the request to the place, [n]; NaN unknown."""
        lat, lng = self.spread(self.asks.at.lat), self.spread(self.asks.at.lng)
        return distance_m(lat, lng, self.meta("lat"), self.meta("lng"))

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


def _nanmedian(values: Column) -> Column:
    """Lower median of each row, NaN where a row has no number."""
    ordered = np.sort(values, axis=1)  # NaN goes last
    middle = np.maximum((~np.isnan(values)).sum(axis=1) - 1, 0) // 2
    return picked(ordered, middle[:, None])[:, 0]
