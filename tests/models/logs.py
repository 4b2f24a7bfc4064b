"""Event logs and catalogues written out by hand, event by event."""

from collections.abc import Sequence

import numpy as np

from contracts.events import EVENT_TYPES, Location, PlaceDocument
from contracts.ids import id64
from online_features.catalogue import Catalogue
from online_features.columns import EventColumns
from online_features.training_log import TrainingLog

START_S = 1_700_000_000.0
NONE = float("nan")
#: One degree of latitude, metres, on the sphere of `online_features.geo`.
DEGREE_M = 111_195.08

#: user, place, kind, seconds after START_S, and optionally rating, lat, lng.
Row = tuple[object, ...]


def catalogue_of(places: dict[str, tuple[float, float]], category: str = "cafe") -> Catalogue:
    """Places at (lat, lng)."""
    catalogue = Catalogue()
    for place_id, (lat, lng) in places.items():
        catalogue.upsert(
            PlaceDocument(
                place_id=place_id, category=category, region="city", location=Location(lat, lng)
            )
        )
    return catalogue


def log_of(rows: Sequence[Row]) -> TrainingLog:
    """A log of rows that are in order of time."""
    full = [(*row, *(NONE,) * (7 - len(row))) for row in rows]
    user, place, kind, after_s, rating, lat, lng = zip(*full, strict=True)
    columns = EventColumns.of(
        user=np.array([id64(str(u)) for u in user], np.uint64),
        place=np.array([id64(str(p)) for p in place], np.uint64),
        kind=[EVENT_TYPES.index(k) for k in kind],
        time_s=START_S + np.array(after_s, np.float64),
        rating=rating,
        lat=lat,
        lng=lng,
    )
    return TrainingLog.of_columns(columns)
