"""The people of a simulated city, in columns: tastes, homes, habits."""

from dataclasses import dataclass

import numpy as np

from contracts.events import AGE_GROUPS
from placestream.simulation.categories import GROUP_OF, GROUPS
from placestream.simulation.places import STYLES, Neighbourhoods, to_degrees
from placestream.simulation.plan import Plan

#: Share of each age group, and what it adds to the tastes in `GROUPS` (same order).
_AGES = (
    # share, meals, sweets, drinks, culture, outdoors, shopping, fitness
    (0.04, 0.0, 0.8, -4.0, 0.0, 0.6, 0.3, 0.0),
    (0.20, 0.1, 0.3, 0.9, 0.1, -0.2, 0.3, 0.4),
    (0.27, 0.2, 0.2, 0.7, 0.1, -0.1, 0.1, 0.5),
    (0.19, 0.2, 0.1, 0.1, 0.0, 0.6, 0.1, 0.2),
    (0.13, 0.2, 0.0, -0.1, 0.2, 0.4, 0.1, 0.0),
    (0.10, 0.1, 0.1, -0.5, 0.5, 0.3, 0.0, -0.3),
    (0.07, 0.0, 0.3, -1.2, 0.7, 0.3, -0.1, -0.7),
)
_HOME_TILT = {"residential": 3.0, "green": 1.5, "student": 1.5, "business": 0.3}
_WORK_TILT = {"business": 4.0, "shopping": 1.5, "student": 1.5, "residential": 0.4, "green": 0.3}
_WORKS = np.array([0.0, 0.75, 0.9, 0.9, 0.9, 0.75, 0.1])
#: Hours at which people are about: (hour, width, height), workdays and weekends.
_ABOUT = (
    ((8.0, 1.2, 0.8), (12.5, 1.2, 1.0), (18.5, 2.2, 1.5), (21.5, 1.8, 0.7)),
    ((11.0, 2.2, 1.1), (15.5, 2.5, 1.2), (19.5, 2.2, 1.2), (23.0, 1.6, 0.6)),
)
_NIGHT_FLOOR = 0.015


@dataclass(frozen=True)
class Users:
    """Users in columns [U]; the row is the user everywhere in the simulation.

    Attributes:
        age: index in `AGE_GROUPS`.
        home_lat, home_lng: degrees.
        work_lat, work_lng: degrees; those who do not work have their home here.
        works: bool.
        reach_m: distance in metres at which a place loses one unit of utility.
        budget: price level up to which price does not matter, 1..4.
        thrift: utility lost for each price level above the budget.
        loyalty: utility that a favourite place gains.
        activity: sessions a day.
        group_taste: liking of each latent group, float32[U, G].
        category_taste: liking of each category beyond its group, float32[U, C].
        style_taste: liking of each style, float32[U, STYLES].
        hours: share of sessions by workday or weekend and local hour, float64[U, 2, 24].
        weekdays: relative activity of each weekday, float64[U, 7], mean 1.
    """

    age: np.ndarray
    home_lat: np.ndarray
    home_lng: np.ndarray
    work_lat: np.ndarray
    work_lng: np.ndarray
    works: np.ndarray
    reach_m: np.ndarray
    budget: np.ndarray
    thrift: np.ndarray
    loyalty: np.ndarray
    activity: np.ndarray
    group_taste: np.ndarray
    category_taste: np.ndarray
    style_taste: np.ndarray
    hours: np.ndarray
    weekdays: np.ndarray

    def __len__(self) -> int:
        """Number of users."""
        return len(self.age)


def draw_group_taste(age: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Liking of each latent group, float32[U, G], for users of these ages."""
    means = np.array(_AGES)[:, 1:]
    drawn = means[age] + rng.normal(0, 0.9, (len(age), len(GROUPS)))
    return np.asarray(drawn, np.float32)


def make_users(plan: Plan, areas: Neighbourhoods, rng: np.random.Generator) -> Users:
    """Draw the people of the city."""
    count = plan.users
    share = np.array(_AGES)[:, 0]
    age = rng.choice(len(AGE_GROUPS), count, p=share / share.sum())
    home_lat, home_lng = _addresses(plan, areas, _HOME_TILT, rng)
    work_lat, work_lng = _addresses(plan, areas, _WORK_TILT, rng)
    works = rng.random(count) < _WORKS[age]
    activity = np.exp(rng.normal(0, 0.7, count))
    weekdays = rng.gamma(6.0, 1.0, (count, 7)) * np.array([0.9, 0.9, 0.95, 1.0, 1.15, 1.2, 0.95])
    return Users(
        age=age,
        home_lat=home_lat,
        home_lng=home_lng,
        work_lat=np.where(works, work_lat, home_lat),
        work_lng=np.where(works, work_lng, home_lng),
        works=works,
        reach_m=np.exp(rng.normal(np.log(1_100), 0.45, count)).astype(np.float32),
        budget=rng.uniform(1.0, 3.5, count).astype(np.float32),
        thrift=np.exp(rng.normal(np.log(0.5), 0.5, count)).astype(np.float32),
        loyalty=rng.uniform(0.6, 2.8, count).astype(np.float32),
        activity=activity * plan.sessions_per_day / activity.mean(),
        group_taste=draw_group_taste(age, rng),
        category_taste=rng.normal(0, 0.6, (count, len(GROUP_OF))).astype(np.float32),
        style_taste=rng.normal(0, 0.35, (count, STYLES)).astype(np.float32),
        hours=_hours(count, rng),
        weekdays=weekdays / weekdays.mean(axis=1, keepdims=True),
    )


def _addresses(
    plan: Plan, areas: Neighbourhoods, tilt: dict[str, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    weight = areas.weight * np.array([tilt.get(name, 1.0) for name in areas.character])
    area = rng.choice(len(weight), plan.users, p=weight / weight.sum())
    spread = areas.radius_m[area] / 1.3
    east_m = areas.east_m[area] + rng.normal(0, 1, plan.users) * spread
    north_m = areas.north_m[area] + rng.normal(0, 1, plan.users) * spread
    return to_degrees(plan, east_m, north_m)


def _hours(count: int, rng: np.random.Generator) -> np.ndarray:
    """Early and late risers: the common curve, shifted, each bump weighed by the user's habit."""
    hour = np.arange(24) + 0.5
    shift = rng.normal(0, 0.9, count)
    hours = np.full((count, 2, 24), _NIGHT_FLOOR)
    for kind, bumps in enumerate(_ABOUT):
        for peak, width, height in bumps:
            away = np.abs(hour[None, :] - (peak + shift)[:, None]) % 24
            away = np.minimum(away, 24 - away)
            habit = height * rng.gamma(2.0, 0.5, count)
            hours[:, kind] += habit[:, None] * np.exp(-0.5 * (away / width) ** 2)
    return np.asarray(hours / hours.sum(axis=2, keepdims=True))
