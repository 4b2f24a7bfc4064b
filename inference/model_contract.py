"""Whether a served version was made for the features of this service (DESIGN, D6).

A model says by its signatures what it takes. Its answers do not: a matrix of other columns is a
matrix, and what is computed from it looks like any answer. So each version that answers for the
first time is asked for its signatures (TF Serving's `GetModelMetadata`), once. The last size of
each input must be ours, and the mark of the features that it learned from, if it bears one.
One that does not fit is asked again every few seconds: it may be repaired under its own number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from contracts.signatures import CROWD, PARTS, features_mark, is_mark
from inference.deadline import Clock
from inference.model_client import ANY, BadModelAnswer, ModelClient, Prediction
from online_features.definitions import FEATURE_SET
from online_features.history import HISTORY
from online_features.request import RANKING_COLUMNS

FEATURES = "features"
#: The last size of each input that has one, by the input's name.
WIDTHS = {
    FEATURES: len(RANKING_COLUMNS),
    "parts": len(PARTS),
    "crowd": len(CROWD),
    "history_ids": HISTORY,
    "history_age_s": HISTORY,
    "history_kind": HISTORY,
}
MARK = features_mark(RANKING_COLUMNS, FEATURE_SET)
#: Versions that are remembered; a rollout brings one a day.
MOST_KNOWN = 256
#: After so long a version that did not fit is asked again.
DOUBT_S = 5.0
SIGNATURE = "serving_default"


@dataclass(frozen=True, slots=True)
class _Known:
    """What is wrong with a version (empty: nothing), what it can be asked, and when it said so."""

    fault: str
    signatures: frozenset[str]
    asked_s: float


class CheckedModels:
    """Asks models, and believes none that was made for other features.

    Args:
        client: asks any.
        clock: seconds that only grow.
    """

    def __init__(self, client: ModelClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._known: dict[tuple[str, int], _Known] = {}

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, tuple[int, ...]],
        timeout_s: float,
        signature: str = "",
    ) -> Prediction:
        """See `ModelClient.predict`; the answer names the version's signatures.

        Raises:
            ModelUnavailable: also if the version cannot be asked for its signatures.
            BadModelAnswer: also if the version was made for other features.
        """
        said = await self._client.predict(model, inputs, outputs, timeout_s, signature)
        known = self._known.get((model, said.version))
        now_s = self._clock()
        if known is None or (known.fault and now_s - known.asked_s >= DOUBT_S):
            if known is not None:  # one asks; the others go on as before
                self._known[model, said.version] = replace(known, asked_s=now_s)
            signatures = await self._client.signatures(model, said.version, timeout_s)
            known = _Known(fault_of(signatures), frozenset(signatures), now_s)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[model, said.version] = known
        if known.fault:
            raise BadModelAnswer(model, f"version {said.version} {known.fault}")
        return Prediction(said.outputs, said.version, known.signatures)


def fault_of(signatures: Mapping[str, Mapping[str, tuple[int, ...]]]) -> str:
    """What does not fit this service; empty if all does.

    Args:
        signatures: by name, the shape of each input, `ANY` for a size that is open.
    """
    inputs = signatures.get(SIGNATURE, {})
    marks = [name for name in signatures if is_mark(name)]
    # The candidate model sees no column of the ranker's, and says nothing less for a new one.
    if FEATURES in inputs and marks and MARK not in marks:
        return "was trained on other features than this service has"
    for name, shape in inputs.items():
        width = WIDTHS.get(name)
        if width is not None and shape and shape[-1] not in (width, ANY):
            return f"takes {name} {shape[-1]} wide, not {width}"
    return ""
