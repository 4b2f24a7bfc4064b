"""Opening hours of many places in columns: open, closed or unknown at a minute of local time."""

import numpy as np
from numpy.typing import NDArray

from contracts.events import PlaceDocument
from online_features.compiled import compiled
from online_features.distinct_codes import distinct
from online_features.growing import NONE, padded, roomy
from online_features.holiday import calendar, is_holiday
from online_features.opening import DAY_MIN, DAYS, special_days
from online_features.weeks import BLOCK_MIN, Week, Weeks

UNKNOWN, OPEN, CLOSED = 0, 1, 2
Rows = NDArray[np.int64]
Minutes = NDArray[np.int64]
Flags = NDArray[np.bool_]

#: 1970-01-01 was a Thursday.
_FIRST_WEEKDAY = 3
#: Kinds of days: Monday to Sunday, and the public holiday.
_HOLIDAY = len(DAYS)
#: More days than there are between 1970 and the last that a date can name.
_MOST_DAYS = 4_000_000


class Hours:
    """Weekly hours, those of public holidays, and those of single days.

    Few places state hours of single days, so those lie in a table of their own. One writer at a
    time, any number of readers.
    """

    def __init__(self) -> None:
        self._weeks = Weeks()
        self._calendar = np.full(1024, NONE, np.int32)
        self._special = np.full(1024, NONE, np.int32)
        self._special_days = np.full((8, 4), NONE, np.int64)
        self._special_spans = np.full((8, 4, 2), NONE, np.int64)
        self._specials = 0
        self._calendars: list[str] = []

    def write(self, row: int, place: PlaceDocument) -> None:
        """Take over what a document says.

        Raises:
            BadEvent: it says what cannot be; nothing is changed.
        """
        week = Week.of(place.business_hours)
        special = special_days(place.special_hours or {})
        code = self._code(place.holiday_calendar)
        if row >= len(self._special):
            self._calendar = roomy(self._calendar, (row + 1,))
            self._special = roomy(self._special, (row + 1,))
        self._weeks.write(row, week)  # last of the three: its length says what may be read
        self._calendar[row] = code
        self._write_special(row, *special)

    def state(self, rows: Rows, minute: Minutes) -> NDArray[np.int8]:
        """Whether places are open: int8[n] of `UNKNOWN`, `OPEN`, `CLOSED`.

        Args:
            rows: int64[n]; those that were never written are unknown.
            minute: int64[n] of each place's own time, since 1970-01-01 00:00 there.
        """
        within = (rows >= 0) & (rows < len(self._weeks))
        rows = np.where(within, rows, 0)
        day, at = minute // DAY_MIN, minute % DAY_MIN
        today, yesterday = self._kind(rows, day), self._kind(rows, day - 1)
        week = self._weeks.read(rows)
        # Yesterday's last span may run into today.
        by_today = _inside(week.spans, week.week, today * BLOCK_MIN + at)
        by_yesterday = _inside(week.spans, week.week, yesterday * BLOCK_MIN + DAY_MIN + at)
        known = week.known & ((today != _HOLIDAY) | week.holiday_known)
        special = self._special[rows]
        stated_today, stated_yesterday, by_date = _on_dates(
            self._special_days, self._special_spans, special, day, minute
        )
        is_open = by_date | by_today & ~stated_today | by_yesterday & ~stated_yesterday
        known = known | stated_today
        state = np.where(is_open, OPEN, np.where(known, CLOSED, UNKNOWN))
        return np.where(within, state, UNKNOWN).astype(np.int8)

    def _kind(self, rows: Rows, day: Minutes) -> Rows:
        """Which kind of day each is at its place."""
        weekday = (day + _FIRST_WEEKDAY) % len(DAYS)
        code = self._calendar[rows]
        if not (code >= 0).any():
            return weekday
        # Few distinct days of few calendars.
        pairs, inverse = distinct((code + 1) * _MOST_DAYS + day)
        holiday = [
            pair >= _MOST_DAYS
            and is_holiday(self._calendars[pair // _MOST_DAYS - 1], pair % _MOST_DAYS)
            for pair in pairs.tolist()
        ]
        return np.where(np.array(holiday)[inverse], _HOLIDAY, weekday)

    def _write_special(self, row: int, days: list[int], spans: list[tuple[int, int]]) -> None:
        at = int(self._special[row])
        if at < 0 and not days:
            return
        if at < 0:
            at, self._specials = self._specials, self._specials + 1
        self._special_days = roomy(self._special_days, (at + 1, len(days)))
        self._special_spans = roomy(self._special_spans, (at + 1, len(spans), 2))
        self._special_days[at] = padded(days, self._special_days.shape[1:])
        self._special_spans[at] = padded(spans, self._special_spans.shape[1:])
        self._special[row] = at

    def _code(self, name: str | None) -> int:
        if name is None:
            return NONE
        if name not in self._calendars:
            calendar(name)  # refuses what it does not know, before anybody asks for it
            self._calendars.append(name)
        return self._calendars.index(name)


@compiled
def _inside(spans: NDArray[np.integer], which: NDArray[np.integer], at: Minutes) -> Flags:
    """Whether each minute [n] lies in any span [s, 2] of its week `which` [n] of [k]."""
    inside = np.zeros(len(at), np.bool_)
    for i in range(len(at)):
        for span in spans[which[i]]:
            if span[0] <= at[i] < span[1]:
                inside[i] = True
                break
    return inside


@compiled
def _on_dates(
    days: Minutes,
    spans: Minutes,
    special: NDArray[np.int32],
    day: Minutes,
    minute: Minutes,
) -> tuple[Flags, Flags, Flags]:
    """What dates say: whether of the very day, of the day before, and whether it is open then.

    Args:
        days: int64[k, d], those that some places state hours of.
        spans: int64[k, s, 2], minutes since 1970.
        special: int32[n], which of the k a place is; -1 none of them.
        day, minute: int64[n], since 1970.
    """
    n = len(day)
    today, yesterday = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    inside = np.zeros(n, np.bool_)
    for i in range(n):
        if special[i] < 0:
            continue
        for stated in days[special[i]]:
            today[i] |= stated == day[i]
            yesterday[i] |= stated == day[i] - 1
        for span in spans[special[i]]:
            inside[i] |= span[0] <= minute[i] < span[1]
    return today, yesterday, inside
