"""Opening hours: from the words of an event to minutes of a week, and back to "open now?"."""

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from contracts.events import BadEvent

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN, WEEK_MIN = 1_440, 10_080
_SPAN = re.compile(r"^([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)$")


def week_spans(hours: dict[str, list[str]]) -> list[tuple[int, int]]:
    """Spans of local time as minutes since Monday 00:00, each `[start, end)`.

    A span that ends at or before its start runs into the next day: `"22:00-02:00"`.

    Raises:
        BadEvent: an unknown weekday, or a span that is not `HH:MM-HH:MM`; names the field.
    """
    spans = []
    for day, texts in hours.items():
        if day not in DAYS:
            raise BadEvent(f"updates.business_hours.{day}", f"not a weekday; use {', '.join(DAYS)}")
        midnight = DAYS.index(day) * DAY_MIN
        for text in texts:
            match = _SPAN.match(text)
            start, end = _minutes(match, 1), _minutes(match, 3)
            if match is None or start >= DAY_MIN or end > DAY_MIN:
                raise BadEvent(
                    f"updates.business_hours.{day}", f"{text!r} is not a span HH:MM-HH:MM"
                )
            spans.append((midnight + start, midnight + (end if end > start else end + DAY_MIN)))
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
