"""The candidate model's vectors of places: asked for only where an answer is to be varied by them.

They come by a signature of their own (`contracts.signatures.VECTORS`), beside the ranker's call, so
that an answer which wants no variety is what it was. Where the version in service has no such
signature, or does not answer in time, the likeness of places is told without them.
"""

import numpy as np
from numpy.typing import NDArray

from contracts.ids import as_int64
from contracts.signatures import VECTORS
from inference.candidates import MODEL
from inference.course import Ask
from inference.deadline import Part, PartFailed
from inference.model_answers import want_floats
from inference.model_client import ANY, Prediction
from inference.ports import Models
from online_features.catalogue import Catalogue

#: Most of the remaining time that the call may take: variety is not worth an answer's order.
SHARE = 0.3


class PlaceVectors:
    """Asks the candidate model for vectors."""

    def __init__(self, catalogue: Catalogue, models: Models, part: Part) -> None:
        self._catalogue = catalogue
        self._models = models
        self._part = part

    async def of(self, ask: Ask, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Vectors of the places in some catalogue rows, float32[n, d]; None where none came."""
        try:
            said = await self._part.call(
                lambda timeout_s: self._predict(rows, timeout_s), ask.budget.share_s(SHARE)
            )
        except PartFailed as failure:
            ask.course.stood_in(failure)
            return None
        return said.outputs[VECTORS]

    async def _predict(self, rows: NDArray[np.int64], timeout_s: float) -> Prediction:
        inputs = {"place_ids": as_int64(self._catalogue.hash[rows])}
        shapes = {VECTORS: (len(rows), ANY)}
        said = await self._models.predict(MODEL, inputs, shapes, timeout_s, signature=VECTORS)
        want_floats(MODEL, said.outputs, VECTORS)
        return said
