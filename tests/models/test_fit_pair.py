"""The choice sets of a training: of strangers among them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from contracts.settings import Settings
from models import dataset, fit_pair
from models.choice_sets import ChoiceSets, choice_sets
from models.progress import SILENT
from models.set_drawing import KNOWN
from models.set_plan import STRANGER, STRANGERS
from online_features.history import history
from tests.models.conftest import Data


def test_strangers_have_no_past_and_judge_nothing(
    data: Data, training: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share of the sets knows no place of its user and no event of theirs."""
    built = dataset.build(
        data.log,
        data.catalogue,
        data.context,
        seed=1,
        max_events=10**9,
        stale_s=10_800,
        train_rows=False,
    )
    made: list[ChoiceSets] = []

    def noted(*args: Any) -> Iterator[ChoiceSets]:
        for some in choice_sets(*args):
            made.append(some)
            yield some

    monkeypatch.setattr(fit_pair, "choice_sets", noted)
    fit_pair._sets(data.log, data.catalogue, built, training, SILENT)
    user = np.concatenate([some.moments.user for some in made])
    places = np.concatenate([some.places for some in made])
    states = np.concatenate([some.users for some in made])
    strange = user == STRANGER
    assert 0 < strange.mean() < 2 * STRANGERS
    assert not strange[-len(built.validation.moments) :].any()
    assert (places[strange, 1 : 1 + KNOWN] == -1).all()
    assert not history(states[strange]).ids.any()
