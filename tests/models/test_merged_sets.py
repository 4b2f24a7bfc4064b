"""Two runs of choice sets become one, in order, and nothing of either is lost."""

from collections.abc import Iterator

import numpy as np
import pytest

from contracts.signatures import PARTS
from models.choice_sets import SET, ChoiceSets
from models.merged_sets import joined, merged
from models.moments import Moments
from online_features.definitions import USER


def _sets(before: list[int], run: int, *, told: bool = False) -> ChoiceSets:
    """Sets whose columns all say of which run they are, and what they know of the log."""
    n, at = len(before), np.array(before, np.int64)
    time_s = at.astype(np.float64) + 0.5
    mark = (100 * run + at).astype(np.float32)
    users = USER.empty(n)
    users["since_activity_s"]["latest_s"] = mark
    return ChoiceSets(
        places=np.full((n, SET), run, np.int32),
        log_expected=np.repeat(mark[:, None], SET, axis=1),
        features=np.broadcast_to(mark[:, None, None], (n, SET, 2)).astype(np.float16),
        crowd=np.full((n, SET, 4), run, np.uint8),
        users=users,
        moments=Moments(at, at.astype(np.uint64), at, time_s, time_s, time_s, time_s),
        told=np.full((n, SET, len(PARTS)), 7.0, np.float16) if told else None,
    )


def _run(blocks: list[list[int]], run: int, *, told: bool = False) -> Iterator[ChoiceSets]:
    return (_sets(before, run, told=told) for before in blocks)


@pytest.mark.parametrize(
    ("drawn", "shown"),
    [
        ([[1, 4, 6], [9, 9], [12]], [[4, 5, 8], [9, 20]]),
        ([[1, 2], [3]], [[7], [8, 9]]),
        ([[7]], [[1, 2], [3]]),
        ([[1, 2]], []),
        ([], [[1, 2], [2]]),
        ([[5, 5], [5]], [[5], [5, 5]]),
    ],
)
def test_sets_come_in_order_of_what_they_know(
    drawn: list[list[int]], shown: list[list[int]]
) -> None:
    """Whatever the blocks; every set once, with all of its own columns, and parts only if told."""
    both = joined(merged(_run(drawn, 0), _run(shown, 1, told=True)))
    counted = [(b, 0) for block in drawn for b in block] + [
        (b, 1) for block in shown for b in block
    ]
    found = list(zip(both.moments.before.tolist(), both.places[:, 0].tolist(), strict=True))
    assert sorted(found) == sorted(counted)
    assert (np.diff(both.moments.before) >= 0).all()
    mark = 100.0 * both.places[:, 0] + both.moments.before
    assert (both.log_expected[:, 5] == mark).all()
    assert (both.features[:, 5, 1] == mark).all()
    assert (both.users["since_activity_s"]["latest_s"] == mark).all()
    assert (both.crowd[:, 3, 2] == both.places[:, 0]).all()
    assert (both.moments.time_s == both.moments.before + 0.5).all()


def test_parts_are_told_of_those_that_were_served() -> None:
    """Of the others in the same block nothing is known: NaN."""
    block = next(merged(_run([[1, 3, 5]], 0), _run([[2, 5]], 1, told=True)))
    assert block.places[:, 0].tolist() == [0, 1, 0, 0, 1]
    assert block.told is not None
    assert np.isnan(block.told[block.places[:, 0] == 0]).all()
    assert (block.told[block.places[:, 0] == 1] == 7).all()


def test_no_more_than_a_block_of_each_is_held() -> None:
    """Sets are asked for when those before them are gone: millions may follow."""
    asked: list[int] = []

    def endless(run: int) -> Iterator[ChoiceSets]:
        number = 0
        while True:
            asked.append(run)
            yield _sets([10 * number + run, 10 * number + run + 5], run)
            number += 1

    both = merged(endless(0), endless(1))
    for _ in range(20):
        next(both)
    assert len(asked) <= 20 + 2
