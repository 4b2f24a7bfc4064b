"""Thompson sampling, and the chance that each place had."""

import numpy as np
import pytest
from scipy.stats import beta

from inference.exploration import CELLS, MOST_VIEWS, POOL, Tries, chances, explore
from online_features.definitions import PLACE
from tests.inference.fakes import NOON_S, events

DAY_S = 86_400.0


def pool(seed: int, n: int = POOL) -> Tries:
    """Places with very different pasts: never shown up to shown a thousand times."""
    rng = np.random.default_rng(seed)
    views = np.floor(10 ** rng.uniform(-0.5, 3, n))
    return Tries(np.floor(views * rng.uniform(0, 0.3, n)), views)


def frequencies(tries: Tries, slots: int, draws: int) -> np.ndarray:
    """How often each place was chosen, by doing it."""
    rng = np.random.default_rng(7)
    chosen = [explore(tries, slots, rng)[0] for _ in range(draws)]
    return np.bincount(np.concatenate(chosen), minlength=len(tries.views)) / draws


def drawn_at_once(tries: Tries, slots: int, draws: int) -> np.ndarray:
    """The same choice, all draws at once."""
    a, b = tries.beta()
    drawn = np.random.default_rng(7).beta(a, b, (draws, len(a)))
    chosen = np.argsort(-drawn, axis=1, kind="stable")[:, :slots]
    return np.bincount(chosen.ravel(), minlength=len(a)) / draws


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_the_chance_is_the_frequency(slots: int) -> None:
    """Within five standard errors, for every place of the pool."""
    tries, draws = pool(slots), 20_000
    counted, worked_out = drawn_at_once(tries, slots, draws), chances(tries, slots)
    error = np.sqrt(worked_out * (1 - worked_out) / draws)
    assert np.all(np.abs(counted - worked_out) < 5 * error + 1e-4)


def test_explore_chooses_as_the_draws_say() -> None:
    """The function itself, fewer times: its own frequencies are its own chances."""
    tries, draws = pool(3, 6), 1_500
    counted, worked_out = frequencies(tries, 2, draws), chances(tries, 2)
    assert np.all(np.abs(counted - worked_out) < 5 * np.sqrt(0.25 / draws))


@pytest.mark.parametrize("slots", [1, 3, 10])
def test_chances_add_up_to_the_slots(slots: int) -> None:
    """Each slot goes to exactly one place."""
    for seed in range(5):
        assert chances(pool(seed), slots).sum() == pytest.approx(slots, rel=1e-3)


def test_every_chance_is_a_propensity() -> None:
    """Also of places so unlike that roundings show: an impression with 1 + 1e-16 is no event."""
    rng = np.random.default_rng(3)
    for _ in range(300):
        views = np.floor(10 ** rng.uniform(0, 5, 12))
        tries = Tries(np.floor(views * rng.choice([0.0, 1.0], 12)), views)
        found = chances(tries, int(rng.integers(1, 6)))
        assert found.min() > 0
        assert found.max() <= 1


def test_two_places_by_the_integral() -> None:
    """P(X > Y) of two Betas, by an integral that the standard library of statistics makes."""
    tries = Tries(np.array([3.0, 0.0]), np.array([40.0, 5.0]))
    (a, c), (b, d) = tries.beta()
    x = np.linspace(0, 1, 200_001)
    first_wins = np.trapezoid(beta.pdf(x, a, b) * beta.cdf(x, c, d), x)
    assert chances(tries, 1) == pytest.approx([first_wins, 1 - first_wins], abs=20 / CELLS**2)


def test_what_is_unknown_gets_more_chances_than_what_failed() -> None:
    """Never shown beats shown a hundred times without a click; one that is liked beats both."""
    tries = Tries(np.array([0.0, 0.0, 60.0]), np.array([0.0, 100.0, 200.0]))
    unknown, failed, liked = chances(tries, 1)
    assert liked > unknown > 10 * failed


def test_places_alike_have_equal_chances() -> None:
    """Nothing but the past of a place decides."""
    tries = Tries(np.zeros(POOL), np.zeros(POOL))
    assert chances(tries, 3) == pytest.approx([3 / POOL] * POOL, rel=1e-3)


def test_a_pool_no_larger_than_the_slots_is_shown_whole() -> None:
    """With certainty; an empty one shows nothing."""
    at, chance = explore(pool(1, 2), 3, np.random.default_rng(1))
    assert sorted(at.tolist()) == [0, 1]
    assert chance.tolist() == [1.0, 1.0]
    assert len(explore(pool(1, 0), 3, np.random.default_rng(1))[0]) == 0


def test_very_many_views_count_as_fewer() -> None:
    """At the same rate, so that what changed can still be found out."""
    a, b = Tries(np.array([1e5]), np.array([1e6])).beta()
    assert a + b == pytest.approx(MOST_VIEWS + 20)
    assert a / (a + b) == pytest.approx(0.1)


def test_tries_are_read_from_the_states_of_places() -> None:
    """Views and clicks of 28 days, by the definition that the feature has."""
    log = events(
        ("u", "p", "view", 60.0), ("v", "p", "view", DAY_S), ("w", "p", "view", 40 * DAY_S),
        ("u", "p", "visit", 50.0),
    )  # fmt: skip
    states = PLACE.empty(2)
    PLACE.fold(states, np.zeros(len(log), np.int64), log)
    tries = Tries.of(states, NOON_S)
    assert (tries.views.tolist(), tries.clicks.tolist()) == ([2.0, 0.0], [0.0, 0.0])
