"""What lists lead to on the simulated city: its users are shown them, and do what they would do.

The users' own funnel is played (`placestream/simulation/sessions.py`): how many places are looked
at, which are opened, where they go, what they rate, all by the true utility. Only what they look at
is the list's. Each request is played several times, every list with the same chances.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.bootstrap import Interval, intervals
from placestream.simulation.city import City
from placestream.simulation.sessions import CLICK, RATE, VIEW, VISIT, Events, Starts, play_shown

#: How often each request is played.
PLAYS = 20
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Business:
    """Of one way to choose the places shown.

    Attributes:
        click_through: share of the places looked at that are opened.
        conversion: share of the requests that end in a visit.
        rating: mean stars of the visits that are rated, 1 to 5; NaN if none is.
        engagement_s: seconds spent on looking at places, a request.
    """

    click_through: Interval
    conversion: Interval
    rating: Interval
    engagement_s: Interval


def business(city: City, at: NDArray[np.int64], lists: NDArray[np.int64], seed: int) -> Business:
    """Play requests with their lists.

    Args:
        city: whose users they are.
        at: int64[r], positions of the events that begin the sessions.
        lists: int64[r, k], rows of the city's places, best first; -1 pads.
        seed: of the chances, and of the intervals.
    """
    happened, often = city.events, np.repeat(np.arange(len(at)), PLAYS)
    of = at[often]
    starts = Starts(
        user=happened.user[of].astype(np.int64),
        time_s=happened.time_ms[of] / 1_000,
        lat=happened.lat[of],
        lng=happened.lng[of],
        session=np.arange(len(of)),
    )
    rng = np.random.default_rng(seed)
    played = play_shown(starts, lists[often], city.behaviour, city.places, city.sky, rng)
    return _business(played.events, happened.user[at], seed)


def _business(events: Events, user: NDArray[np.integer], seed: int) -> Business:
    """Figures of what r requests led to; `user` [r] is whose they are."""
    request = events.session // PLAYS

    def total(kind: int, values: Floats | None = None) -> Floats:
        mine = events.kind == kind
        weights = None if values is None else values[mine]
        return np.bincount(request[mine], weights, len(user)).astype(np.float64)

    looks, rated = total(VIEW), total(RATE)
    plain = np.stack(
        [
            total(CLICK) / np.maximum(looks, 1),
            total(VISIT) / PLAYS,
            total(VIEW, events.dwell_s.astype(np.float64)) / PLAYS,
        ],
        axis=1,
    )
    click_through, conversion, engagement_s = intervals(plain, user, seed=seed)
    said, rating = rated > 0, Interval(np.nan, np.nan, np.nan)
    if said.any():
        stars = total(RATE, events.stars.astype(np.float64))[said] / rated[said]
        (rating,) = intervals(stars[:, None], user[said], seed=seed)
    return Business(click_through, conversion, rating, engagement_s)
