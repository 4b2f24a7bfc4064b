"""What a model says must be of use, value by value, or the next step of the ladder answers."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.model_client import Prediction
from tests.inference.asking import ask
from tests.inference.fakes import FakeModels

Array = NDArray[Any]


class Odd(FakeModels):
    """Says what it says, but for one output."""

    def __init__(self, name: str, change: Callable[[Array], Array]) -> None:
        super().__init__()
        self._name, self._change = name, change

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, tuple[int, ...]],
        timeout_s: float,
        signature: str = "",
    ) -> Prediction:
        said = await super().predict(model, inputs, outputs, timeout_s, signature)
        if self._name in said.outputs:
            said.outputs[self._name] = self._change(said.outputs[self._name])
        return said


@pytest.mark.parametrize(
    ("name", "change", "cause"),
    [
        ("scores", lambda it: it.astype(object), "output 'scores' holds object, not floats"),
        ("scores", lambda it: it.astype(np.uint8), "output 'scores' holds uint8, not floats"),
        ("best", lambda it: it[:, :-1], "output 'best' has 4 values, 'parts' 5 rows"),
        ("best", lambda it: it + 1, "output 'best' holds positions outside of the 5 places"),
        ("best", lambda it: it - 1, "output 'best' holds positions outside of the 5 places"),
        ("best", lambda it: it + 0.5, "output 'best' holds float64, not whole numbers"),
        ("parts", lambda it: it.astype(np.int64), "output 'parts' holds int64, not floats"),
        ("score", lambda it: it.astype(bytes), "output 'score' holds |S32, not floats"),
        ("probability", lambda it: it + 7, "output 'probability' holds values that lie not"),
        ("probability", lambda it: it - 1, "output 'probability' holds values that lie not"),
        ("probability", lambda it: it > 0, "output 'probability' holds bool, not floats"),
    ],
)
def test_an_odd_answer_is_none(name: str, change: Callable[[Array], Array], cause: str) -> None:
    """The answer comes from the next step and says so; no error, and no odd number in it."""
    answer = ask(models=Odd(name, change))
    assert len(answer.places) == 3
    assert answer.level != pb.DEGRADATION_NONE
    assert cause in answer.causes[0]
    assert all(p.probability is None or 0 <= p.probability <= 1 for p in answer.places)
