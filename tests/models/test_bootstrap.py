"""Intervals by resampling users."""

import numpy as np
import pytest
from scipy import stats

from models.bootstrap import intervals


def test_without_clusters_it_equals_scipys_bootstrap() -> None:
    """The percentile method on 400 rows, each its own cluster."""
    values = np.random.default_rng(1).exponential(1.0, 400)
    found = intervals(values[:, None], np.arange(400), seed=2, replicates=4_000)[0]
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=4_000, method="percentile", rng=3
    ).confidence_interval
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(expected.low, abs=0.01)
    assert found.high == pytest.approx(expected.high, abs=0.01)


def test_requests_that_repeat_their_user_are_worth_one() -> None:
    """Ten copies of each row: the interval is that of the rows, not a third of it."""
    values = np.random.default_rng(1).normal(0, 1, 200)
    once = intervals(values[:, None], np.arange(200), seed=2)[0]
    copied = intervals(np.repeat(values, 10)[:, None], np.repeat(np.arange(200), 10), seed=2)[0]
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))


def test_users_count_by_their_requests() -> None:
    """The mean is over requests: user 0 has three of four."""
    values = np.array([1.0, 1.0, 1.0, 0.0])
    assert intervals(values[:, None], np.array([0, 0, 0, 1]), seed=1)[0].value == 0.75


def test_it_covers_the_truth_as_often_as_it_says() -> None:
    """Of 200 samples of 60 users with a trait each, about 95 % of the intervals hold 0."""
    rng = np.random.default_rng(8)
    covered = 0
    for seed in range(200):
        trait = rng.normal(0, 1, 60)
        user = np.repeat(np.arange(60), 5)
        values = trait[user] + rng.normal(0, 1, 300)
        found = intervals(values[:, None], user, seed=seed, replicates=300)[0]
        covered += found.low <= 0 <= found.high
    assert 0.9 <= covered / 200 <= 0.98


def test_the_seed_decides() -> None:
    """The same one gives the same interval."""
    values = np.random.default_rng(1).normal(0, 1, (50, 2))
    user = np.arange(50) // 5
    assert intervals(values, user, seed=4) == intervals(values, user, seed=4)
    assert intervals(values, user, seed=4) != intervals(values, user, seed=5)


def test_nothing_has_no_interval() -> None:
    """Said, not NaN."""
    with pytest.raises(ValueError, match="at least one"):
        intervals(np.empty((0, 1)), np.empty(0, int), seed=1)
