"""The system under test as it is served: near places, candidates, features, ranker, final order.

Each request runs through the functions that the service itself runs: the catalogue's look-up, the
candidate model on the user's state, the ranker's matrix of packed states, and the service's
own post-processing. Only the transport is left out: states come from the replay, not from Redis,
and the models are called in this process.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.ids import as_int64
from contracts.signatures import PARTS
from inference.ordering import pick
from inference.person import Person
from models.crowd_history import CrowdHistory
from models.importance import Seen
from models.quality.ranks import rank_in_lists
from models.quality.requests import Questions
from models.scoring import Scorer
from online_features.context import Situation
from online_features.replay import Queries, States, point_in_time, user_states
from online_features.request import (
    RANKING_COLUMNS,
    candidate_inputs,
    parts_at,
    ranking_features,
)
from placestream.evaluation.material import Known, Material

Index = NDArray[np.int64]
Floats = NDArray[np.float64]
#: The length of an answer, within which the service varies categories.
ANSWER = 20
#: Requests whose places' states are read at once: some 90 MB at 200 places.
_AT_ONCE = 100
_SPOTS_KEPT = 4_096


@dataclass(frozen=True)
class Reach:
    """What a request may choose from: see `contracts.settings.Settings` for the units."""

    near_places: int
    max_radius_m: float
    candidates: int


@dataclass(frozen=True)
class Asked:
    """Requests as the service meets them.

    Attributes:
        before: int64[r], ascending; states of places know the events [0, before).
        lat, lng, time_s: float64[r].
        user: uint64[r], hashes.
        states: `USER` states of the users, [r].
        only_new: whether places that the user has visited are left out, as `only_new` asks for.
    """

    before: Index
    lat: Floats
    lng: Floats
    time_s: Floats
    user: NDArray[np.uint64]
    states: States
    only_new: bool = False


@dataclass(frozen=True)
class Answers:
    """What came of requests.

    Attributes:
        rows: int64[r, k], the candidates; -1 pads.
        scores: float64[r, k], the ranker's; -inf where padded.
        served: float64[r, k], such that the highest is served first; -inf where padded.
    """

    rows: Index
    scores: Floats
    served: Floats

    def found(self, target: Index) -> NDArray[np.bool_]:
        """Whether the candidate stage let the target through, bool[r]."""
        found: NDArray[np.bool_] = (self.rows == target[:, None]).any(axis=1)
        return found

    def without(self, requests: Index, places: Index) -> "Answers":
        """The answers with some places taken out: pairs of request and place."""
        barred = np.zeros(self.rows.shape, bool)
        for i in np.unique(requests).tolist():
            barred[i] = np.isin(self.rows[i], places[requests == i])
        return Answers(
            np.where(barred, -1, self.rows),
            np.where(barred, -np.inf, self.scores),
            np.where(barred, -np.inf, self.served),
        )

    def ranks(self, target: Index) -> Floats:
        """Rank of the target in the served order, float64[r]; infinite if it is not there."""
        return rank_in_lists(self.rows, self.served, target)

    def ranker_ranks(self, target: Index) -> Floats:
        """The same in the ranker's own order, before post-processing."""
        return rank_in_lists(self.rows, self.scores, target)


def ask(material: Material, questions: Questions, *, only_new: bool = False) -> Asked:
    """Questions with the users' states as they were, by the replay."""
    user = material.users[questions.user]
    return Asked(
        before=questions.known,
        lat=material.visits.lat[questions.origin],
        lng=material.visits.lng[questions.origin],
        time_s=questions.time_s,
        user=user,
        states=user_states(material.events, questions.known, user),
        only_new=only_new,
    )


class Served:
    """A pair of models behind the stages of the service.

    Args:
        known: what the answers are made from.
        scorer: the models.
        reach: what a request may choose from.
        stale_s: weather older than this is unknown, seconds.
    """

    def __init__(self, known: Known, scorer: Scorer, reach: Reach, *, stale_s: float) -> None:
        self._known, self._catalogue = known, known.catalogue
        self._scorer, self._reach, self._stale_s = scorer, reach, stale_s
        self._near = lru_cache(_SPOTS_KEPT)(self._look_around)

    def rank(self, asked: Asked) -> Answers:
        """Answer all requests."""
        rows, parts = self._all_candidates(asked)
        scores = np.full(rows.shape, -np.inf)
        for part, features in self._features(asked, rows):
            self._score(asked.user[part], rows[part], features, parts[part], scores[part])
        return Answers(rows, scores, self._served(rows, scores))

    def seen(self, asked: Asked) -> Seen:
        """Answer a few requests, in the ranker's own order, with all that it saw of each place."""
        rows, parts = self._all_candidates(asked)
        features = np.concatenate([of for _, of in self._features(asked, rows)])
        scores = np.full(rows.shape, -np.inf)
        self._score(asked.user, rows, features, parts, scores)
        order = np.argsort(-scores, axis=1, kind="stable")
        return Seen(
            rows=np.take_along_axis(rows, order, axis=1),
            scores=np.take_along_axis(scores, order, axis=1).astype(np.float32),
            features=np.take_along_axis(features, order[:, :, None], axis=1),
            parts=np.take_along_axis(parts, order[:, :, None], axis=1),
        )

    def _score(
        self,
        user: NDArray[np.uint64],
        rows: Index,
        features: NDArray[np.float32],
        parts: NDArray[np.float32],
        scores: Floats,
    ) -> None:
        """Write the ranker's scores into `scores`, all [c, k]; padding is left alone."""
        held = rows >= 0
        place = rows[held]
        said = self._scorer.rank(
            features[held],
            parts[held],
            as_int64(np.repeat(user, held.sum(axis=1))),
            as_int64(self._catalogue.hash[place]),
            as_int64(self._catalogue.category_hash[place]),
        )
        scores[held] = said["score"]

    def _all_candidates(self, asked: Asked) -> tuple[Index, NDArray[np.float32]]:
        """Rows and parts of all requests, [r, candidates] and [r, candidates, len(PARTS)]."""
        rows = np.full((len(asked.before), self._reach.candidates), -1)
        parts = np.full((*rows.shape, len(PARTS)), np.nan, np.float32)
        crowds = CrowdHistory(self._known.events, self._catalogue)
        for i in range(len(rows)):
            rows[i], parts[i] = self._candidates(asked, i, crowds)
        return rows, parts

    def _look_around(self, lat: float, lng: float) -> tuple[Index, NDArray[np.float32]]:
        reach = self._reach
        return self._catalogue.near(lat, lng, reach.max_radius_m, reach.near_places)

    def _candidates(
        self, asked: Asked, i: int, crowds: CrowdHistory
    ) -> tuple[Index, NDArray[np.float32]]:
        """Rows that the candidate stage lets through, best first, int64[candidates]; -1 pads.

        And what it tells of them, float32[candidates, len(PARTS)].
        """
        rows, metres = self._near(float(asked.lat[i]), float(asked.lng[i]))
        state, now_s = asked.states[i : i + 1], float(asked.time_s[i])
        person = Person.of(state, known=True, latest_s=None, now_s=now_s)
        left_out = person.visited if asked.only_new else person.resting
        if len(left_out):
            kept = ~np.isin(self._catalogue.hash[rows], left_out)
            rows, metres = rows[kept], metres[kept]
        crowd = crowds.at(int(asked.before[i]), now_s)[rows]
        inputs: dict[str, Any] = candidate_inputs(
            person.history, rows, metres, now_s, self._catalogue, crowd
        )
        said = self._scorer.candidates(**inputs)
        best = np.argsort(-said["scores"][0], kind="stable")[: self._reach.candidates]
        chosen = np.full(self._reach.candidates, -1)
        chosen[: len(best)] = rows[best]
        parts = np.full((len(chosen), len(PARTS)), np.nan, np.float32)
        parts[: len(best)] = parts_at(said["best"][0], said["parts"][0], best)
        return chosen, parts

    def _features(self, asked: Asked, rows: Index) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """The ranker's matrix of some requests at a time, float32[c, k, F]."""
        count = rows.shape[1]
        hashes = np.r_[self._catalogue.hash, np.uint64(0)]
        # The users' states are known already.
        queries = Queries(asked.before, np.zeros(len(rows), np.uint64), hashes[rows])
        at = self._known.context.at(
            self._known.region, asked.lat, asked.lng, asked.time_s, stale_s=self._stale_s
        )
        for part, _, places in point_in_time(self._known.events, queries, chunk=count * _AT_ONCE):
            features = np.zeros((part.stop - part.start, count, len(RANKING_COLUMNS)), np.float32)
            for j, i in enumerate(range(part.start, part.stop)):
                features[j] = ranking_features(
                    asked.states[i : i + 1],
                    places[j * count : (j + 1) * count],
                    rows[i],
                    _one(at, i),
                    self._catalogue,
                )
            yield part, features

    def _served(self, rows: Index, scores: Floats) -> Floats:
        """The service's order: varied within the answer, the ranker's behind it."""
        served = np.full(scores.shape, -np.inf)
        for i, (of, row) in enumerate(zip(scores, rows, strict=True)):
            held = row >= 0
            kinds = self._catalogue.category[row[held]]
            first, _ = pick(of[held].astype(np.float32), kinds, ANSWER)
            order = np.argsort(-of[held], kind="stable")
            order = np.r_[first, order[~np.isin(order, first)]]
            served[i, np.flatnonzero(held)[order]] = -np.arange(len(order))
        return served


def _one(at: Situation, i: int) -> Situation:
    return Situation(**{name: values[i : i + 1] for name, values in vars(at).items()})
