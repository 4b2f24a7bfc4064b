"""What users make of lists, against the true chances of the city."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from placestream.evaluation import business as module
from placestream.evaluation.business import PLAYS, Business, business
from placestream.simulation.city import City
from placestream.simulation.plan import Plan
from placestream.simulation.sessions import CLICK, RATE, VIEW, VISIT, Events

ENDING_S = 1_750_000_000.0
CLICK_AT, VISIT_AT = 1.6, 1.4


@pytest.fixture(scope="module")
def city() -> City:
    return City(Plan(users=80, places=120, days=12), ending_s=ENDING_S)


@pytest.fixture(scope="module")
def at(city: City) -> NDArray[np.int64]:
    """Where two hundred sessions begin."""
    _, first = np.unique(city.events.session, return_index=True)
    located = np.sort(first[~np.isnan(city.events.lat[first])])
    return located[-200:]


def _utility(city: City, at: NDArray[np.int64], lists: NDArray[np.int64]) -> NDArray[np.float64]:
    happened, time_s = city.events, city.events.time_ms[at] / 1_000
    user = happened.user[at].astype(np.int64)
    where = (happened.lat[at], happened.lng[at])
    return city.behaviour.utility(user, lists, time_s, *where, city.sky.at(time_s)).astype(float)


def test_a_list_of_one_is_opened_and_visited_as_its_utility_says(
    city: City, at: NDArray[np.int64]
) -> None:
    """Click-through is the mean chance of a click; a visit needs a second such chance, and a door
    that is open on arrival."""
    rows = np.random.default_rng(1).integers(0, len(city.places), (len(at), 1))
    worth = _utility(city, at, rows)[:, 0]
    found = business(city, at, np.pad(rows, ((0, 0), (0, 3)), constant_values=-1), seed=2)
    clicks = expit(worth - CLICK_AT)
    # Each request is played twenty times: the standard error of a mean of 4,000 shares.
    error = 4 * np.sqrt((clicks * (1 - clicks)).mean() / (PLAYS * len(at)))
    assert found.click_through.value == pytest.approx(clicks.mean(), abs=error)
    visits = clicks * expit(worth - VISIT_AT)
    assert found.conversion.value < visits.mean() + error
    assert found.conversion.value > 0.7 * visits.mean()


def test_better_lists_are_opened_and_visited_more(city: City, at: NDArray[np.int64]) -> None:
    """The best of all, the best last, and the worst of all."""
    every = np.broadcast_to(np.arange(len(city.places)), (len(at), len(city.places)))
    order = np.argsort(-_utility(city, at, every), axis=1)
    best, turned, worst = order[:, :10], order[:, 9::-1], order[:, :-11:-1]
    found = [business(city, at, lists, seed=2) for lists in (best, turned, worst)]
    for name in ("click_through", "conversion", "engagement_s"):
        first, second, third = (getattr(one, name).value for one in found)
        assert first > second > third


def test_the_same_seed_plays_the_same(city: City, at: NDArray[np.int64]) -> None:
    """And another one others."""
    lists = np.random.default_rng(1).integers(0, len(city.places), (len(at), 10))
    assert business(city, at, lists, seed=2) == business(city, at, lists, seed=2)
    assert business(city, at, lists, seed=2) != business(city, at, lists, seed=3)


def test_figures_are_counted_by_request() -> None:
    """Two requests of two users: of 4 looks 1 opened and of 1 none; 1 visit in 20 plays of the
    first, rated 2 and 5 stars there; 80 and 10 seconds of looking in all."""
    rows = [
        *((0, VIEW, 20.0, 0), (0, VIEW, 20.0, 0), (1, VIEW, 20.0, 0), (1, VIEW, 20.0, 0)),
        *((1, CLICK, np.nan, 0), (1, VISIT, 900.0, 0), (1, RATE, np.nan, 2), (0, RATE, 0.0, 5)),
        (PLAYS, VIEW, 10.0, 0),
    ]
    session, kind, dwell_s, stars = (np.array(column) for column in zip(*rows, strict=True))
    nothing = np.zeros(len(rows))
    events = Events(
        time_ms=nothing,
        user=nothing,
        place=nothing,
        kind=kind,
        lat=nothing,
        lng=nothing,
        stars=stars,
        dwell_s=dwell_s,
        session=session,
        code=nothing,
        device=nothing,
        query=nothing,
    )
    found: Business = module._business(events, np.array([7, 8]), seed=1)
    assert found.click_through.value == pytest.approx((1 / 4 + 0) / 2)
    assert found.conversion.value == pytest.approx(1 / PLAYS / 2)
    assert found.rating.value == pytest.approx(3.5)
    assert found.engagement_s.value == pytest.approx((80 + 10) / PLAYS / 2)
