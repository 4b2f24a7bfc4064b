"""The best of many scores: exact and in order, wherever a model says that they are."""

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.candidates import _best


def _expected(scores: NDArray[np.float32], keep: int) -> NDArray[np.int64]:
    return np.argsort(-scores, kind="stable")[:keep]


@pytest.mark.parametrize("values", [5, 50, 1_000_000])
@pytest.mark.parametrize("keep", [1, 20, 199, 200, 500])
def test_the_best_come_in_order_with_any_guess(keep: int, values: int) -> None:
    """Of few distinct scores many are equal: those keep their order."""
    rng = np.random.default_rng(keep + values)
    scores = rng.integers(0, values, 300).astype(np.float32)
    best = _expected(scores, 300)
    guesses: dict[str, NDArray[np.integer] | None] = {
        "none": None,
        "nothing": best[:0],
        "too few": best[: keep - 1],
        "just the best": rng.permutation(best[:keep]),
        "the best and some": rng.permutation(best[: keep + 30]).astype(np.int32),
        "the worst": best[::-1],
        "one of them, again and again": np.repeat(best[:1], 300),
        "any": rng.integers(0, 300, 256),
    }
    for name, guess in guesses.items():
        found = _best(scores, keep, guess)
        np.testing.assert_array_equal(found, _expected(scores, keep), err_msg=name)
