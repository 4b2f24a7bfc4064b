"""The place catalogue in memory, in columns: who is near, what is it like, is it open?"""

import threading
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import structlog
from numpy.typing import NDArray

from contracts.events import PlaceDocument
from contracts.ids import id64
from online_features.category_tree import kinds
from online_features.changes import Changes
from online_features.distinct_codes import distinct
from online_features.geo import distance_m
from online_features.hours import CLOSED as CLOSED
from online_features.hours import OPEN as OPEN
from online_features.hours import UNKNOWN as UNKNOWN
from online_features.hours import Hours
from online_features.near_index import NearIndex
from online_features.rings import Moments, moments_of
from online_features.row_index import RowIndex
from online_features.texts import Texts

log = structlog.get_logger(__name__)
_ZONES = 4_096  # more than there are
_COLUMNS: dict[str, tuple[type[np.generic], float]] = {
    "hash": (np.uint64, 0),
    "lat": (np.float64, np.nan),
    "lng": (np.float64, np.nan),
    "category": (np.int32, -1),
    "category_hash": (np.uint64, 0),
    "price": (np.float32, np.nan),
    "rating": (np.float32, np.nan),
    "review_count": (np.float32, 0),
    "closed": (np.bool_, 0),
    "region": (np.int32, -1),
    "zone": (np.int32, -1),
    "version": (np.int64, -1),
}
#: Columns that change with what people do at a place, and what they say where nothing is stated.
STATED = {name: _COLUMNS[name][1] for name in ("rating", "review_count")}


class Catalogue:
    """All places by row; one writer at a time (guarded), any number of readers.

    A row is never reused: a place that closes keeps its row, so that histories that mention it
    can still be read. Columns are numpy arrays of length `len(catalogue)`: see `_COLUMNS`.

    Attributes:
        changes: past of the columns `STATED` and of `closed`, for who asks what was known at other
            moments than now; one that is absent is taken as it is. A service, which asks of now,
            has none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n = 0
        self._data = {name: np.full(1024, fill, dtype) for name, (dtype, fill) in _COLUMNS.items()}
        self._hours = Hours()
        self._near = NearIndex()
        self._row_of = RowIndex()
        self._ids, self.names = Texts(), Texts()
        self.categories: list[str] = []
        self._under: dict[str, tuple[int, ...]] = {}
        self.regions: list[str] = []
        self.zones: list[str] = []
        self.changes: dict[str, Changes] = {}
        self._codes: dict[str, dict[str, int]] = {"categories": {}, "regions": {}, "zones": {}}

    def __getstate__(self) -> dict[str, Any]:
        """To another process it goes without its lock; nobody may write meanwhile."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def __len__(self) -> int:
        return self._n

    def place_id(self, row: int) -> str:
        """Id of a place."""
        return self._ids[row] or ""

    def place_ids(self, rows: NDArray[np.int64]) -> list[str]:
        """Ids of some places."""
        return [place_id or "" for place_id in self._ids.at(rows)]

    @property
    def ids(self) -> list[str]:
        """All ids by row, made anew at each call; a service asks for those of some rows."""
        return self.place_ids(np.arange(self._n))

    def column(self, name: str) -> NDArray[np.generic]:
        """One column, length `len(self)`; do not write to it."""
        return self._data[name][: self._n]

    def column_at(
        self, name: str, rows: NDArray[np.int64], at_s: NDArray[np.float64]
    ) -> NDArray[np.generic]:
        """One column of some places [n], each as it was known at a moment [n], Unix seconds."""
        if name in self.changes:
            return self.changes[name].at(rows, at_s)
        return self._data[name][: self._n][rows]

    def gone(
        self, rows: NDArray[np.integer], at_s: NDArray[np.float64] | float
    ) -> NDArray[np.bool_]:
        """Which places of any shape were closed at moments, or not there yet; -1 may be either.

        Args:
            rows: catalogue rows.
            at_s: Unix seconds, of the shape of the rows or to be spread over it.
        """
        # "clip" looks at no row twice, which for tens of thousands is a quarter of the time.
        closed: NDArray[np.bool_] = self._data["closed"].take(rows, mode="clip")
        if "closed" in self.changes:
            moments = np.broadcast_to(np.asarray(at_s, np.float64), rows.shape).ravel()
            then = self.changes["closed"].at(rows.ravel().astype(np.int64), moments)
            closed = (then != 0).reshape(rows.shape)
        return closed

    @property
    def ever_open(self) -> NDArray[np.bool_]:
        """Which places were open at some moment that can be asked for."""
        return np.ones(self._n, bool) if "closed" in self.changes else ~self.closed

    @property
    def hash(self) -> NDArray[np.uint64]:
        """Hash of each place's id."""
        return self._data["hash"][: self._n]

    @property
    def lat(self) -> NDArray[np.float64]:
        """Latitude in degrees, NaN unknown."""
        return self._data["lat"][: self._n]

    @property
    def lng(self) -> NDArray[np.float64]:
        """Longitude in degrees, NaN unknown."""
        return self._data["lng"][: self._n]

    @property
    def category(self) -> NDArray[np.int32]:
        """Index in `categories`, -1 unknown."""
        return self._data["category"][: self._n]

    @property
    def category_hash(self) -> NDArray[np.uint64]:
        """`id64` of the category's name, 0 unknown."""
        return self._data["category_hash"][: self._n]

    @property
    def price(self) -> NDArray[np.float32]:
        """Price level 1 to 4, NaN unknown."""
        return self._data["price"][: self._n]

    @property
    def rating(self) -> NDArray[np.float32]:
        """Rating 0 to 5 as the place's metadata state it, NaN unknown."""
        return self._data["rating"][: self._n]

    @property
    def review_count(self) -> NDArray[np.float32]:
        """Number of reviews as the metadata state it."""
        return self._data["review_count"][: self._n]

    @property
    def closed(self) -> NDArray[np.bool_]:
        """Whether a tombstone closed the place for good."""
        return self._data["closed"][: self._n]

    @property
    def region(self) -> NDArray[np.int32]:
        """Index in `regions`, -1 unknown."""
        return self._data["region"][: self._n]

    def upsert(self, place: PlaceDocument) -> None:
        """Add or replace a place; an older version than the one known changes nothing."""
        with self._lock:
            row = self.row_of(place.place_id)
            if row < 0:
                row = self._append(place.place_id)
            if place.version < self._data["version"][row]:
                return
            self._write(row, place)

    def close(self, place_id: str) -> None:
        """Take a place out of every answer; its row stays."""
        with self._lock:
            row = self.row_of(place_id)
            if row >= 0:
                self._data["closed"][row] = True

    def categories_under(self, category: str) -> NDArray[np.int32]:
        """Codes in `categories` of a category and of all that are kinds of it."""
        return np.array(self._under.get(category, ()), np.int32)

    def row_of(self, place_id: str) -> int:
        """Row of a place, -1 if it is not known."""
        return self._row_of.row(id64(place_id))

    def rows_of(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Row of each hash, -1 where it is not known; any shape."""
        return self._row_of.rows(hashes)

    def near(
        self, lat: float, lng: float, radius_m: float, limit: int, at_s: float = np.inf
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Open-for-business places within a radius, nearest first.

        `at_s` asks for those of a moment, Unix seconds; otherwise of now.

        Returns:
            rows int64[k] and distance_m float32[k], k <= limit.
        """
        return self._near.near(lat, lng, radius_m, limit, lambda rows: self.gone(rows, at_s))

    def among(
        self, rows: NDArray[np.int64], lat: float, lng: float, radius_m: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Of some rows int64[n] the open-for-business places within a radius, as from `near`."""
        rows = rows[~self._data["closed"][rows]]
        exact = distance_m(lat, lng, self._data["lat"][rows], self._data["lng"][rows])
        inside = exact <= radius_m  # of a place that is nowhere it is NaN
        rows, metres = rows[inside], exact[inside].astype(np.float32)
        order = np.lexsort((rows, metres))
        return rows[order], metres[order]

    def open_state(self, rows: NDArray[np.int64], at_s: Moments | float) -> NDArray[np.int8]:
        """Whether places are open at a moment: int8[n] of `UNKNOWN`, `OPEN`, `CLOSED`.

        Where the hours, or the time zone to read them in, are not known, nobody knows.

        Args:
            rows: int64[n].
            at_s: Unix seconds, one for all or one a place.
        """
        moments = moments_of(at_s, len(rows))
        state = self._hours.state(rows, self._local_minute(rows, moments))
        return np.where(self._data["zone"][rows] >= 0, state, UNKNOWN).astype(np.int8)

    def _local_minute(
        self, rows: NDArray[np.int64], at_s: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Minutes since 1970-01-01 00:00 on each place's clock; UTC where its zone is unknown."""
        zones = self._data["zone"][rows]
        # Offsets change at most at quarters of an hour; few distinct (zone, quarter) pairs.
        quarter = (at_s // 900).astype(np.int64)
        pairs, inverse = distinct(quarter * _ZONES + zones + 1)
        offsets = [
            _utc_offset_s(self.zones[pair % _ZONES - 1], pair // _ZONES) if pair % _ZONES else 0.0
            for pair in pairs.tolist()
        ]
        offset_s = np.array(offsets, np.float64)[inverse]
        return ((at_s + offset_s) // 60).astype(np.int64)

    def local_time(self, row: int, at_s: float) -> datetime:
        """A moment on the clock of a place; UTC where its zone is unknown."""
        code = int(self._data["zone"][row])
        return datetime.fromtimestamp(at_s, ZoneInfo(self.zones[code]) if code >= 0 else UTC)

    def _append(self, place_id: str) -> int:
        row = self._n
        if row == len(self._data["hash"]):
            for name, old in self._data.items():
                _, fill = _COLUMNS[name]
                self._data[name] = np.concatenate([old, np.full_like(old, fill)])
        hashed = id64(place_id)
        self._data["hash"][row] = hashed
        self._ids.append(place_id)
        self.names.append(None)
        self._n = row + 1
        # Last, so that a reader that finds the row finds all of it.
        self._row_of.put(hashed, row)
        return row

    def _write(self, row: int, place: PlaceDocument) -> None:
        data = self._data
        self._hours.write(row, place)  # first: it may refuse the document
        self.names.replace(row, place.name)
        data["category"][row] = self._category(place.category)
        data["category_hash"][row] = id64(place.category) if place.category else 0
        data["region"][row] = self._code("regions", place.region)
        data["zone"][row] = self._code("zones", _known_zone(place.time_zone))
        data["price"][row] = np.nan if place.price_level is None else place.price_level
        data["rating"][row] = np.nan if place.rating is None else place.rating
        data["review_count"][row] = place.review_count or 0
        data["version"][row] = place.version
        self._move(row, place)
        data["closed"][row] = False

    def _move(self, row: int, place: PlaceDocument) -> None:
        lat, lng = self._data["lat"], self._data["lng"]
        if place.location is None or (lat[row], lng[row]) == (
            place.location.lat,
            place.location.lng,
        ):
            return
        moved = not np.isnan(lat[row])
        lat[row], lng[row] = place.location.lat, place.location.lng
        self._near.put(row, lat[row], lng[row], moved=moved)

    def _category(self, category: str | None) -> int:
        known, code = len(self.categories), self._code("categories", category)
        if category is not None and code == known:
            for kind in kinds(category):
                # A new tuple each time: a reader never sees one that is being written.
                self._under[kind] = (*self._under.get(kind, ()), code)
        return code

    def _code(self, vocabulary: str, word: str | None) -> int:
        if word is None:
            return -1
        codes = self._codes[vocabulary]
        if word not in codes:
            getattr(self, vocabulary).append(word)
            codes[word] = len(codes)
        return codes[word]


@lru_cache(maxsize=4_096)
def _known_zone(zone: str | None) -> str | None:
    """A zone that this process has the rules of; another is as good as none.

    The stream refuses those that nobody knows, but its zones may be newer than ours.
    """
    try:
        return zone and ZoneInfo(zone).key
    except (KeyError, ValueError, OSError):
        log.warning("zone_unknown", zone=zone)
        return None


@lru_cache(maxsize=4_096)
def _utc_offset_s(zone: str, quarter: int) -> float:
    offset = datetime.fromtimestamp(quarter * 900, ZoneInfo(zone)).utcoffset()
    return offset.total_seconds() if offset else 0.0
