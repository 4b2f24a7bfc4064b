"""Opening hours against a plain reading of what a document says."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from holidays import list_supported_countries
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import BadEvent, Location, PlaceDocument
from online_features.catalogue import Catalogue
from online_features.holiday import is_holiday
from online_features.hours import CLOSED, OPEN, UNKNOWN, Hours
from online_features.opening import DAYS, HOLIDAY, MAX_SPECIAL_DAYS, special_days

EPOCH = datetime(1970, 1, 1)
#: A week around two public holidays of the United States: Thursday 25 December 2025, and 1 January.
FIRST = date(2025, 12, 21)
CHRISTMAS, NEW_YEAR = "2025-12-25", "2026-01-01"


def _times(text: str, day: date) -> tuple[datetime, datetime]:
    start, end = (
        datetime(day.year, day.month, day.day) + timedelta(hours=int(t[:2]), minutes=int(t[3:]))
        for t in text.split("-")
    )
    return start, end if end > start else end + timedelta(days=1)


def said_of(place: PlaceDocument, day: date) -> list[str] | None:
    """The spans that hold on a day, by the narrowest layer that speaks of it; None: unknown."""
    special = place.special_hours or {}
    if special.get(day.isoformat()) is not None:
        return special[day.isoformat()]
    weekly = place.business_hours
    if place.holiday_calendar and day.isoformat() in (CHRISTMAS, NEW_YEAR):
        return None if weekly is None else weekly.get(HOLIDAY)
    return None if weekly is None else weekly.get(DAYS[day.weekday()], [])


def oracle(place: PlaceDocument, at: datetime) -> int:
    """One place at one local time, by hand."""
    for day in (at.date(), at.date() - timedelta(days=1)):
        for text in said_of(place, day) or ():
            start, end = _times(text, day)
            if start <= at < end:
                return OPEN
    return UNKNOWN if said_of(place, at.date()) is None else CLOSED


span = st.tuples(st.integers(0, 23), st.integers(0, 24)).map(
    lambda t: f"{t[0]:02}:00-{t[1]:02}:{'00' if t[1] == 24 else '30'}"
)
spans = st.lists(span, max_size=2)
weeks = st.dictionaries(st.sampled_from([*DAYS, HOLIDAY]), spans, max_size=8)
dates = st.integers(0, 13).map(lambda d: (FIRST + timedelta(days=d)).isoformat())


@st.composite
def places(draw: st.DrawFn) -> PlaceDocument:
    special: dict[str, list[str] | None] | None = draw(
        st.none() | st.dictionaries(dates, st.none() | spans, max_size=6)
    )
    return PlaceDocument(
        place_id="p",
        business_hours=draw(st.none() | weeks),
        holiday_calendar=draw(st.sampled_from([None, "US"])),
        special_hours=special,
    )


@given(st.lists(places(), min_size=1, max_size=12), st.integers(0, 13), st.integers(0, 1_439))
def test_hours_are_what_a_plain_reading_says(
    documents: list[PlaceDocument], day: int, minute: int
) -> None:
    """Three layers, spans past midnight, and rows that are written over."""
    hours = Hours()
    for row, document in enumerate(documents):
        hours.write(row, documents[-row])  # what was there before leaves no trace
        hours.write(row, document)
    at = datetime(FIRST.year, FIRST.month, FIRST.day) + timedelta(days=day, minutes=minute)
    minutes = np.full(len(documents), int((at - EPOCH).total_seconds() // 60))
    found = hours.state(np.arange(len(documents)), minutes).tolist()
    assert found == [oracle(document, at) for document in documents]


def test_a_row_that_nobody_wrote_is_unknown() -> None:
    """Before the first place, past the last, and where a history names a place that is not here."""
    hours = Hours()
    hours.write(0, PlaceDocument(place_id="p", business_hours={}))
    assert hours.state(np.array([0, 5, 5_000, -1]), np.zeros(4, np.int64)).tolist() == [
        CLOSED,
        UNKNOWN,
        UNKNOWN,
        UNKNOWN,
    ]


def test_thousands_of_places_keep_their_hours() -> None:
    """Tables grow without losing what they hold."""
    hours = Hours()
    for row in range(3_000):
        more: dict[str, Any] = {"special_hours": {"1970-01-02": ["00:00-24:00"]}} if row % 7 else {}
        hours.write(row, PlaceDocument(place_id=str(row), business_hours={"thu": []}, **more))
    rows = np.arange(3_000)
    assert (hours.state(rows, np.zeros(3_000, np.int64)) == CLOSED).all()
    second_day = hours.state(rows, np.full(3_000, 1_500))
    assert second_day.tolist() == [OPEN if row % 7 else CLOSED for row in range(3_000)]


def test_holidays_are_those_of_the_place() -> None:
    """Independence Day is one in New York and none in Berlin; Lincoln's birthday only in part."""

    def day(year: int, month: int, day: int) -> int:
        return (date(year, month, day) - date(1970, 1, 1)).days

    assert is_holiday("US", day(2026, 7, 4))
    assert not is_holiday("DE", day(2026, 7, 4))
    assert is_holiday("US-NY", day(2026, 2, 12))
    assert not is_holiday("US", day(2026, 2, 12))


def test_each_of_many_calendars_is_read_by_its_own() -> None:
    """Parts of countries, more of them than fit beside a day into 32 bits."""
    parts = [f"{c}-{p}" for c, of in sorted(list_supported_countries().items()) for p in of]
    hours, new_year = Hours(), (date.fromisoformat(NEW_YEAR) - EPOCH.date()).days
    for row, part in enumerate(parts):
        weekly = {"thu": ["00:00-24:00"], HOLIDAY: []}
        document = PlaceDocument(
            place_id=part, business_hours=weekly, holiday_calendar=part, version=1
        )
        hours.write(row, document)
    minute = np.full(len(parts), new_year * 1_440 + 600)
    expected = [CLOSED if is_holiday(part, new_year) else OPEN for part in parts]
    assert len(parts) > 600
    assert {CLOSED, OPEN} == set(expected)
    assert hours.state(np.arange(len(parts)), minute).tolist() == expected


def test_opening_on_a_holiday_is_not_guessed() -> None:
    """In the place's own time: weekly hours are no promise for Christmas, stated ones are."""
    catalogue = Catalogue()
    week: dict[str, Any] = {
        "business_hours": {day: ["10:00-18:00"] for day in DAYS},
        "time_zone": "America/New_York",
        "location": Location(0, 0),
    }
    stated = week["business_hours"] | {HOLIDAY: ["12:00-16:00"]}
    for name, more in {
        "no calendar": {},
        "silent": {"holiday_calendar": "US"},
        "stated": {"holiday_calendar": "US", "business_hours": stated},
        "closed": {"holiday_calendar": "US", "special_hours": {CHRISTMAS: []}},
        "no zone": {"time_zone": None},
    }.items():
        catalogue.upsert(PlaceDocument(place_id=name, **(week | more)))

    def at(day: int, hour: int) -> list[int]:
        moment = datetime(2025, 12, day, hour, tzinfo=ZoneInfo("America/New_York"))
        found: list[int] = catalogue.open_state(np.arange(5), moment.timestamp()).tolist()
        return found

    assert at(24, 11) == [OPEN, OPEN, OPEN, OPEN, UNKNOWN]
    assert at(25, 11) == [OPEN, UNKNOWN, CLOSED, CLOSED, UNKNOWN]
    assert at(25, 13) == [OPEN, UNKNOWN, OPEN, CLOSED, UNKNOWN]
    # Still the 24th in New York, at three in the morning of Christmas in Greenwich.
    late = datetime(2025, 12, 25, 3, tzinfo=UTC).timestamp()
    assert catalogue.open_state(np.arange(5), late).tolist() == [CLOSED] * 4 + [UNKNOWN]


@pytest.mark.parametrize(
    ("hours", "field"),
    [
        ({"25 December": []}, "updates.special_hours.25 December"),
        ({"2026-02-30": []}, "updates.special_hours.2026-02-30"),
        ({CHRISTMAS: ["noon"]}, f"updates.special_hours.{CHRISTMAS}"),
        (
            {(FIRST + timedelta(days=d)).isoformat(): [] for d in range(MAX_SPECIAL_DAYS + 1)},
            "updates.special_hours",
        ),
    ],
)
def test_bad_days_are_named(hours: dict[str, list[str] | None], field: str) -> None:
    """By the day, or by the whole where there are too many."""
    with pytest.raises(BadEvent) as caught:
        special_days(hours)
    assert caught.value.field == field


def test_a_document_that_is_refused_changes_nothing() -> None:
    """Neither hours nor name."""
    catalogue = Catalogue()
    good = PlaceDocument(place_id="p", name="old", time_zone="UTC", business_hours={})
    catalogue.upsert(good)
    with pytest.raises(BadEvent, match="holiday_calendar"):
        catalogue.upsert(PlaceDocument(place_id="p", name="new", holiday_calendar="Atlantis"))
    assert list(catalogue.names) == ["old"]
    assert catalogue.open_state(np.array([0]), 0.0).tolist() == [CLOSED]
