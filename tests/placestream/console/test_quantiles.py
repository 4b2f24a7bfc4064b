"""Quantiles of histograms: PromQL's own rule, derived by hand."""

import math

import pytest

from placestream.console.quantiles import increase, quantile

#: 4 up to 1, 4 more up to 2, 2 beyond.
BUCKETS = {1.0: 4.0, 2.0: 8.0, math.inf: 10.0}


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.2, 0.5),  # the 2nd of 4 in the bucket from 0 to 1: half of it
        (0.4, 1.0),  # the 4th: its end
        (0.6, 1.5),  # the 6th: the 2nd of 4 in the bucket from 1 to 2
        (0.8, 2.0),
        (0.99, 2.0),  # beyond the last edge nothing is known but that edge
    ],
)
def test_linear_within_a_bucket(share: float, expected: float) -> None:
    """And the lower edge of the open one."""
    assert quantile(BUCKETS, share) == pytest.approx(expected)


def test_nothing_has_no_quantile() -> None:
    """Neither no bucket nor empty ones."""
    assert quantile({}, 0.5) is None
    assert quantile({1.0: 0.0, math.inf: 0.0}, 0.5) is None


def test_increase_is_what_came_since() -> None:
    """Bucket by bucket; a bucket that was not there before began at nothing."""
    before = {1.0: 1.0, math.inf: 2.0}
    assert increase(BUCKETS, before) == {1.0: 3.0, 2.0: 8.0, math.inf: 8.0}


def test_a_process_that_began_anew_counts_from_nothing() -> None:
    """Counts that fell were reset, as PromQL takes it."""
    assert increase({1.0: 1.0, math.inf: 1.0}, BUCKETS) == {1.0: 1.0, math.inf: 1.0}
