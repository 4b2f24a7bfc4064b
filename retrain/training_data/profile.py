"""How a training's data looked: kept in its card, the reference of the trainings after it."""

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np

from contracts.events import EVENT_TYPES
from retrain.training_data.tables import DAYS, INTERACTIONS, PLACES, Table

#: Columns that a later training is held to, by table: 0 and 1, of which the mean says all, and
#: amounts. Not latitude and longitude: a second city moves them, and nothing is wrong with it.
SHARES = {
    INTERACTIONS: (*(f"is_{kind}" for kind in EVENT_TYPES), "location_unknown", "place_known"),
    PLACES: ("location_unknown", "category_unknown", "closed"),
}
AMOUNTS = {INTERACTIONS: ("rating", "dwell_log_s", "away_log_km"), PLACES: ("price", "rating")}
TABLES = tuple(SHARES)


class Moments(TypedDict):
    """Mean and standard deviation of a column where it is known, and how many rows that is."""

    mean: float
    std: float
    known: int


class Profile(TypedDict):
    """What a later training is compared with.

    `columns`: table to column to its moments; a column that is nowhere known has none.
    `events_a_day`: mean of the newest days; `places`: how many.
    """

    columns: dict[str, dict[str, Moments]]
    events_a_day: float
    places: int


def profile_of(tables: Mapping[str, Table]) -> Profile:
    """The profile of what was read."""
    return Profile(
        columns={
            table: {
                name: moments
                for name in (*SHARES[table], *AMOUNTS[table])
                if (moments := _moments(tables[table][name])) is not None
            }
            for table in TABLES
        },
        events_a_day=float(tables[DAYS]["events"].mean()),
        places=len(tables[PLACES]["place"]),
    )


def parse_profile(saved: Any) -> Profile:
    """Read a profile out of a card.

    Raises:
        ValueError: it is none, or of another make.
    """
    try:
        return Profile(
            columns={
                table: {
                    name: Moments(
                        mean=float(told["mean"]), std=float(told["std"]), known=int(told["known"])
                    )
                    for name, told in saved["columns"][table].items()
                }
                for table in TABLES
            },
            events_a_day=float(saved["events_a_day"]),
            places=int(saved["places"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no profile of training data: {type(error).__name__}") from error


def _moments(values: np.ndarray[Any, Any]) -> Moments | None:
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return None
    return Moments(mean=float(known.mean()), std=float(known.std()), known=len(known))
