"""The sequential check of shares: its formula, its false alarms, and what it finds."""

import math

import numpy as np
import pytest

from retrain.sample_ratio import ALPHA, mismatch_p


def test_the_bayes_factor_of_one_user_is_one() -> None:
    """The mixture expects the intended shares: the first user cannot speak against them."""
    assert mismatch_p([1, 0], [0.9, 0.1]) == pytest.approx(1.0)
    assert mismatch_p([0, 0], [0.9, 0.1]) == 1.0


def test_two_users_by_hand() -> None:
    """Weight 10, shares a half: P(both in one) is 5/10 * 6/11 under the mixture, 1/4 without."""
    assert mismatch_p([2, 0], [0.5, 0.5], weight=10) == pytest.approx((1 / 4) / (5 / 10 * 6 / 11))


def test_looking_after_every_user_alarms_as_seldom_as_promised() -> None:
    """At 5 %, 200 runs of 2,000 users, each looked at after every tenth user."""
    rng, alarms = np.random.default_rng(5), 0
    for _ in range(200):
        canary = np.cumsum(rng.random(2_000) < 0.1)
        alarms += any(
            mismatch_p([i + 1 - int(canary[i]), int(canary[i])], [0.9, 0.1]) < 0.05
            for i in range(0, 2_000, 10)
        )
    assert alarms / 200 <= 0.05


def test_a_tenth_of_the_canary_lost_is_found() -> None:
    """9.1 % in place of 10 %, among 60,000 users."""
    assert mismatch_p([54_540, 5_460], [0.9, 0.1]) < ALPHA
    assert mismatch_p([54_000, 6_000], [0.9, 0.1]) == 1.0


@pytest.mark.parametrize("shares", [[1.0, 0.0], [0.5, 0.6], [1.0]])
def test_shares_must_be_shares(shares: list[float]) -> None:
    """What nobody can fall to cannot be tested."""
    with pytest.raises(ValueError, match="shares"):
        mismatch_p([3, 4], shares)


def test_many_users_do_not_overflow() -> None:
    """A billion users in the right shares."""
    assert math.isfinite(mismatch_p([900_000_000, 100_000_000], [0.9, 0.1]))
