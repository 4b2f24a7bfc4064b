"""Times as messages write them, and local time for many moments at once."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

HOUR_S = 3_600
DAY_S = 86_400
WEEK_S = 7 * DAY_S
SLOT_S = 1_800
#: Half hours of a week: the grain of opening hours in the simulated city.
SLOTS = WEEK_S // SLOT_S
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0


def iso(time_s: float) -> str:
    """Unix seconds as `2024-01-15T10:30:00.000Z`, to the nearest millisecond."""
    moment = datetime.fromtimestamp(round(time_s * 1000) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_of(time_ms: np.ndarray) -> list[str]:
    """Unix milliseconds (int64[n]) in the format of `iso`."""
    return [f"{text}Z" for text in np.datetime_as_string(time_ms.astype("datetime64[ms]")).tolist()]


class LocalTime:
    """Local time of one zone, daylight saving included."""

    def __init__(self, zone: str) -> None:
        """Take the IANA name of the zone."""
        self._zone = ZoneInfo(zone)
        self._offset_s: dict[int, int] = {}

    def local_s(self, time_s: np.ndarray) -> np.ndarray:
        """Seconds since 1970-01-01 00:00 on the local clock (float64[n]), for Unix seconds."""
        # No zone changes its offset within a quarter of an hour.
        quarters, where = np.unique((time_s // 900).astype(np.int64), return_inverse=True)
        offsets = np.array([self._offset(int(q)) for q in quarters], dtype=np.float64)
        return np.asarray(time_s + offsets[where.reshape(np.shape(time_s))])

    def _offset(self, quarter: int) -> int:
        offset = self._offset_s.get(quarter)
        if offset is None:
            delta = datetime.fromtimestamp(quarter * 900, self._zone).utcoffset() or timedelta()
            offset = self._offset_s[quarter] = int(delta.total_seconds())
        return offset

    def midnight_s(self, day: int) -> float:
        """Unix seconds at which a local day (days since 1970-01-01) begins."""
        date = datetime(1970, 1, 1) + timedelta(days=day)
        return date.replace(tzinfo=self._zone).timestamp()


def day_of(local_s: np.ndarray) -> np.ndarray:
    """Local day, int64[n], counted from 1970-01-01."""
    return (local_s // DAY_S).astype(np.int64)


def hour_of(local_s: np.ndarray) -> np.ndarray:
    """Local hour 0..23, int64[n]."""
    return (local_s % DAY_S // HOUR_S).astype(np.int64)


def weekday_of(local_s: np.ndarray) -> np.ndarray:
    """Local weekday, int64[n]; Monday is 0."""
    return (day_of(local_s) + _EPOCH_WEEKDAY) % 7


def slot_of(local_s: np.ndarray) -> np.ndarray:
    """Half hour of the local week 0..335, int64[n], from Monday 00:00."""
    in_week = (local_s + _EPOCH_WEEKDAY * DAY_S) % WEEK_S
    return (in_week // SLOT_S).astype(np.int64)
