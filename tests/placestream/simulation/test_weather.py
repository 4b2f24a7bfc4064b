"""Weather and traffic."""

import numpy as np
from msgspec import convert

from contracts.events import ContextUpdate
from placestream.simulation.times import HOUR_S, LocalTime
from placestream.simulation.weather import CLOUDY, CONDITIONS, RAIN, SNOW, SUNNY, Sky

START_S = 1_704_067_200.0  # 2024-01-01 00:00 UTC
YEAR_HOURS = 366 * 24


def make_sky(seed: int = 3) -> Sky:
    """A sky over Iowa from New Year's Eve (local time) on."""
    return Sky(START_S, 41.6, LocalTime("America/Chicago"), np.random.default_rng(seed))


def test_order_of_asking_does_not_change_the_weather() -> None:
    """An hour is what it is, whether asked for first or last."""
    time_s = START_S + np.arange(500) * 1_000.0
    forward, backward = make_sky(), make_sky()
    there = forward.at(time_s)
    back = [backward.at(t) for t in (time_s[400:], time_s[:400])]
    np.testing.assert_array_equal(there.temp, np.concatenate([back[1].temp, back[0].temp]))
    np.testing.assert_array_equal(
        there.congestion, np.concatenate([back[1].congestion, back[0].congestion])
    )


def test_updates_say_what_users_feel() -> None:
    """Each hourly update decodes, and holds the very weather that choices see."""
    sky = make_sky()
    updates = list(sky.updates(START_S + 5, START_S + 48 * HOUR_S))
    assert len(updates) == 47  # the full hours 1..47
    for update in updates:
        told = convert(update, ContextUpdate)
        felt = sky.at(np.array([told.timestamp.timestamp()]))
        assert told.weather is not None
        assert told.traffic is not None
        assert told.weather.condition == CONDITIONS[felt.condition[0]]
        assert np.float32(told.weather.temp or 0.0) == felt.temp[0]
        assert np.float32(told.traffic.congestion_level or 0.0) == felt.congestion[0]
        assert bool(told.events) == bool(felt.happening[0])


def test_a_year_has_its_seasons_and_its_rush_hours() -> None:
    """July is warmer than January, snow is cold, skies persist, workday evenings are jammed."""
    time_s = START_S + np.arange(YEAR_HOURS) * HOUR_S
    year = make_sky().at(time_s)
    month = time_s.astype("datetime64[s]").astype("datetime64[M]").astype(int) % 12
    assert year.temp[month == 6].mean() > year.temp[month == 0].mean() + 10
    assert set(np.unique(year.condition)) == {SUNNY, CLOUDY, RAIN, SNOW}
    assert year.temp[year.condition == SNOW].max() < year.temp[year.condition == RAIN].min() + 1
    # Independent hours would agree as often as two drawn at random do.
    kept = (year.condition[1:] == year.condition[:-1]).mean()
    by_chance = ((np.bincount(year.condition) / YEAR_HOURS) ** 2).sum()
    assert kept > by_chance + 0.2
    utc_hour, workday = (time_s // HOUR_S) % 24, (time_s // 86_400 + 3) % 7 < 5
    evening = year.congestion[workday & (utc_hour == 23)]  # 17:00 or 18:00 in Chicago
    night = year.congestion[workday & (utc_hour == 8)]
    assert evening.mean() > night.mean() + 0.3
