"""Who falls into a canary: always the same, each as likely, and each experiment anew."""

import numpy as np
import pytest
from scipy.stats import chi2

from contracts.experiment import SLICES, Plan, plan_key, read_plan, shadow_key, slice_of

USERS = [f"user-{i}" for i in range(50_000)]


def plan(salt: str, share: float = 0.1) -> Plan:
    return Plan("e", "canary", salt, share, 2)


def chosen(salt: str, share: float = 0.1) -> np.ndarray:
    return np.array([plan(salt, share).takes(user) for user in USERS])


def test_a_user_stays() -> None:
    """The same slice in every process and for ever: this one was computed once."""
    assert slice_of("salt", "42") == 1946


def test_users_fall_evenly() -> None:
    """Over 100 equal ranges of slices: chi-square within its 99.9 %."""
    counts, _ = np.histogram([slice_of("s", user) for user in USERS], 100, (0, SLICES))
    expected = len(USERS) / 100
    assert ((counts - expected) ** 2 / expected).sum() < chi2.ppf(0.999, 99)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_a_share_is_kept(share: float) -> None:
    """Within four standard errors."""
    error = (share * (1 - share) / len(USERS)) ** 0.5
    assert abs(chosen("s", share).mean() - share) < 4 * error


def test_nobody_and_everybody() -> None:
    """A share of 0 takes none, of 1 all."""
    assert not chosen("s", 0.0).any()
    assert chosen("s", 1.0).all()


def test_experiments_choose_independently() -> None:
    """Of one canary, a tenth is in the next one: within four standard errors."""
    first, second = chosen("one"), chosen("two")
    both = second[first].mean()
    assert abs(both - 0.1) < 4 * (0.1 * 0.9 / first.sum()) ** 0.5


def test_a_larger_share_keeps_who_was_in() -> None:
    """Who was in at 10 % is in at 20 %."""
    assert chosen("s", 0.2)[chosen("s", 0.1)].all()


def test_salt_and_user_do_not_run_together() -> None:
    """`ab` + `c` is not `a` + `bc`."""
    assert slice_of("ab", "c") != slice_of("a", "bc")


def test_keys_share_a_node_of_a_cluster() -> None:
    """All in the trainer's hash tag, so that one script may touch them."""
    tags = {key.partition("}")[0] for key in (plan_key("p"), shadow_key("p", "e"))}
    assert tags == {"{p:retrain:v1"}


def test_what_is_no_plan_is_refused() -> None:
    """None is none; anything but a plan is a ValueError."""
    assert read_plan(None) is None
    for value in (b"{", b'{"experiment": 3}'):
        with pytest.raises(ValueError, match=r".+"):
            read_plan(value)
