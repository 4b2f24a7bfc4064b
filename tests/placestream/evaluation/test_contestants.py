"""What our training gets to see, and which promises a contestant keeps."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.settings import Settings
from models import dataset
from models.moments import find_moments
from models.progress import SILENT
from models.quality.baselines.nearby import Nearest
from models.quality.leaks import Leak
from models.quality.methods import Method
from models.quality.newcomers import play_newcomers
from models.quality.requests import Cuts, Questions, Requests
from placestream.evaluation import contestants
from placestream.evaluation.contestants import Contest, baselines, fitted
from placestream.evaluation.material import Material


class _Seen(Exception):
    """Carries what a training was given."""


def test_the_judged_part_is_not_handed_to_the_training(
    material: Material, cuts: Cuts, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log ends at the cut, and what lies between train and cut only stops the training."""

    def build(events: Any, *_: Any, **named: Any) -> Any:
        parts = find_moments(events, material.catalogue, np.random.default_rng(1))
        codes = named["split"].codes(parts)
        raise _Seen(len(events), parts.before[codes == 0].max(), parts.before[codes == 1].min())

    monkeypatch.setattr(dataset, "build", build)
    with pytest.raises(_Seen) as seen:
        fitted(material, cuts, settings, SILENT)
    events, last_trained, first_held = seen.value.args
    assert events == cuts.known
    assert last_trained < cuts.train <= first_held


class _Peeking(Nearest):
    """Nearest, but for the target, which is first."""

    name = "peeking"

    def score(self, questions: Questions) -> NDArray[np.float32]:
        scores = super().score(questions).copy()
        scores[np.arange(len(questions)), questions.visits.place[questions.known]] = 1.0
        return scores


class _PeekingRecipe:
    start: dict[str, Any] = {}  # noqa: RUF012
    grid: dict[str, Any] = {}  # noqa: RUF012
    objective = "all"

    def make(self, **parameters: Any) -> Method:
        return _Peeking(**parameters)


def test_a_run_with_a_leaking_contestant_fails(
    material: Material, cuts: Cuts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted among the baselines, it does not reach the table."""
    monkeypatch.setattr(contestants, "recipes", lambda seed: [_PeekingRecipe()])
    requests = Requests.of(material.visits, cuts)
    contest = Contest(material, cuts, requests, play_newcomers(requests, seed=1))
    with pytest.raises(Leak, match="peeking peeks"):
        list(baselines(contest, 1, SILENT))
