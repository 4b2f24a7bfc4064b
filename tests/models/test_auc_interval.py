"""The interval of a difference of AUC: its centre, its width, and users who are alike."""

import numpy as np
import pytest

from models import evaluation
from models.auc_interval import auc_difference

N, EACH = 400, 5


def rows(rng: np.random.Generator, good: float) -> tuple[np.ndarray, np.ndarray]:
    """Choices beside four others each, and a score in which the choice stands out by `good`."""
    label = np.tile(np.arange(EACH) == 0, N)
    return label, rng.normal(size=N * EACH) + good * label


def test_the_centre_is_the_difference_of_both() -> None:
    """Ties among the scores included."""
    rng = np.random.default_rng(1)
    label, new = rows(rng, 1.0)
    old = np.round(rng.normal(size=len(label)) + 0.5 * label)
    interval = auc_difference(label, new, old, np.repeat(np.arange(N), EACH))
    expected = evaluation.auc(label, new) - evaluation.auc(label, old)
    assert interval.value == pytest.approx(expected)
    assert interval.low < interval.value < interval.high


def test_equal_scores_differ_by_nothing_surely() -> None:
    """However they are scaled: AUC knows the order alone."""
    rng = np.random.default_rng(2)
    label, score = rows(rng, 1.0)
    interval = auc_difference(label, score, 3 * score + 1, np.arange(len(label)))
    assert (interval.value, interval.low, interval.high) == (0, 0, 0)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Two models that are equally good, 200 times: 0 lies outside in about 5 % of them."""
    rng = np.random.default_rng(3)
    user = np.repeat(np.arange(N), EACH)
    outside = 0
    for _ in range(200):
        (label, one), (_, other) = rows(rng, 1.0), rows(rng, 1.0)
        outside += auc_difference(label, one, other, user).excludes_zero
    # Binomial: 10 of 200, and twice its standard deviation of 3.1 twice over.
    assert outside <= 22


def test_users_who_are_alike_widen_it() -> None:
    """Every choice written down ten times under the same user tells no more than once."""
    rng = np.random.default_rng(4)
    (label, one), (_, other) = rows(rng, 1.0), rows(rng, 0.8)
    user = np.repeat(np.arange(N), EACH)
    once = auc_difference(label, one, other, user)
    many = [np.tile(column, 10) for column in (label, one, other, user)]
    tenfold = auc_difference(many[0], many[1], many[2], many[3])
    assert tenfold.value == pytest.approx(once.value)
    assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low, rel=1e-6)
    label, one, other, _ = many
    alone = auc_difference(label, one, other, np.arange(len(label)))
    assert alone.high - alone.low < 0.4 * (once.high - once.low)


def test_one_class_has_no_auc() -> None:
    """It says so."""
    with pytest.raises(ValueError, match="at least one"):
        auc_difference(np.ones(3, bool), np.ones(3), np.ones(3), np.arange(3))
