"""How much of a fitted rhythm is kept, and what the rest is worth."""

import numpy as np
import pytest

from models.rhythm import DAY_S, WEEK_S, Swing, rhythm
from models.steadiness import Parts, answers_of, drawn, kept_of

N = 1_600
SHARE = np.full((2, 4), 0.25)
NOON = rhythm(np.array([3.5 * DAY_S]))[0]


def fitted(strength: float, time_s: np.ndarray, seed: int = 1) -> Swing:
    """Two columns of four bins: one follows the day so much, the other not at all."""
    rng = np.random.default_rng(seed)
    wave = strength * np.cos(2 * np.pi * time_s / DAY_S)
    p = np.stack([0.25 + wave, 0.25 - wave, np.full(N, 0.25), np.full(N, 0.25)], axis=1)
    followed = (rng.random((N, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=3)
    bins = np.stack([followed, rng.integers(0, 4, N)], axis=1)
    told = (bins[:, :, None] == np.arange(4)).astype(float)
    return Swing.of(rhythm(time_s), told.reshape(N, -1))


def weeks() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 2 * WEEK_S, N)


def test_a_rhythm_is_kept_as_far_as_chance_does_not_explain_it() -> None:
    """A strong one nearly whole; of a column that has none next to nothing, over many trainings."""
    kept = np.array([kept_of(fitted(0.2, weeks(), seed), SHARE, np.ones(2)) for seed in range(30)])
    assert kept[:, 0].min() > 0.8
    # F has a standard deviation of sqrt(2 / 39), 39 being 13 functions times 3 bins.
    assert kept[:, 1].mean() < 0.2
    assert kept[:, 1].max() < 1 - 1 / (1 + 4 * np.sqrt(2 / 39))


def test_what_answers_that_are_alike_show_counts_less() -> None:
    """Twice the variance of an answer explains twice as much."""
    swing = fitted(0.1, weeks())
    once, twice = (kept_of(swing, SHARE, np.full(2, effect))[0] for effect in (1.0, 2.0))
    assert 1 / (1 - twice) == pytest.approx(1 / (1 - once) / 2)


def test_drawn_is_between_the_fit_and_its_mean() -> None:
    """All kept is the fit, nothing kept is its mean at any hour, and half lies halfway."""
    time_s = weeks()
    swing, phi = fitted(0.2, time_s), rhythm(time_s)
    mean = swing.at(phi.mean(axis=0))
    whole, half, none = (drawn(swing, np.full(2, kept)).at(NOON) for kept in (1.0, 0.5, 0.0))
    assert whole == pytest.approx(swing.at(NOON))
    assert none == pytest.approx(mean)
    assert half == pytest.approx((whole + none) / 2)


def test_a_steady_column_is_known_at_any_hour() -> None:
    """With nothing kept of its rhythm all answers tell of noon; with all of it, as the fit says."""
    swing = fitted(0.2, weeks())
    of_all, of_none = answers_of(Parts.of(swing), np.array([1.0, 0.0]), NOON)
    assert of_all == pytest.approx(swing.answers(NOON))
    assert of_none == pytest.approx(N, rel=0.02)


def test_hours_that_were_not_seen_stay_unknown() -> None:
    """Five days from Monday: nothing says that Saturday is like them, of any column."""
    monday = 4 * DAY_S
    time_s = np.sort(np.random.default_rng(2).uniform(monday, monday + 5 * DAY_S, N))
    swing = fitted(0.0, time_s)
    tuesday, saturday = rhythm(monday + np.array([1.5, 5.5]) * DAY_S)
    parts, none = Parts.of(swing), np.zeros(2)
    assert answers_of(parts, none, saturday).max() < 30
    assert answers_of(parts, none, tuesday).min() > 500
