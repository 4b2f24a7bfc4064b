"""The city as the map draws it: every place, in columns."""

import json
from typing import Any

import numpy as np

from online_features.catalogue import Catalogue

#: A metre, about: nothing on the map is smaller.
_DIGITS = 5


class CityMap:
    """The catalogue as bytes for the page; made anew only when it has changed."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._tag = ""
        self._body = b""

    @property
    def tag(self) -> str:
        """Changes when a place comes, goes, or is changed."""
        places = self._catalogue
        versions = int(places.column("version").sum())
        return f"{len(places)}-{int(places.closed.sum())}-{versions}"

    def body(self) -> bytes:
        """JSON: `ids`, `names`, `lat`, `lng` (degrees), `category` (index in `categories`, -1:
        none) of all places that have a position and are not closed.
        """
        tag = self.tag
        if tag != self._tag:
            self._body, self._tag = json.dumps(self._columns(), separators=(",", ":")).encode(), tag
        return self._body

    def _columns(self) -> dict[str, Any]:
        places = self._catalogue
        lat, lng = places.lat, places.lng
        rows = np.flatnonzero(~np.isnan(lat) & ~places.closed[: len(lat)])
        return {
            "ids": [places.place_id(row) for row in rows.tolist()],
            "names": [places.names[row] or "" for row in rows.tolist()],
            "lat": np.round(lat[rows], _DIGITS).tolist(),
            "lng": np.round(lng[rows], _DIGITS).tolist(),
            "category": places.category[rows].tolist(),
            "categories": list(places.categories),
        }
