"""The rows that the plain models learn from, and that every pair is judged by."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.moments import Moments
from online_features.context import Situation

#: Catalogue row that stands for "no event" in a history; -1 is a place not in the catalogue.
NO_EVENT = -2


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
    """One of train, validation, test: the moments, their weather, and both models' rows of them.

    Attributes:
        moments: all of the part.
        ranker, choices: of those of them that rows were made of.
        at: weather and traffic at each moment.
        shown: int64, which moments those are, ascending.
    """

    moments: Moments
    ranker: RankerRows
    choices: Choices
    at: Situation
    shown: NDArray[np.int64]

    def choices_of(self, moments: NDArray[np.integer]) -> Choices:
        """The rows of some moments, by position.

        Raises:
            LookupError: no rows were made of one of them.
        """
        at = np.minimum(np.searchsorted(self.shown, moments), max(len(self.shown) - 1, 0))
        if len(moments) and not (len(self.shown) and np.array_equal(self.shown[at], moments)):
            raise LookupError("no rows were made of these moments")
        return self.choices.take(at)


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
