"""Which signatures fit this service, and that each version is asked for them once."""

import asyncio
from typing import Any

import numpy as np
import pytest

from contracts.signatures import CROWD, PARTS, features_mark, is_mark
from inference.model_client import ANY, BadModelAnswer, Prediction
from inference.model_contract import DOUBT_S, MARK, CheckedModels, fault_of
from online_features.definitions import FEATURE_SET
from online_features.request import RANKING_COLUMNS

WIDTH = len(RANKING_COLUMNS)
GOOD = {"features": (ANY, WIDTH), "parts": (ANY, len(PARTS)), "user_id": (ANY,)}
OTHER = features_mark(RANKING_COLUMNS[::-1], FEATURE_SET)


@pytest.mark.parametrize(
    "signatures",
    [
        {"serving_default": GOOD},  # exported before there were marks
        {"serving_default": GOOD, MARK: GOOD},
        {"serving_default": GOOD | {"features": (ANY, ANY)}},
        {"serving_default": GOOD | {"features": ()}},  # of unknown rank
        {"serving_default": {"crowd": (ANY, ANY, len(CROWD))}, OTHER: {}},  # no ranker
        {"another": {"features": (ANY, 1)}},
    ],
)
def test_what_fits(signatures: dict[str, dict[str, tuple[int, ...]]]) -> None:
    """Open sizes do, and a model that sees no column of the ranker's does not depend on them."""
    assert fault_of(signatures) == ""


def test_what_does_not_fit_is_said() -> None:
    """Another width, and the same width of other columns, or of other definitions."""
    wide = {"serving_default": GOOD | {"features": (ANY, WIDTH + 1)}}
    assert fault_of(wide) == f"takes features {WIDTH + 1} wide, not {WIDTH}"
    for mark in (OTHER, features_mark(RANKING_COLUMNS, "another set")):
        assert is_mark(mark)
        assert "other features" in fault_of({"serving_default": GOOD, mark: GOOD})


class Client:
    """A client whose version 2 is of other features."""

    def __init__(self) -> None:
        self.version = 1
        self.bad = 2
        self.asked: list[int] = []

    async def predict(self, *_: Any) -> Prediction:
        return Prediction({"score": np.zeros(1)}, self.version)

    async def signatures(self, model: str, version: int, timeout_s: float) -> Any:
        self.asked.append(version)
        await asyncio.sleep(0)
        return {"serving_default": GOOD, (OTHER if version == self.bad else MARK): GOOD}


async def test_each_version_is_asked_once() -> None:
    """Also one that is refused; and the good one is believed again when it is back."""
    client: Any = Client()
    models = CheckedModels(client, lambda: 0.0)
    for version in (1, 2, 2, 1):
        client.version = version
        if version == 1:
            said = await models.predict("ranker", {}, {}, 1.0)
            assert said.version == 1
            assert said.signatures == frozenset({"serving_default", MARK})
        else:
            with pytest.raises(BadModelAnswer, match="ranker: version 2 was trained on other"):
                await models.predict("ranker", {}, {}, 1.0)
    assert client.asked == [1, 2]


async def test_a_version_repaired_under_its_own_number_is_believed_again() -> None:
    """Not at once, since nobody asks at every request, but without a restart."""
    client: Any = Client()
    client.version, now_s = 2, [100.0]
    models = CheckedModels(client, lambda: now_s[0])
    with pytest.raises(BadModelAnswer):
        await models.predict("ranker", {}, {}, 1.0)
    client.bad = 3
    now_s[0] += 0.9 * DOUBT_S
    with pytest.raises(BadModelAnswer):
        await models.predict("ranker", {}, {}, 1.0)
    now_s[0] += 0.2 * DOUBT_S
    said = await asyncio.gather(
        *(models.predict("ranker", {}, {}, 1.0) for _ in range(5)), return_exceptions=True
    )
    assert [isinstance(one, BadModelAnswer) for one in said] == [False] + 4 * [True]
    assert client.asked == [2, 2]  # not once for each
    assert (await models.predict("ranker", {}, {}, 1.0)).version == 2
