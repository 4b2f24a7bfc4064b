"""Two pairs on the same requests: gains, slices, and intervals that hold what they say."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models.comparison import LEAST_USERS, NEW_BELOW, OVERALL, compare, gains, slices
from models.holdout import Ranked

USERS, EACH = 80, 4
REQUESTS = USERS * EACH
#: Degrees that lead into another neighbourhood.
FAR = 0.1


def ranked(rank: np.ndarray) -> Ranked:
    """Answers of ten places each that put the target, place 0, at a rank; 11: not at all."""
    rows = np.tile(np.arange(1, 11), (len(rank), 1))
    listed = rank <= 10
    rows[np.flatnonzero(listed), rank[listed] - 1] = 0
    scores = np.tile(-np.arange(10.0, dtype=np.float32), (len(rank), 1))
    none = np.zeros((len(rank), 10), np.float32)
    return Ranked(rows, scores, none, none[:, :, None], none[:, :, None], none)


def holdout(seed: int = 1) -> Any:
    """Requests of 80 users: half of them new, in two categories and two neighbourhoods."""
    rng = np.random.default_rng(seed)
    user = np.arange(REQUESTS, dtype=np.uint64) // EACH
    return SimpleNamespace(
        moments=SimpleNamespace(
            place=np.zeros(REQUESTS, np.int64),
            user=user,
            lat=40 + FAR * (user % 2),
            lng=np.full(REQUESTS, -74.0),
        ),
        user_events=np.where(user % 2, NEW_BELOW, NEW_BELOW - 1),
        place_visits=np.full(REQUESTS, 100),
        categories=np.where(rng.uniform(size=REQUESTS) < 0.5, "cafe", "bar"),
    )


def test_gain_is_that_of_the_rank() -> None:
    """1 / log2(rank + 1) down to rank 10, 0 for a place that is not listed."""
    got = gains(ranked(np.array([1, 3, 10, 11])), np.zeros(4, np.int64))
    np.testing.assert_allclose(got, [1, 0.5, 1 / np.log2(11), 0])


def test_a_loss_on_new_users_is_found_there_and_not_elsewhere() -> None:
    """New users fall from rank 1 to 3 (gain 1 to 0.5); the others keep their rank."""
    data = holdout()
    new_user = data.user_events < NEW_BELOW
    parts = {
        part.name: part
        for part in compare(
            data, ranked(np.where(new_user, 3, 1)), ranked(np.ones(REQUESTS, np.int64)), seed=1
        )
    }
    assert parts["new_users"].difference.value == pytest.approx(-0.5)
    assert parts["new_users"].difference.high == pytest.approx(-0.5)
    assert (parts["new_users"].new, parts["new_users"].in_service) == (0.5, 1.0)
    assert parts[OVERALL].difference.value == pytest.approx(-0.25)
    assert parts[OVERALL].difference.low < -0.25 < parts[OVERALL].difference.high < 0
    old_cell = [p for p in parts.values() if p.part == "neighbourhood" and p.new == 1.0]
    assert [p.difference.value for p in old_cell] == [0.0]


def test_slices_say_what_they_hold() -> None:
    """Each request lies in one category and one neighbourhood; places that are known in none."""
    found = list(slices(holdout()))
    names = [name for _, name, _ in found]
    assert names[0] == "new_users"
    assert {"category cafe", "category bar"} < set(names)
    for kind in ("category", "neighbourhood"):
        rows = np.concatenate([rows for part, _, rows in found if part == kind])
        assert sorted(rows) == list(range(REQUESTS))


def test_a_slice_of_few_users_is_not_judged() -> None:
    """One user below the least: no interval, no verdict."""
    data = holdout()
    rank = ranked(np.ones(REQUESTS, np.int64))
    for users, judged in ((LEAST_USERS - 1, False), (LEAST_USERS, True)):
        data.user_events = np.where(data.moments.user < users, 0, NEW_BELOW)
        assert ("new_users" in {p.name for p in compare(data, rank, rank, seed=1)}) is judged


@pytest.mark.slow
def test_two_equal_pairs_differ_by_chance_in_no_more_than_one_of_twenty() -> None:
    """200 times the same pair twice, ranks drawn anew: a sure loss in 5 % at most, + 3 se."""
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        one, other = (ranked(rng.integers(1, 12, REQUESTS)) for _ in range(2))
        parts = compare(holdout(seed), one, other, seed=seed)
        wrong += any(p.difference.high < 0 for p in parts if p.part != OVERALL)
    # One side of an interval of 95 %: 2.5 %; sampling error of 200 draws and a percentile
    # bootstrap of 40 users, which is a little narrow, are allowed for.
    assert wrong <= 200 * (0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5)
