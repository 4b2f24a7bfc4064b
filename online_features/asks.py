"""Requests, each thing about their users worked out once, whatever the number of their places.

What belongs to a request alone (its user's history, the weights of the past events) has one row a
request; `pair_columns` looks it up by pair. None of it needs to know which places are asked about,
nor the weather: it can be worked out before either is known.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_features.catalogue import Catalogue
from online_features.definitions import FAVOURITES, USER
from online_features.habits import Asked, Places
from online_features.history import History
from online_features.occasions import Occasions

Column = NDArray[Any]


@dataclass(frozen=True)
class Asks:
    """r requests, each of a user somewhere at a moment.

    Attributes:
        users: [r], state of each request's user.
        asked: where and when each request is, float64[r].
        catalogue: where metadata come from.
        past: each request's history, [r, history].
    """

    users: NDArray[np.void]
    asked: Asked
    catalogue: Catalogue
    past: History

    @property
    def now_s(self) -> Column:
        """The moment of each request, Unix seconds, float64[r]."""
        return self.asked.now_s

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
        ids = self.past.ids
        if len(ids) == 1:  # one user's places are soon looked up
            return self.catalogue.rows_of(ids)
        distinct, inverse = np.unique(ids, return_inverse=True)
        return self.catalogue.rows_of(distinct)[inverse].reshape(ids.shape)

    @cached_property
    def past_category(self) -> NDArray[np.int64]:
        """Category of each past event's place, [r, history]; -1 unknown."""
        rows = self.past_rows
        return np.where(rows >= 0, self.catalogue.category[rows], -1).astype(np.int64)

    @cached_property
    def occasions(self) -> Occasions:
        """The past events as occasions like this one, or unlike it."""
        return Occasions.of(self.past, self.past_rows, self.asked, places_of(self.catalogue))

    @cached_property
    def favourites(self) -> tuple[NDArray[np.int64], Column]:
        """Catalogue rows of the favourite places, [r, k], -1 none, and their faded weights."""
        places, weight = FAVOURITES.read_places(self.users["favourites"], self.now_s)
        return self.catalogue.rows_of(places), weight

    @cached_property
    def usual_rating(self) -> Column:
        """Mean of the ratings that the user gave, float64[r]; NaN for none."""
        given = self.user("rating_given_count") > 0
        return np.where(given, self.user("rating_given_mean"), np.nan).astype(np.float64)


def places_of(catalogue: Catalogue) -> Places:
    """The catalogue, for compiled loops."""
    return Places(catalogue.category, catalogue.lat, catalogue.lng, catalogue.price)


def log1p(values: Column) -> Column:
    """log(1 + value), values below 0 counting as 0."""
    return np.log1p(np.maximum(values, 0.0))


def log_km(metres: Column) -> Column:
    """log(1 + km); unknown is 0 with its own flag where that matters."""
    return np.log1p(np.where(np.isfinite(metres), metres, 0.0) / 1_000)


def filled(values: Column, missing: float) -> Column:
    """The values, and `missing` where one is NaN."""
    return np.where(np.isnan(values), missing, values)
