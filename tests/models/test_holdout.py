"""Held-out requests: what the two stages let through, and in which order."""

from typing import Any

import numpy as np
import pytest

from contracts.settings import Settings
from contracts.signatures import PARTS
from models.dataset import build
from models.holdout import Holdout, OtherFeatures, Reach
from models.scoring import Scorer
from models.training_rows import Dataset
from online_features.request import RANKING_COLUMNS
from tests.models.conftest import Data

STALE_S = 3 * 3_600.0
NEAR = RANKING_COLUMNS.index("distance_log_km")


class _Answer:
    """An output as a tensor gives it."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def numpy(self) -> np.ndarray:
        return self._values


def _nearest_candidates(**inputs: Any) -> dict[str, Any]:
    metres = np.asarray(inputs["distance_m"])
    none = np.zeros((len(metres), 0), np.int32), np.zeros((len(metres), 0, len(PARTS)), "f4")
    return dict(zip(("scores", "best", "parts"), map(_Answer, (-metres, *none)), strict=True))


def _nearest_ranker(**inputs: Any) -> dict[str, Any]:
    score = -np.asarray(inputs["features"])[:, NEAR]
    return {"score": _Answer(score), "probability": _Answer(1 / (1 + np.exp(-score)))}


NEAREST = Scorer(_nearest_candidates, _nearest_ranker, {})


@pytest.fixture(scope="module")
def dataset(data: Data) -> Dataset:
    return build(data.log, data.catalogue, data.context, seed=5, max_events=10**9, stale_s=STALE_S)


def _holdout(data: Data, dataset: Dataset, reach: Reach, requests: int = 60) -> Holdout:
    return Holdout(
        data.log,
        data.catalogue,
        data.context,
        dataset.test,
        reach,
        stale_s=STALE_S,
        seed=1,
        requests=requests,
    )


def test_models_that_put_the_nearest_first_score_as_the_nearest_first(
    data: Data, dataset: Dataset
) -> None:
    """Through all of both stages, with 30 of 200 places let through."""
    holdout = _holdout(data, dataset, Reach(200, 50_000, 30))
    metrics, plain = holdout.evaluate(NEAREST), holdout.nearest_first()
    for name, value in plain.items():
        assert metrics[name] == pytest.approx(value)
    assert 0 < metrics["mrr"] < 1


def test_a_place_that_is_not_let_through_is_not_found(data: Data, dataset: Dataset) -> None:
    """Recall of the candidate stage is the share of targets among the 30 nearest."""
    holdout = _holdout(data, dataset, Reach(200, 50_000, 30))
    metrics = holdout.evaluate(NEAREST)
    nearest = [rows[:30] for rows, _ in holdout._near]
    hits = [t in rows for t, rows in zip(holdout.moments.place, nearest, strict=True)]
    assert metrics["candidate_recall_at_30"] == pytest.approx(np.mean(hits))
    assert metrics["near_recall"] == 1.0
    assert metrics["recall_at_10"] <= metrics["candidate_recall_at_30"] < 1


def test_what_cannot_be_reached_cannot_be_found(data: Data, dataset: Dataset) -> None:
    """With the 5 nearest places in reach, nothing else is ever listed; short lists are padded."""
    holdout = _holdout(data, dataset, Reach(5, 50_000, 30))
    ranked = holdout.answer(NEAREST)
    assert ((ranked.rows >= 0).sum(axis=1) == 5).all()
    metrics = holdout.evaluate(NEAREST)
    assert metrics["near_recall"] == metrics["candidate_recall_at_30"] < 1


def test_lists_are_ordered_by_the_score(data: Data, dataset: Dataset) -> None:
    """And features travel with their place."""
    ranked = _holdout(data, dataset, Reach(200, 50_000, 30)).answer(NEAREST)
    assert (np.diff(ranked.scores, axis=1) <= 0).all()
    np.testing.assert_allclose(-ranked.features[:, :, NEAR], ranked.scores)
    np.testing.assert_allclose(
        np.log1p(ranked.distance_m / 1_000), ranked.features[:, :, NEAR], rtol=1e-3, atol=1e-4
    )


def test_another_feature_set_cannot_be_judged(data: Data, dataset: Dataset) -> None:
    """A pair from before a change of features has no comparable scores."""
    holdout = _holdout(data, dataset, Reach(200, 50_000, 30), requests=5)
    old = Scorer(_nearest_candidates, _nearest_ranker, {"feature_set": "old"})
    with pytest.raises(OtherFeatures, match="old"):
        holdout.evaluate(old)


def test_reach_is_the_services(data: Data) -> None:
    """The same numbers as the service's settings."""
    settings = Settings(_env_file=None, near_places=7, max_radius_m=9, candidates=5)
    assert Reach.of(settings) == Reach(7, 9, 5)
