"""Parts by time, and choices whose outcome was not yet known."""

import numpy as np
import pytest

from models.moments import Moments
from models.split import Split, SplitAt, TooFewEvents


def _moments(time_s: np.ndarray, known_s: np.ndarray) -> Moments:
    zeros = np.zeros(len(time_s))
    hashes = zeros.astype(np.uint64)
    rows = zeros.astype(np.int64)
    return Moments(np.arange(len(time_s)), hashes, rows, time_s, known_s, zeros, zeros)


def test_parts_follow_one_another_in_time() -> None:
    """A hundred moments known at once: 80, 10, 10, the newest last."""
    time_s = np.arange(100.0)
    codes = Split(least=1).codes(_moments(time_s, time_s))
    assert codes.tolist() == [0] * 80 + [1] * 10 + [2] * 10


def test_an_outcome_from_the_next_part_is_no_label_of_this_one() -> None:
    """Asked before the cut, known after it: such a label would be a look ahead."""
    time_s = np.arange(100.0)
    known_s = time_s.copy()
    known_s[[78, 79]] = 85.0
    known_s[99] = 500.0
    codes = Split(least=1).codes(_moments(time_s, known_s))
    assert codes[[77, 78, 79, 80, 99]].tolist() == [0, -1, -1, 1, 2]


def test_equal_times_stay_together() -> None:
    """A cut never runs through a moment."""
    time_s = np.repeat(np.arange(10.0), 10)
    codes = Split(least=1).codes(_moments(time_s, time_s))
    assert all(len(set(codes[time_s == second].tolist())) == 1 for second in range(10))


@pytest.mark.parametrize("moments", [0, 50, 150])
def test_too_few_moments_are_told_with_their_number(moments: int) -> None:
    """Under 20 in a part nothing is learned and nothing judged."""
    time_s = np.arange(float(moments))
    with pytest.raises(TooFewEvents, match=f"^{moments} visits"):
        Split().codes(_moments(time_s, time_s))


def test_parts_at_a_position_of_the_log_and_no_test() -> None:
    """Train before position 60, validation from it on."""
    codes = SplitAt(60).codes(_moments(np.arange(100.0), np.arange(100.0)))
    assert codes.tolist() == [0] * 60 + [1] * 40


def test_a_choice_known_only_across_the_position_belongs_to_no_part() -> None:
    """Asked at second 59, it became known when validation had begun, at second 60."""
    time_s = np.arange(100.0)
    known_s = time_s.copy()
    known_s[59] = 61
    codes = SplitAt(60).codes(_moments(time_s, known_s))
    assert codes[58:61].tolist() == [0, -1, 1]


def test_a_position_that_leaves_too_little_is_refused() -> None:
    """Ten moments to validate on are too few."""
    with pytest.raises(TooFewEvents, match="need at least 20"):
        SplitAt(90).codes(_moments(np.arange(100.0), np.arange(100.0)))
