"""The order of an answer: best first, with a light hand for variety."""

import subprocess
import sys

import numpy as np
import pytest

from inference.ordering import REPEAT_COST_RATIO, pick


def scores(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def kinds(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def test_different_categories_keep_the_scores_order() -> None:
    """Nothing repeats, nothing costs."""
    at, final = pick(scores(0.1, 0.9, 0.5), kinds(0, 1, 2), limit=3)
    assert at.tolist() == [1, 2, 0]
    assert final == pytest.approx([0.9, 0.5, 0.1])


def test_unknown_categories_are_no_repeats() -> None:
    """Two places of which we know nothing are not of one kind."""
    at, final = pick(scores(0.9, 0.89, 0.0), kinds(-1, -1, 3), limit=2)
    assert at.tolist() == [0, 1]
    assert final == pytest.approx([0.9, 0.89])


def test_a_repeat_gives_way_to_a_close_rival() -> None:
    """The second of a kind costs a share of the spread: enough for a rival just behind it."""
    cost = REPEAT_COST_RATIO * 1.0  # the head's scores span from 0 to 1
    at, final = pick(scores(1.0, 0.95, 0.95 - cost / 2, 0.0), kinds(0, 0, 1, 2), limit=3)
    assert at.tolist() == [0, 2, 1]
    assert final == pytest.approx([1.0, 0.95 - cost / 2, 0.95 - cost])


def test_a_much_better_repeat_still_comes_first() -> None:
    """The hand is light."""
    at, _ = pick(scores(1.0, 0.95, 0.5, 0.0), kinds(0, 0, 1, 2), limit=2)
    assert at.tolist() == [0, 1]


def test_one_category_alone_keeps_its_order() -> None:
    """With nothing else to show, costs change no order."""
    at, final = pick(scores(0.3, 0.2, 0.9, 0.1), kinds(5, 5, 5, 5), limit=4)
    assert at.tolist() == [2, 0, 1, 3]
    assert np.all(np.diff(final) <= 0)


def test_scores_never_rise_along_an_answer() -> None:
    """A caller may sort by score and get the same order, whatever the input."""
    rng = np.random.default_rng(5)
    for _ in range(50):
        values = rng.normal(size=300).astype(np.float32)
        at, final = pick(values, rng.integers(-1, 6, 300).astype(np.int32), limit=25)
        assert len(set(at.tolist())) == 25
        assert np.all(np.diff(final) <= 0)


def test_equal_scores_keep_the_order_they_came_in() -> None:
    """The same request gives the same answer."""
    at, _ = pick(scores(0.5, 0.5, 0.5), kinds(-1, -1, -1), limit=2)
    assert at.tolist() == [0, 1]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_places_than_wanted_are_all_returned(n: int) -> None:
    """A short list is no error."""
    at, final = pick(scores(*range(n)), kinds(*[0] * n), limit=10)
    assert sorted(at.tolist()) == list(range(n))
    assert len(final) == n


def test_the_first_request_finds_it_compiled() -> None:
    """In a process of its own: a server's start compiles what its requests run through."""
    code = """
import numpy as np
from inference import ordering, server
server._compile()
made = len(ordering._pick.signatures)
places = np.zeros((3, 2), np.int32)
ordering.pick(np.ones(3), places[:, 1], 2)
assert made == len(ordering._pick.signatures) == 1, made
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
