"""Times: every column agrees with the standard library, moment by moment."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from placestream.simulation.times import (
    LocalTime,
    day_of,
    hour_of,
    iso,
    iso_of,
    slot_of,
    weekday_of,
)

ZONE = "America/Chicago"
#: Around 2024-03-10 08:00 UTC, when clocks in Chicago jump from 02:00 to 03:00.
JUMP_S = datetime(2024, 3, 10, 8, tzinfo=UTC).timestamp()


def test_local_columns_agree_with_zoneinfo_across_daylight_saving() -> None:
    """Day, weekday, hour and half hour of the week are those of the wall clock."""
    time_s = JUMP_S + np.arange(-36, 36) * 1_117.0
    local_s = LocalTime(ZONE).local_s(time_s)
    wall = [datetime.fromtimestamp(t, ZoneInfo(ZONE)) for t in time_s]
    assert hour_of(local_s).tolist() == [w.hour for w in wall]
    assert weekday_of(local_s).tolist() == [w.weekday() for w in wall]
    epoch = datetime(1970, 1, 1).toordinal()
    assert day_of(local_s).tolist() == [w.toordinal() - epoch for w in wall]
    slots = [w.weekday() * 48 + w.hour * 2 + w.minute // 30 for w in wall]
    assert slot_of(local_s).tolist() == slots


def test_midnight_is_where_the_local_day_begins() -> None:
    """A day of 23 hours begins and ends at local midnight too."""
    local = LocalTime(ZONE)
    day = datetime(2024, 3, 10).toordinal() - datetime(1970, 1, 1).toordinal()
    assert local.midnight_s(day + 1) - local.midnight_s(day) == 23 * 3_600
    assert local.local_s(np.array([local.midnight_s(day)])) % 86_400 == 0


def test_iso_is_one_format_for_one_and_for_many() -> None:
    """Both writers agree, and Python reads back the same millisecond."""
    time_ms = np.array([0, 1_718_000_000_123, 946_684_800_000])
    texts = iso_of(time_ms)
    assert texts == [iso(ms / 1000) for ms in time_ms.tolist()]
    assert [round(datetime.fromisoformat(t).timestamp() * 1000) for t in texts] == time_ms.tolist()
