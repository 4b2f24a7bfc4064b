"""Permutation importance: what is exchanged with what, and what comes of it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from contracts.signatures import PARTS
from models.holdout import Ranked
from models.importance import PART, exchanged, importances
from models.scoring import Scorer
from online_features.request import RANKING_COLUMNS

REQUESTS, PLACES = 60, 12
LEANED_ON = RANKING_COLUMNS.index("rating")


class Tensor:
    """An output as a tensor gives it."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def numpy(self) -> np.ndarray:
        """The values."""
        return self._values


def leaning_on(column: int) -> Scorer:
    """A ranker that orders by one column, and by nothing else."""

    def rank(**inputs: Any) -> dict[str, Any]:
        score = np.asarray(inputs["features"])[:, column]
        return {"score": Tensor(score), "probability": Tensor(score)}

    return Scorer(lambda **_: {}, rank, {})


def drawn() -> tuple[Any, Ranked]:
    """Requests whose target is the place that the column puts first; the last place is padding."""
    rng = np.random.default_rng(3)
    features = rng.normal(size=(REQUESTS, PLACES, len(RANKING_COLUMNS))).astype(np.float32)
    order = np.argsort(-features[:, :, LEANED_ON], axis=1)
    features = np.take_along_axis(features, order[:, :, None], axis=1)
    rows = np.argsort(rng.random((REQUESTS, PLACES)), axis=1)
    target = rows[:, 0].copy()
    rows[:, -1] = -1
    scores = np.where(rows >= 0, features[:, :, LEANED_ON], -np.inf).astype(np.float32)
    parts = np.full((REQUESTS, PLACES, len(PARTS)), np.nan, np.float32)
    holdout = SimpleNamespace(
        catalogue=SimpleNamespace(
            hash=np.arange(PLACES, dtype=np.uint64), category_hash=np.zeros(PLACES, np.uint64)
        ),
        moments=SimpleNamespace(place=target, user=np.arange(REQUESTS, dtype=np.uint64)),
    )
    return holdout, Ranked(rows, scores, scores, features, parts, np.zeros_like(scores))


def test_only_what_the_ranker_leans_on_is_important() -> None:
    """Always first before; the rank is by chance after. Parts that are all unknown are no input."""
    holdout, ranked = drawn()
    found = importances(holdout, ranked, leaning_on(LEANED_ON), seed=1, requests=REQUESTS)
    assert found[0].name == "rating"
    by_chance = np.mean([1 / np.log2(rank + 1) if rank <= 10 else 0 for rank in range(1, PLACES)])
    assert found[0].loss.value == pytest.approx(1 - by_chance, abs=0.1)
    assert found[0].loss.low > 0
    assert {one.loss.value for one in found[1:]} == {0.0}
    assert sorted(one.name for one in found) == sorted(RANKING_COLUMNS)
    assert not [one for one in found if one.name.startswith(PART)]


def test_only_the_first_places_are_ordered_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """With but the target left nothing can pass it, whatever is permuted."""
    holdout, ranked = drawn()
    monkeypatch.setattr("models.importance.FIRST", 1)
    found = importances(holdout, ranked, leaning_on(LEANED_ON), seed=1, requests=REQUESTS)
    assert {one.loss.value for one in found} == {0.0}


def test_what_is_one_value_a_request_stays_so() -> None:
    """Values move between requests, whole; padding is left alone."""
    listed = np.ones((40, 3), bool)
    listed[:, 2] = False
    values = np.repeat(np.arange(40, dtype=np.float32)[:, None], 3, axis=1)
    values[:, 2] = 0
    got = exchanged(values, listed, np.random.default_rng(1))
    assert got is not None
    assert (got[:, 0] == got[:, 1]).all()
    assert sorted(got[:, 0]) == list(range(40))
    assert list(got[:, 0]) != list(range(40))


def test_what_differs_within_a_request_moves_row_by_row() -> None:
    """The same values in other places, none lost, none from the padding."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(5, 4)).astype(np.float32)
    listed = rng.random((5, 4)) < 0.8
    got = exchanged(values, listed, rng)
    assert got is not None
    assert sorted(got[listed]) == sorted(values[listed])
    np.testing.assert_array_equal(got[~listed], values[~listed])


def test_one_value_everywhere_cannot_be_exchanged() -> None:
    """Nor can one that is unknown everywhere, or one of no places."""
    rng, listed = np.random.default_rng(1), np.ones((2, 2), bool)
    for value in (3.0, np.nan):
        assert exchanged(np.full((2, 2), value, np.float32), listed, rng) is None
    assert exchanged(np.zeros((2, 2), np.float32), ~listed, rng) is None
