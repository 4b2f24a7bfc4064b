"""What it is like outside: a region's newest weather and traffic, and their past."""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.events import ContextUpdate

CONDITIONS = ("sunny", "cloudy", "rain", "snow")


class ContextState(msgspec.Struct, frozen=True):
    """Weather, traffic and happenings of one region at one moment; `None` where unknown.

    `temp` is in degrees Celsius, `congestion` from 0 (free) to 1 (standstill).
    """

    timestamp_s: float
    temp: float | None = None
    condition: str | None = None
    congestion: float | None = None
    events: list[str] = []

    @classmethod
    def of(cls, update: ContextUpdate) -> "ContextState":
        """The state that an event states."""
        weather, traffic = update.weather, update.traffic
        return cls(
            timestamp_s=update.timestamp.timestamp(),
            temp=weather.temp if weather else None,
            condition=weather.condition if weather else None,
            congestion=traffic.congestion_level if traffic else None,
            events=list(update.events),
        )


@dataclass(frozen=True)
class Situation:
    """Where and when a request happens, and what it is like there; each float64[n] or [1].

    Attributes:
        lat, lng: of the user, degrees.
        now_s: Unix seconds.
        temp: degrees Celsius; NaN unknown or stale.
        condition: index in `CONDITIONS`; -1 unknown or stale.
        congestion: 0 to 1; NaN unknown or stale.
        context_age_s: seconds since the context was measured; NaN unknown.
    """

    lat: NDArray[np.float64]
    lng: NDArray[np.float64]
    now_s: NDArray[np.float64]
    temp: NDArray[np.float64]
    condition: NDArray[np.int8]
    congestion: NDArray[np.float64]
    context_age_s: NDArray[np.float64]


def situation(
    lat: float, lng: float, now_s: float, context: ContextState | None, *, stale_s: float
) -> Situation:
    """The situation of one request; a context older than `stale_s` seconds counts as unknown."""
    age_s = np.nan if context is None else max(now_s - context.timestamp_s, 0.0)
    fresh = context if context is not None and age_s <= stale_s else ContextState(now_s)
    one = {
        "lat": lat,
        "lng": lng,
        "now_s": now_s,
        "temp": _number(fresh.temp),
        "congestion": _number(fresh.congestion),
        "context_age_s": age_s,
    }
    condition = np.array([condition_code(fresh.condition)], np.int8)
    return Situation(condition=condition, **{k: np.array([v]) for k, v in one.items()})


def condition_code(condition: str | None) -> int:
    """Index in `CONDITIONS`, -1 for anything else."""
    return CONDITIONS.index(condition) if condition in CONDITIONS else -1


def _number(value: float | None) -> float:
    return np.nan if value is None else value


class ContextLog:
    """The past of every region's context, to be asked point in time."""

    def __init__(self, entries: list[tuple[str, ContextState]]) -> None:
        """Take (region, state) pairs in any order."""
        self._regions: dict[str, list[ContextState]] = {}
        for region, state in sorted(entries, key=lambda entry: entry[1].timestamp_s):
            self._regions.setdefault(region, []).append(state)

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the regions that have a past."""
        return tuple(self._regions)

    def at(
        self,
        region: str | None,
        lat: NDArray[np.float64],
        lng: NDArray[np.float64],
        time_s: NDArray[np.float64],
        *,
        stale_s: float,
    ) -> Situation:
        """Situations at some points and moments of one region (`None`: nothing is known)."""
        past = self._regions.get(region or "", [])
        stamps = np.array([-np.inf, *(s.timestamp_s for s in past)])
        index = np.searchsorted(stamps, time_s, side="right") - 1
        age_s = np.where(index > 0, time_s - stamps[index], np.nan)
        index = np.where((index > 0) & (age_s <= stale_s), index, 0)

        def column(values: list[float]) -> NDArray[np.float64]:
            return np.array([np.nan, *values], np.float64)[index]

        conditions = np.array([-1, *(condition_code(s.condition) for s in past)], np.int8)
        return Situation(
            lat=lat,
            lng=lng,
            now_s=time_s,
            temp=column([_number(s.temp) for s in past]),
            condition=conditions[index],
            congestion=column([_number(s.congestion) for s in past]),
            context_age_s=age_s,
        )
