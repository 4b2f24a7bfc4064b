"""Opening hours in the words of an event: checked, and as minutes.

Three layers, the narrowest wins: hours of single days, hours of public holidays, weekly hours.
"""

import re
from collections.abc import Mapping
from datetime import date
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from contracts.events import BadEvent

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Key of `business_hours` beside the weekdays: the hours of public holidays.
HOLIDAY = "holiday"
DAY_MIN = 1_440
#: Some years of them; a place that states more has sent something else.
MAX_SPECIAL_DAYS = 1_000
_KINDS = (*DAYS, HOLIDAY)
_SPAN = re.compile(r"^([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)$")


def week_spans(hours: Mapping[str, list[str]]) -> list[tuple[int, int]]:
    """Spans of local time as minutes since Monday 00:00, each `[start, end)`.

    The public holiday is an eighth day. A span that ends at or before its start runs into the
    next day: `"22:00-02:00"`.

    Raises:
        BadEvent: an unknown weekday, or a span that is not `HH:MM-HH:MM`; names the field.
    """
    spans = []
    for day, texts in hours.items():
        field = f"updates.business_hours.{day}"
        if day not in _KINDS:
            raise BadEvent(field, f"not a weekday; use {', '.join(_KINDS)}")
        midnight = _KINDS.index(day) * DAY_MIN
        spans += [(midnight + start, midnight + end) for start, end in _day_spans(field, texts)]
    return spans


def special_days(
    hours: Mapping[str, list[str] | None],
) -> tuple[list[int], list[tuple[int, int]]]:
    """Hours of single days: which days, and their spans in minutes of local time.

    Returns:
        Days since 1970-01-01, and spans `[start, end)` in minutes since then; a day without a span
        is closed.

    Raises:
        BadEvent: a key that is no date, too many of them, or a bad span; names the field.
    """
    if len(hours) > MAX_SPECIAL_DAYS:
        raise BadEvent("updates.special_hours", f"more than {MAX_SPECIAL_DAYS} days")
    days, spans = [], []
    for text, texts in hours.items():
        field = f"updates.special_hours.{text}"
        try:
            day = date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()
        except ValueError as error:
            raise BadEvent(field, "not a date YYYY-MM-DD") from error
        if texts is None:  # an update that takes the day back
            continue
        days.append(day)
        midnight = day * DAY_MIN
        spans += [(midnight + start, midnight + end) for start, end in _day_spans(field, texts)]
    return days, spans


def _day_spans(field: str, texts: list[str]) -> list[tuple[int, int]]:
    spans = []
    for text in texts:
        match = _SPAN.match(text)
        start, end = _minutes(match, 1), _minutes(match, 3)
        if match is None or start >= DAY_MIN or end > DAY_MIN:
            raise BadEvent(field, f"{text!r} is not a span HH:MM-HH:MM")
        spans.append((start, end if end > start else end + DAY_MIN))
    return spans


def _minutes(match: re.Match[str] | None, group: int) -> int:
    return int(match[group]) * 60 + int(match[group + 1]) if match else 0


def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name.

    Raises:
        BadEvent: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadEvent("updates.time_zone", f"{name!r} is not an IANA time zone") from error
