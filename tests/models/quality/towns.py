"""Visits of small towns, written out or drawn."""

from collections.abc import Sequence

import numpy as np

from models.quality.visits import VisitLog

START_S = 1_300_000_000.0
HOUR_S, DAY_S = 3_600.0, 86_400.0
#: One degree of latitude, metres, on the sphere of `online_features.geo`.
DEGREE_M = 111_195.08


def visits_of(rows: Sequence[tuple[int, int, float]], places: int, users: int = 0) -> VisitLog:
    """Rows of (user, place, hours after the start); place p lies p * 100 m north of place 0."""
    user, place, hours = (np.array(column) for column in zip(*rows, strict=True))
    return VisitLog(
        user=user.astype(np.int64),
        place=place.astype(np.int64),
        time_s=START_S + hours.astype(np.float64) * HOUR_S,
        users=users or int(user.max()) + 1,
        lat=np.arange(places) * 100 / DEGREE_M,
        lng=np.zeros(places),
    )


def drawn_town(users: int = 40, places: int = 60, each: int = 60, seed: int = 5) -> VisitLog:
    """People with some haunts near home, each at its hour, and now and then a place near by."""
    rng = np.random.default_rng(seed)
    lat, lng = rng.normal(40.7, 0.02, places), rng.normal(-74.0, 0.02, places)
    rows = []
    for person in range(users):
        home = rng.integers(places)
        near = np.argsort((lat - lat[home]) ** 2 + (lng - lng[home]) ** 2)[:15]
        haunts, hours = rng.choice(near, 4, replace=False), rng.uniform(6, 23, 4)
        for day in rng.uniform(0, 120, each):
            habit = int(rng.integers(4))
            if rng.random() < 0.7:
                place, hour = haunts[habit], hours[habit] + rng.normal(0, 0.7)
            else:
                place, hour = rng.choice(near), rng.uniform(8, 22)
            rows.append((person, int(place), float(int(day) * DAY_S + hour * HOUR_S)))
    user, place, time_s = (np.array(column) for column in zip(*rows, strict=True))
    order = np.argsort(time_s, kind="stable")
    return VisitLog(
        user[order].astype(np.int64),
        place[order].astype(np.int64),
        START_S + time_s[order],
        users,
        lat,
        lng,
    )
