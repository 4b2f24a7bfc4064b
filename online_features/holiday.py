"""Public holidays by country, or part of one; from the package `holidays`."""

from datetime import date
from functools import lru_cache

import holidays
from holidays.registry import COUNTRIES

from contracts.events import BadEvent

#: Names that countries go by. The package finds all that it holds by name, the month `MAR` too.
_COUNTRIES = frozenset(name for names in COUNTRIES.values() for name in names)
_EPOCH = date(1970, 1, 1).toordinal()


@lru_cache(maxsize=1_024)
def calendar(code: str) -> holidays.HolidayBase:
    """The public holidays of a country (`US`), or of a part of it (`US-NY`, ISO 3166).

    Raises:
        BadEvent: none of that name is known.
    """
    country, _, part = code.partition("-")
    unknown = BadEvent(
        "updates.holiday_calendar",
        f"{code!r} is not a country or a part of one (as US or US-NY) with known holidays",
    )
    if country not in _COUNTRIES:
        raise unknown
    try:
        return holidays.country_holidays(country, subdiv=part or None)
    except NotImplementedError as error:
        raise unknown from error


@lru_cache(maxsize=65_536)
def is_holiday(code: str, day: int) -> bool:
    """Whether a day (counted from 1970-01-01) is a public holiday of a calendar."""
    return date.fromordinal(_EPOCH + day) in calendar(code)
