"""Columns of a simulated city as the JSON dicts that producers send."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from contracts.events import AGE_GROUPS, EVENT_TYPES
from placestream.simulation.categories import CATEGORIES
from placestream.simulation.places import Places
from placestream.simulation.sessions import DEVICES, QUERIES, Events
from placestream.simulation.times import iso_of

_AT_ONCE = 10_000
_SILENT_ABOUT_PRICE = ("Park", "Playground")


@dataclass(frozen=True)
class Ids:
    """Ids of users and places as producers send them: integers, or strings.

    Integers have six digits or more and do not start at 0: an id is not a row.
    """

    as_strings: bool

    def user(self, row: int) -> int | str:
        """Id of a user."""
        return f"user-{100_001 + row}" if self.as_strings else 100_001 + row

    def place(self, row: int) -> int | str:
        """Id of a place."""
        return f"place-{500_001 + row}" if self.as_strings else 500_001 + row

    def user_row(self, user_id: int | str) -> int:
        """Row of a user's id, in either form."""
        return int(str(user_id).removeprefix("user-")) - 100_001

    def place_row(self, place_id: int | str) -> int:
        """Row of a place's id, in either form."""
        return int(str(place_id).removeprefix("place-")) - 500_001


def interaction_dicts(
    events: Events, ids: Ids, run: str, age_of: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Yield `Interaction` dicts, in the order of the events.

    Args:
        events: what happened.
        ids: how ids look.
        run: prefix of event and session ids, which makes them differ between runs.
        age_of: index in `AGE_GROUPS` of each user.
    """
    for at in range(0, len(events), _AT_ONCE):
        part = events.take(slice(at, at + _AT_ONCE))
        dwell_s = part.dwell_s.astype(np.float64).round(1)
        columns = (
            part.user, part.place, part.kind, part.lat, part.lng, part.stars, dwell_s,
            part.session, part.code, part.device, part.query,
        )  # fmt: skip
        for stamp, *row in zip(iso_of(part.time_ms), *(c.tolist() for c in columns), strict=True):
            yield _interaction(stamp, row, ids, run, age_of)


def _interaction(
    stamp: str, row: list[Any], ids: Ids, run: str, age_of: np.ndarray
) -> dict[str, Any]:
    user, place, kind, lat, lng, stars, dwell_s, session, code, device, query = row
    context: dict[str, Any] = {"session_id": f"{run}-{session:x}"}
    if lat == lat:  # not NaN
        context["location"] = {"lat": lat, "lng": lng}
    if device >= 0:
        context["device"] = DEVICES[device]
    if query:
        context["search_query"] = QUERIES[query]
    event: dict[str, Any] = {
        "event_id": f"{run}-{session:x}-{code:x}",
        "user_id": ids.user(user),
        "place_id": ids.place(place),
        "event_type": EVENT_TYPES[kind],
        "timestamp": stamp,
        "context": context,
        "user_age_group": AGE_GROUPS[age_of[user]],
    }
    if stars:
        event["rating"] = stars
    if dwell_s == dwell_s:
        event["dwell_s"] = dwell_s
    return event


def catalogue_dicts(
    places: Places, areas: list[str], ids: Ids, region: str, time_zone: str, stamp: str
) -> Iterator[dict[str, Any]]:
    """Yield the first `PlaceUpdate` of every place, which brings all its fields."""
    for row in range(len(places)):
        category = CATEGORIES[int(places.category[row])]
        updates: dict[str, Any] = {
            "name": places.names[row],
            "category": category.name,
            "location": {"lat": float(places.lat[row]), "lng": float(places.lng[row])},
            "time_zone": time_zone,
            "rating": float(places.rating[row]),
            "review_count": int(places.review_count[row]),
            "region": region,
            "attributes": {
                "open_air": category.open_air >= 0.5,
                "neighbourhood": areas[int(places.neighbourhood[row])],
            },
        }
        if category.name not in _SILENT_ABOUT_PRICE:
            updates["price_level"] = int(places.price[row])
        if not places.silent[row]:
            updates["business_hours"] = places.hours[row]
        yield {"place_id": ids.place(row), "updates": updates, "timestamp": stamp}


def review_dicts(
    ratings: Events, places: Places, ids: Ids, moments_ms: np.ndarray, stamp: Callable[[int], str]
) -> Iterator[dict[str, Any]]:
    """Yield partial `PlaceUpdate`s: at each moment, the new average of the places just rated.

    Args:
        ratings: the `rate` events, ordered by time.
        places: with ratings and review counts at the start.
        ids: how ids look.
        moments_ms: ascending Unix milliseconds.
        stamp: how a moment is written.
    """
    count = places.review_count.astype(np.int64).copy()
    total = places.rating * count
    begin = 0
    for moment_ms in moments_ms.tolist():
        end = int(np.searchsorted(ratings.time_ms, moment_ms))
        rated, stars = ratings.place[begin:end], ratings.stars[begin:end]
        np.add.at(count, rated, 1)
        np.add.at(total, rated, stars)
        for row in np.unique(rated).tolist():
            mean = float(total[row] / count[row])
            updates = {"rating": round(mean, 2), "review_count": int(count[row])}
            yield {"place_id": ids.place(row), "updates": updates, "timestamp": stamp(moment_ms)}
        begin = end
