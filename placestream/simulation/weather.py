"""Weather, traffic and happenings of a simulated city, hour by hour."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from placestream.simulation.categories import HAPPENINGS
from placestream.simulation.times import HOUR_S, LocalTime, day_of, hour_of, iso, weekday_of

CONDITIONS = ("sunny", "cloudy", "rain", "snow")
SUNNY, CLOUDY, RAIN, SNOW = range(4)
#: Hourly Markov chain of the sky: sunny, cloudy, wet (rain, or snow below `_SNOW_BELOW`).
_NEXT = np.cumsum(((0.90, 0.09, 0.01), (0.10, 0.80, 0.10), (0.02, 0.18, 0.80)), axis=1)
_SNOW_BELOW = 0.5
_HAPPENING_DAYS = 0.25


@dataclass(frozen=True)
class Outside:
    """What it is like outside, in columns [n].

    Attributes:
        temp: degrees Celsius, float32.
        condition: index in `CONDITIONS`, int64.
        congestion: 0 free .. 1 standstill, float32.
        happening: 0 none, else 1 + index in `HAPPENINGS`, int64.
    """

    temp: np.ndarray
    condition: np.ndarray
    congestion: np.ndarray
    happening: np.ndarray

    def take(self, rows: np.ndarray | slice) -> "Outside":
        """Some of the rows."""
        return Outside(
            self.temp[rows], self.condition[rows], self.congestion[rows], self.happening[rows]
        )


class Sky:
    """The weather and the traffic from one hour on, drawn hour by hour as far as asked for."""

    def __init__(self, start_s: float, lat: float, local: LocalTime, rng: np.random.Generator):
        """Begin at the full hour before `start_s` (Unix seconds)."""
        self._first = int(start_s // HOUR_S)
        self._north = lat >= 0
        self._local = local
        self._rng = rng
        self._wetness, self._swing = int(rng.integers(3)), float(rng.normal(0, 2))
        self._happening, self._day = 0, -1
        self._hours: list[tuple[float, int, float, int]] = []

    def at(self, time_s: np.ndarray) -> Outside:
        """What it is like at these moments (Unix seconds, [n]); before the start, as then."""
        index = np.maximum((time_s // HOUR_S).astype(np.int64) - self._first, 0)
        self._grow(int(index.max(initial=0)) + 1)
        unique, where = np.unique(index, return_inverse=True)
        drawn = np.array([self._hours[i] for i in unique.tolist()]).reshape(-1, 4)[where]
        return Outside(
            temp=drawn[:, 0].astype(np.float32),
            condition=drawn[:, 1].astype(np.int64),
            congestion=drawn[:, 2].astype(np.float32),
            happening=drawn[:, 3].astype(np.int64),
        )

    def updates(self, from_s: float, to_s: float) -> Iterator[dict[str, Any]]:
        """One `ContextUpdate` at each full hour in [from_s, to_s)."""
        first = max(math.ceil(from_s / HOUR_S), self._first)
        for hour in range(first, math.ceil(to_s / HOUR_S)):
            self._grow(hour - self._first + 1)
            yield self._update(hour)

    def _update(self, hour: int) -> dict[str, Any]:
        temp, condition, congestion, happening = self._hours[hour - self._first]
        return {
            "timestamp": iso(hour * HOUR_S),
            "weather": {"temp": temp, "condition": CONDITIONS[condition]},
            "events": [list(HAPPENINGS)[happening - 1]] if happening else [],
            "traffic": {"congestion_level": congestion},
        }

    def _grow(self, hours: int) -> None:
        while len(self._hours) < hours:
            self._hours.append(self._draw((self._first + len(self._hours)) * HOUR_S))

    def _draw(self, time_s: float) -> tuple[float, int, float, int]:
        """Draw one hour: always the same number of draws, so that no hour shifts another."""
        sky, swing, noise, happens, which = self._rng.random(5).tolist()
        local_s = self._local.local_s(np.array([time_s]))
        day, hour = int(day_of(local_s)[0]), int(hour_of(local_s)[0])
        self._wetness = int(np.searchsorted(_NEXT[self._wetness], sky, side="right"))
        self._swing = 0.97 * self._swing + 1.4 * (swing - 0.5)
        temp = self._season(day) + 4.5 * math.cos((hour - 15) / 12 * math.pi) + self._swing
        temp = round(temp + (1.5, 0.0, -2.5)[self._wetness], 1)
        condition = self._wetness + (self._wetness == RAIN and temp < _SNOW_BELOW)
        if day != self._day:
            self._day = day
            drawn = 1 + int(which * len(HAPPENINGS))
            self._happening = drawn if happens < _HAPPENING_DAYS else 0
        weekend = int(weekday_of(local_s)[0]) >= 5
        congestion = (
            _rush(hour, weekend) + (0.12 if condition >= RAIN else 0) + 0.16 * (noise - 0.5)
        )
        return temp, condition, round(min(1.0, max(0.0, congestion)), 2), self._running(hour)

    def _season(self, day: int) -> float:
        """Mean temperature of the season, degrees Celsius; warmest in late July in the north."""
        wave = math.cos((day % 365.25 - 205) / 365.25 * 2 * math.pi)
        return 12.0 + (12.0 if self._north else -12.0) * wave

    def _running(self, hour: int) -> int:
        if not self._happening:
            return 0
        starts, ends, _ = HAPPENINGS[list(HAPPENINGS)[self._happening - 1]]
        return self._happening if starts <= hour < ends else 0


def _rush(hour: int, weekend: bool) -> float:
    """Usual congestion at a local hour: two rush hours on workdays, a mild afternoon else."""
    if weekend:
        return 0.08 + 0.3 * math.exp(-0.5 * ((hour - 14) / 3.5) ** 2)
    morning = math.exp(-0.5 * ((hour - 8) / 1.2) ** 2)
    evening = math.exp(-0.5 * ((hour - 17.5) / 1.6) ** 2)
    return 0.1 + 0.6 * morning + 0.65 * evening
