"""Real check-ins as a source of events.

A check-in is a `visit` at the venue's own position. Check-in sets hold no views, clicks, ratings,
prices, opening hours or weather, and none are made up here.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from contracts.ids import id64
from placestream.simulation.checkin_files import (
    BadCheckIns,
    CheckIn,
    Venue,
    read_checkins,
    read_venues,
)
from placestream.simulation.source import Description, Event
from placestream.simulation.story import STROLLING, Past, Story, find_story
from placestream.simulation.times import WEEK_S, iso

__all__ = ["BadCheckIns", "CheckIns", "load_checkins"]

_ENDINGS = (".gz", ".csv", ".txt", ".tsv")
_NOTES = (
    "Every event is a visit: check-in sets hold no views, clicks or ratings.",
    "There is no weather, no traffic, no price and no opening hour in them; those stay unknown.",
    "The position of an event is that of its venue.",
)


@dataclass(frozen=True)
class CheckIns:
    """A `Source` read from a file of check-ins; the files' ids are kept as strings.

    Attributes:
        region: name of the city.
        users: ids of users.
        venues: the venues, in the order of their first check-in.
        user: index in `users` of each check-in, int32[n].
        venue: index in `venues` of each check-in, int32[n].
        time_s: Unix seconds, ascending, float64[n].
        unshifted_s: as in the file; event ids come from it, so that they survive a shift.
        shifted_s: seconds by which `shift_to` moved the times; whole weeks.
        repeated: identical rows of the file that were left out.
    """

    region: str
    users: tuple[str, ...]
    venues: tuple[Venue, ...]
    user: np.ndarray
    venue: np.ndarray
    time_s: np.ndarray
    shifted_s: int = 0
    repeated: int = 0

    def shift_to(self, ending_s: float) -> "CheckIns":
        """Move all times by whole weeks, so that the last is the latest that is <= `ending_s`.

        Weekdays and hours stay as they are in UTC, and in the venues' fixed zones too; a
        `time_zone` with daylight saving, handed to `load_checkins`, may move hours by one.
        """
        shift_s = math.floor((ending_s - self.time_s[-1]) / WEEK_S) * WEEK_S
        return replace(self, time_s=self.time_s + shift_s, shifted_s=self.shifted_s + shift_s)

    @property
    def size(self) -> int:
        """Messages in all three streams."""
        return len(self.venues) + len(self.time_s)

    def place_updates(self) -> Iterator[Event]:
        """What the files say of each venue, at the time of the first check-in."""
        stamp = iso(float(self.time_s[0]))
        for venue in self.venues:
            updates: dict[str, object] = {
                "location": {"lat": venue.lat, "lng": venue.lng},
                "time_zone": venue.time_zone,
                "region": self.region,
            }
            if venue.name:
                updates["name"] = venue.name
            if venue.category:
                updates["category"] = venue.category
            yield {"place_id": venue.id, "updates": updates, "timestamp": stamp}

    def context_updates(self) -> Iterator[Event]:
        """None: the files know nothing of weather and traffic."""
        yield from ()

    def interactions(self) -> Iterator[Event]:
        """The check-ins."""
        columns = zip(self.user.tolist(), self.venue.tolist(), self.time_s.tolist(), strict=True)
        for user, venue_row, time_s in columns:
            venue = self.venues[venue_row]
            was_s = int(time_s - self.shifted_s)
            yield {
                "event_id": f"checkin-{id64(f'{self.users[user]}|{venue.id}|{was_s}'):016x}",
                "user_id": self.users[user],
                "place_id": venue.id,
                "event_type": "visit",
                "timestamp": iso(time_s),
                "context": {"location": {"lat": venue.lat, "lng": venue.lng}},
            }

    def describe(self) -> Description:
        """Sizes, span of time and caveats."""
        notes: tuple[str, ...] = _NOTES
        if self.shifted_s:
            weeks = self.shifted_s // WEEK_S
            notes += (f"All times are moved by {weeks} weeks; weekdays and hours are kept.",)
        if self.repeated:
            notes += (f"{self.repeated} identical rows were left out.",)
        return Description(
            kind="check-ins",
            region=self.region,
            users=len(self.users),
            places=len(self.venues),
            interactions={"view": 0, "click": 0, "visit": len(self.time_s), "rate": 0},
            place_updates=len(self.venues),
            context_updates=0,
            first_s=float(self.time_s[0]),
            last_s=float(self.time_s[-1]),
            notes=notes,
        )

    def story(self, at_s: float) -> Story:
        """A user, a spot and three fresh visits; `at_s` does not matter, hours being unknown.

        Raises:
            NoStory: the file is too small.
        """
        names = sorted({venue.category for venue in self.venues if venue.category})
        index = {name: row for row, name in enumerate(names)}
        return find_story(
            Past(
                user=self.user.astype(np.int64),
                place=self.venue.astype(np.int64),
                lat=np.array([venue.lat for venue in self.venues]),
                lng=np.array([venue.lng for venue in self.venues]),
                category=np.array([index.get(venue.category, -1) for venue in self.venues]),
                categories=names,
                usable=np.ones(len(self.venues), bool),
                user_id=self.users.__getitem__,
                place_id=lambda row: self.venues[row].id,
                age_group=lambda row: None,
                steps=STROLLING,
            )
        )


def load_checkins(
    path: Path | str,
    venues: Path | str | None = None,
    *,
    time_zone: str | None = None,
    region: str | None = None,
) -> CheckIns:
    """Read a file of check-ins, plain or gzip.

    Two formats are known by their first line: CSV with (at least) the columns `user_id, venue_id,
    category, lat, lng, timestamp` (ISO 8601; UTC where it has no offset); and the tab-separated
    TSMC2014 files (Yang et al. 2015, "Modeling user activity preference by leveraging user
    spatial temporal characteristics in LBSNs"), Latin-1, without a header.

    Args:
        path: the file.
        venues: a CSV with `venue_id` and `name`, and maybe `category`, `lat`, `lng`, which then
            count; by default the file beside `path` that has `venues` in place of `checkins`.
        time_zone: IANA zone of all venues. By default a fixed offset ("Etc/GMT+5" is UTC-5), so
            that no map of zones is needed: that of the first check-in at the venue where the file
            gives one (TSMC2014), else the nearest 15 degrees of longitude; full hours, and with no
            daylight saving.
        region: name of the city; by default the file's name up to `_checkins` or its ending.

    Raises:
        BadCheckIns: names file, line and column.
        OSError: a file cannot be opened.
    """
    path = Path(path)
    beside = _beside(path) if venues is None else Path(venues)
    known = read_venues(beside) if beside is not None else {}
    rows = sorted(read_checkins(path), key=lambda row: row.time_s)
    if not rows:
        raise BadCheckIns(path, 1, "", "the file holds no check-in")
    unique = list(dict.fromkeys((r.user_id, r.venue.id, r.time_s) for r in rows))
    met = _met(rows, known, time_zone)
    venue_row = {venue_id: row for row, venue_id in enumerate(met)}
    user_row = {user: row for row, user in enumerate(dict.fromkeys(user for user, _, _ in unique))}
    return CheckIns(
        region=region or _region(path),
        users=tuple(user_row),
        venues=tuple(met.values()),
        user=np.array([user_row[user] for user, _, _ in unique], np.int32),
        venue=np.array([venue_row[venue] for _, venue, _ in unique], np.int32),
        time_s=np.array([time_s for _, _, time_s in unique], np.float64),
        repeated=len(rows) - len(unique),
    )


def _met(rows: list[CheckIn], known: dict[str, Venue], time_zone: str | None) -> dict[str, Venue]:
    """Venues in the order of their first check-in, with what the venues' file says of them."""
    met: dict[str, Venue] = {}
    for row in rows:
        if row.venue.id in met:
            continue
        venue = row.venue
        more = known.get(venue.id)
        if more is not None:
            venue = replace(venue, name=more.name, category=more.category or venue.category)
            if not math.isnan(more.lat):
                venue = replace(venue, lat=more.lat, lng=more.lng)
        met[venue.id] = replace(venue, time_zone=time_zone or venue.time_zone)
    return met


def _beside(path: Path) -> Path | None:
    if "checkins" not in path.name:
        return None
    name = path.name.replace("checkins", "venues")
    other = name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz"
    return next((p for p in (path.with_name(name), path.with_name(other)) if p.is_file()), None)


def _region(path: Path) -> str:
    name = path.name
    while name.endswith(_ENDINGS):
        name = name[: name.rindex(".")]
    return name.split("_checkins")[0] or name
