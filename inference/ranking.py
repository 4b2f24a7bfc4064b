"""Fourth stage: the order of the chosen places, by the ranker or the next step below it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.ids import id64
from inference import popularity
from inference.candidates import Chosen
from inference.course import Ask
from inference.deadline import Part, PartFailed
from inference.model_answers import want_floats, want_shares
from inference.model_client import Prediction
from inference.ports import Models
from online_features.catalogue import CLOSED, OPEN, UNKNOWN, Catalogue
from online_features.request import RANKING_COLUMNS, ranker_inputs

MODEL = "ranker"
SCORE, PROBABILITY = OUTPUTS = "score", "probability"
#: The last part to be asked, so it may have all the time that is left.
SHARE = 1.0
_OPEN = RANKING_COLUMNS.index("open_on_arrival")
_CLOSED = RANKING_COLUMNS.index("closed_on_arrival")


@dataclass(frozen=True)
class Ranked:
    """What orders the answer, beside the rows of `Chosen`.

    Attributes:
        scores: float32[n], higher is better.
        probability: float32[n], calibrated; None where no ranker answered.
        vectors: float32[n, d] by which an answer is varied; None where that is not wanted, or not
            known.
    """

    scores: NDArray[np.float32]
    probability: NDArray[np.float32] | None
    vectors: NDArray[np.float32] | None = None


class RankingStage:
    """Asks the ranker; without it the candidate model's order holds, else popularity."""

    def __init__(self, catalogue: Catalogue, models: Models, part: Part) -> None:
        self._catalogue = catalogue
        self._models = models
        self._part = part

    async def rank(self, ask: Ask, chosen: Chosen, features: NDArray[np.float32]) -> Ranked:
        """Score the chosen places."""
        try:
            said = await self._part.call(
                lambda timeout_s: self.predict(ask, chosen.rows, features, chosen.parts, timeout_s),
                ask.budget.share_s(SHARE),
            )
        except PartFailed as failure:
            ask.course.stood_in(failure)
            if chosen.scores is not None:
                return Ranked(chosen.scores, None)
            popular = popularity.from_features(features)
            near = popularity.by_distance(popular, chosen.distance_m, open_state(features))
            return Ranked(near, None)
        ask.course.model_versions[MODEL] = said.version
        return Ranked(said.outputs[SCORE], said.outputs[PROBABILITY])

    async def predict(
        self,
        ask: Ask,
        rows: NDArray[np.int64],
        features: NDArray[np.float32],
        parts: NDArray[np.float32],
        timeout_s: float,
    ) -> Prediction:
        """Have places in n catalogue rows scored for the user: `OUTPUTS`, float32[n] each.

        Raises:
            ModelError: no usable answer.
        """
        inputs = ranker_inputs(features, parts, id64(ask.query.user_id), rows, self._catalogue)
        shapes = dict.fromkeys(OUTPUTS, (len(rows),))
        said = await self._models.predict(MODEL, inputs, shapes, timeout_s)
        want_floats(MODEL, said.outputs, SCORE)
        want_shares(MODEL, said.outputs, PROBABILITY)
        return said


def open_state(features: NDArray[np.float32]) -> NDArray[np.int8]:
    """Whether places are open on arrival, as the ranker saw it: int8[n], see `Catalogue`."""
    is_open, is_closed = features[:, _OPEN] > 0, features[:, _CLOSED] > 0
    return np.select([is_open, is_closed], [OPEN, CLOSED], UNKNOWN).astype(np.int8)
