"""Opening hours of many places in columns: open, closed or unknown at a minute of local time."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.events import PlaceDocument
from online_features.compiled import compiled
from online_features.distinct_codes import distinct
from online_features.growing import NONE, padded, roomy
from online_features.holiday import calendar, is_holiday
from online_features.opening import DAY_MIN, DAYS, special_days
from online_features.weeks import BLOCK_MIN, Read, Week, Weeks

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
        at = np.where(within, rows, 0)
        # Codes before the tables that they point into: a writer adds to those first.
        weekly = self._weeks.read(at)
        special = np.where(within, self._special[at], NONE)
        dates = _Dates(special, self._special_days, self._special_spans)
        today, yesterday = self._holidays(np.where(within, self._calendar[at], NONE), minute)
        return _states(within, minute, weekly, dates, today, yesterday)

    def _holidays(self, code: NDArray[np.int32], minute: Minutes) -> tuple[Flags, Flags]:
        """Whether each place's day is a public holiday of its calendar, and the day before."""
        if not (code >= 0).any():
            none = np.zeros(len(code), np.bool_)
            return none, none
        # Few distinct days of few calendars.
        pairs, which = distinct((code.astype(np.int64) + 1) * _MOST_DAYS + minute // DAY_MIN)
        flags = np.zeros((2, len(pairs)), np.bool_)
        for i, pair in enumerate(pairs.tolist()):
            if pair >= _MOST_DAYS:
                name, at = self._calendars[pair // _MOST_DAYS - 1], pair % _MOST_DAYS
                flags[:, i] = is_holiday(name, at), is_holiday(name, at - 1)
        return flags[0, which], flags[1, which]

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


class _Dates(NamedTuple):
    """Hours of single days.

    Attributes:
        which: int32[n], of k a place is; -1 none.
        days: int64[k, d], since 1970; `NONE` pads.
        spans: int64[k, s, 2], minutes since then.
    """

    which: NDArray[np.int32]
    days: Minutes
    spans: Minutes


@compiled
def _states(
    within: Flags,
    minute: Minutes,
    weekly: Read,
    dates: _Dates,
    holiday: Flags,
    holiday_before: Flags,
) -> NDArray[np.int8]:
    """`Hours.state` of places that are `within`; whether it is a public holiday, or was the day
    before."""
    states = np.full(len(minute), UNKNOWN, np.int8)
    for i in range(len(minute)):
        if not within[i]:
            continue
        day, at, week, which = (
            minute[i] // DAY_MIN,
            minute[i] % DAY_MIN,
            weekly.week[i],
            dates.which[i],
        )
        stated, stated_before, is_open = False, False, False
        if which >= 0:
            for k in range(dates.days.shape[1]):
                stated |= dates.days[which, k] == day
                stated_before |= dates.days[which, k] == day - 1
            for k in range(dates.spans.shape[1]):
                is_open |= dates.spans[which, k, 0] <= minute[i] < dates.spans[which, k, 1]
        today = _HOLIDAY if holiday[i] else (day + _FIRST_WEEKDAY) % len(DAYS)
        before = _HOLIDAY if holiday_before[i] else (day - 1 + _FIRST_WEEKDAY) % len(DAYS)
        for k in range(weekly.spans.shape[1]):
            start, end = weekly.spans[week, k, 0], weekly.spans[week, k, 1]
            if not stated:
                is_open |= start <= today * BLOCK_MIN + at < end
            if not stated_before:  # yesterday's last span may run into today
                is_open |= start <= before * BLOCK_MIN + DAY_MIN + at < end
        if is_open:
            states[i] = OPEN
        elif stated or (weekly.known[i] and (today != _HOLIDAY or weekly.holiday_known[i])):
            states[i] = CLOSED
    return states
