"""What is checked, as tables: the interactions to be trained on, their days, and the places."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_features.catalogue import Catalogue
from online_features.columns import KIND_CODE, EventColumns
from online_features.geo import distance_m

INTERACTIONS, DAYS, PLACES = "interactions", "days", "places"
DAY_S = 86_400.0
#: The newest days whose volume is looked at; each is 24 hours, counted back from the newest event.
RECENT_DAYS = 7
Table = Mapping[str, NDArray[Any]]


def tables_of(events: EventColumns, catalogue: Catalogue, most: int) -> dict[str, Table]:
    """The tables of an archive.

    Args:
        events: sorted by time; at least one.
        catalogue: the places.
        most: so many of the newest interactions are trained on, and checked.
    """
    newest = events.take(slice(max(0, len(events) - most), None))
    return {
        INTERACTIONS: _interactions(newest, catalogue),
        DAYS: _days(events.time_s),
        PLACES: _places(catalogue),
    }


def _interactions(events: EventColumns, catalogue: Catalogue) -> Table:
    """One row an interaction; NaN is null, as is the hash 0."""
    rows = catalogue.rows_of(events.place)
    known = rows >= 0
    lat, lng = (np.where(known, column[rows], np.nan) for column in (catalogue.lat, catalogue.lng))
    with np.errstate(invalid="ignore"):  # a coordinate out of range is what is looked for
        away_km = distance_m(events.lat, events.lng, lat, lng) / 1_000
        dwell = np.log1p(np.maximum(events.dwell_s, 0))
    return {
        "user": _hash_or_nan(events.user),
        "place": _hash_or_nan(events.place),
        "event_hash": events.event_hash,
        "time_s": events.time_s,
        "kind": events.kind,
        **{f"is_{kind}": _share(events.kind == code) for kind, code in KIND_CODE.items()},
        "rating": events.rating,
        "lat": events.lat,
        "lng": events.lng,
        "location_unknown": _share(np.isnan(events.lat) | np.isnan(events.lng)),
        "dwell_s": events.dwell_s,
        "dwell_log_s": dwell.astype(np.float32),
        "place_known": _share(known),
        "away_log_km": np.log1p(away_km).astype(np.float32),
    }


def _days(time_s: NDArray[np.float64]) -> Table:
    """One row a day that the log reaches over, the newest first, at most `RECENT_DAYS`."""
    back = ((time_s[-1] - time_s) / DAY_S).astype(np.int64)
    # A day that the log began in the middle of says nothing of a day's volume.
    whole = max(1, int((time_s[-1] - time_s[0]) / DAY_S))
    days = min(whole, RECENT_DAYS)
    return {"events": np.bincount(back[back < days], minlength=days)}


def _places(catalogue: Catalogue) -> Table:
    """One row a place."""
    return {
        "place": _hash_or_nan(catalogue.hash),
        "lat": catalogue.lat,
        "lng": catalogue.lng,
        "location_unknown": _share(np.isnan(catalogue.lat) | np.isnan(catalogue.lng)),
        "category_unknown": _share(catalogue.category < 0),
        "price": catalogue.price,
        "rating": catalogue.rating,
        "review_count": catalogue.review_count,
        "closed": _share(catalogue.closed),
    }


def _share(true: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A column whose mean is a share."""
    return true.astype(np.float32)


def _hash_or_nan(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    return np.where(hashes == 0, np.nan, hashes.astype(np.float64))
