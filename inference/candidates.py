"""Second stage: of all places within reach, the few hundred that the ranker should see."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.signatures import PARTS, VECTORS
from inference import popularity
from inference.course import Ask
from inference.deadline import Part, PartFailed
from inference.model_answers import want_floats, want_positions
from inference.model_client import ANY, Prediction
from inference.near import Nearby, arrival_s
from inference.person import Person
from inference.ports import Models
from online_features.catalogue import Catalogue
from online_features.crowds import Crowds
from online_features.request import candidate_inputs, parts_at

MODEL = "candidates"
SCORES, BEST, TOLD = "scores", "best", "parts"
#: Most of the remaining time that the model may take: the stages after it need theirs.
SHARE = 0.4


@dataclass(frozen=True)
class Chosen:
    """The places that go on to the ranker, best first.

    Attributes:
        rows: int64[n] catalogue rows.
        distance_m: float32[n].
        scores: float32[n] of the candidate model; None where it did not answer.
        parts: float32[n, len(PARTS)], what it told of them; NaN where nothing.
        has_vectors: whether it can also be asked for vectors of places.
    """

    rows: NDArray[np.int64]
    distance_m: NDArray[np.float32]
    scores: NDArray[np.float32] | None
    parts: NDArray[np.float32]
    has_vectors: bool = False


class CandidateStage:
    """Keeps the best places by the candidate model, or by popularity and distance without it."""

    def __init__(
        self, catalogue: Catalogue, crowds: Crowds, models: Models, part: Part, *, keep: int
    ) -> None:
        self._catalogue = catalogue
        self._crowds = crowds
        self._models = models
        self._part = part
        self._keep = keep

    async def choose(self, ask: Ask, nearby: Nearby, person: Person) -> Chosen:
        """Score the places and keep the best, at least as many as the answer wants."""
        keep = max(round(ask.share * self._keep), ask.query.limit)
        if keep < self._keep < len(nearby.rows):
            ask.course.held_back(keep)
        try:
            said = await self._part.call(
                lambda timeout_s: self._predict(ask, nearby, person, timeout_s),
                ask.budget.share_s(SHARE),
            )
        except PartFailed as failure:
            ask.course.stood_in(failure)
            best = _best(self._popular(ask, nearby), keep)
            told = np.full((len(best), len(PARTS)), np.nan, np.float32)
            return Chosen(nearby.rows[best], nearby.distance_m[best], None, told)
        ask.course.model_versions[MODEL] = said.version
        scores = said.outputs[SCORES][0]
        best = _best(scores, keep, said.outputs[BEST][0])
        told = parts_at(said.outputs[BEST][0], said.outputs[TOLD][0], best)
        has_vectors = VECTORS in said.signatures
        return Chosen(nearby.rows[best], nearby.distance_m[best], scores[best], told, has_vectors)

    async def _predict(
        self, ask: Ask, nearby: Nearby, person: Person, timeout_s: float
    ) -> Prediction:
        inputs = candidate_inputs(
            person.history,
            nearby.rows,
            nearby.distance_m,
            ask.now_s,
            self._catalogue,
            self._crowds.of(nearby.rows, ask.now_s),
        )
        shapes = {SCORES: (1, len(nearby.rows)), BEST: (1, ANY), TOLD: (1, ANY, len(PARTS))}
        said = await self._models.predict(MODEL, inputs, shapes, timeout_s)
        want_floats(MODEL, said.outputs, SCORES, TOLD)
        want_positions(MODEL, said.outputs, BEST, TOLD, len(nearby.rows))
        return said

    def _popular(self, ask: Ask, nearby: Nearby) -> NDArray[np.float32]:
        arrival = arrival_s(ask.now_s, nearby.distance_m)
        return popularity.by_distance(
            popularity.from_catalogue(self._catalogue, nearby.rows),
            nearby.distance_m,
            self._catalogue.open_state(nearby.rows, arrival),
        )


def _best(
    scores: NDArray[np.float32], keep: int, guess: NDArray[np.integer] | None = None
) -> NDArray[np.int64]:
    """Positions of the highest scores, best first; equal scores keep their order.

    Args:
        scores: float32[n].
        keep: at most so many.
        guess: positions that most likely hold the best: where they do, the others are looked at
            only once.
    """
    kept = np.arange(len(scores))
    if len(scores) > keep:
        if guess is not None and len(guess) >= keep:
            least = np.partition(scores[guess], -keep)[-keep]
            kept = np.flatnonzero(scores >= least)
        if not keep <= len(kept) <= 2 * keep:  # it was a bad one, or there are many more
            least = np.partition(scores, -keep)[-keep]
            kept = np.flatnonzero(scores >= least)
    return kept[np.argsort(-scores[kept], kind="stable")[:keep]]
