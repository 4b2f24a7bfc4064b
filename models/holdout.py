"""The newest part of the data, held out: judges any pair of models on the same requests.

Two judgements. On rows: each choice beside its four negatives (`models.held_rows`). On requests:
both stages as they are served, from the places around the user to the final order, with the rank of
the place that was chosen in truth. A place that a stage does not let through counts as not found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from contracts.ids import as_int64
from contracts.settings import Settings
from models import evaluation
from models.ahead import ahead
from models.crowd_history import CrowdHistory
from models.dataset import pick, situations
from models.held_rows import FARTHEST_M, JUDGED, USERS_AT_ONCE, HeldRows, history_of
from models.scoring import Scorer
from models.training_rows import NO_EVENT, Part, RankerRows
from online_features.catalogue import Catalogue
from online_features.columns import VISIT, EventColumns
from online_features.context import ContextLog, Situation
from online_features.definitions import FEATURE_SET
from online_features.replay import Queries, point_in_time
from online_features.request import RANKING_COLUMNS, parts_at, ranking_features

REQUESTS = 400
#: Lists are judged for diversity, coverage and novelty at this length.
LISTED = 10
Inputs = dict[str, NDArray[Any]]


def asked(count: int, seed: int, requests: int = REQUESTS) -> NDArray[np.int64]:
    """Which of so many held-out moments are answered, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:requests])


def judged(count: int, seed: int) -> NDArray[np.int64]:
    """Which of so many held-out moments a `Holdout` reads rows of, ascending."""
    return np.union1d(asked(count, seed), np.arange(min(count, JUDGED)))


class OtherFeatures(ValueError):
    """A pair was trained on other features than these, so it cannot be judged by them."""


@dataclass(frozen=True)
class Ranked:
    """Answers of a pair to the held-out requests.

    Attributes:
        rows: int64[r, k], catalogue rows in the final order; -1 pads.
        scores, probability: float32[r, k]; -inf and 0 where padded.
        features, parts: float32[r, k, F] and float32[r, k, len(PARTS)], what the ranker saw.
        distance_m: float32[r, k].
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    probability: NDArray[np.float32]
    features: NDArray[np.float32]
    parts: NDArray[np.float32]
    distance_m: NDArray[np.float32]


@dataclass(frozen=True)
class Judged:
    """A pair on the held-out requests.

    Attributes:
        metrics: by name.
        ranked: its answers to the requests.
        row_scores: float32[n], its scores of the judged rows; see `Holdout.judged_rows`.
    """

    metrics: dict[str, float]
    ranked: Ranked
    row_scores: NDArray[np.float32]


@dataclass(frozen=True)
class Reach:
    """What a request may choose from, as in the service: see `Settings` for the units."""

    near_places: int
    max_radius_m: float
    candidates: int

    @classmethod
    def of(cls, settings: Settings) -> "Reach":
        """As the service is set."""
        return cls(settings.near_places, settings.max_radius_m, settings.candidates)


class Holdout:
    """The test part, and all that is needed to answer its requests again.

    Args:
        log, catalogue, context: of the training.
        test: the newest part of the data set, with rows of the moments that `judged` names.
        reach: what a request may choose from.
        stale_s: weather older than this is unknown, seconds.
        seed: draws the requests, if there are more than `requests`.
        requests: most requests to answer; each costs the features of a few hundred places.
    """

    def __init__(
        self,
        log: EventColumns,
        catalogue: Catalogue,
        context: ContextLog,
        test: Part,
        reach: Reach,
        *,
        stale_s: float,
        seed: int,
        requests: int = REQUESTS,
    ) -> None:
        chosen = asked(len(test.moments), seed, requests)
        self.test = test
        self.moments = test.moments.take(chosen)
        self._choices = test.choices_of(chosen)
        self._log, self._catalogue, self._reach = log, catalogue, reach
        self._rows = HeldRows(log, catalogue, test)
        self._at: Situation = situations(context, catalogue, self.moments, stale_s=stale_s)
        self._near = [
            catalogue.near(lat, lng, reach.max_radius_m, reach.near_places, at_s)
            for lat, lng, at_s in zip(
                self.moments.lat, self.moments.lng, self.moments.time_s, strict=True
            )
        ]
        earlier = log.take(slice(0, int(test.moments.before.min())))
        place = catalogue.rows_of(earlier.place[earlier.kind == VISIT])
        self._visits = np.bincount(place[place >= 0], minlength=len(catalogue))

    @property
    def catalogue(self) -> Catalogue:
        """All places; `Ranked.rows` are its rows."""
        return self._catalogue

    @property
    def user_events(self) -> NDArray[np.int64]:
        """Events of each request's user before it, as far as the history reaches; int64[r]."""
        events: NDArray[np.int64] = (self._choices.history_row != NO_EVENT).sum(axis=1)
        return events

    @property
    def place_visits(self) -> NDArray[np.int64]:
        """Visits of each request's target before the held-out part began; int64[r]."""
        visits: NDArray[np.int64] = self._visits[self.moments.place]
        return visits

    @property
    def categories(self) -> NDArray[np.str_]:
        """Category of each request's target, "" if it has none; str[r]."""
        names = np.array([*self._catalogue.categories, ""])  # -1 is the last
        categories: NDArray[np.str_] = names[self._catalogue.category[self.moments.place]]
        return categories

    def evaluate(self, scorer: Scorer) -> dict[str, float]:
        """All metrics of a pair.

        Raises:
            OtherFeatures: the pair knows other columns.
        """
        return self.judge(scorer).metrics

    def judge(self, scorer: Scorer) -> Judged:
        """All metrics of a pair, with its answers and scores.

        Raises:
            OtherFeatures: the pair knows other columns.
        """
        ranked, scores = self.answer(scorer), self._rows.score(scorer)
        return Judged(self._rows.metrics(scores) | self._on_requests(ranked), ranked, scores)

    @property
    def judged_rows(self) -> RankerRows:
        """The rows that pairs are judged on: the first choices, each beside its negatives."""
        return self._rows.rows

    def nearest_first(self) -> dict[str, float]:
        """The same ranking metrics for "the nearest place first", to compare with."""
        width = self._reach.candidates
        lists = [_padded(rows[:width], width, -1) for rows, _ in self._near]
        rows = np.stack(lists).astype(np.int64)
        return self._ranking(rows, -np.arange(width, dtype=np.float32)[None, :] + 0 * rows)

    def answer(self, scorer: Scorer) -> Ranked:
        """Answer all requests.

        Raises:
            OtherFeatures: the pair knows other columns.
        """
        columns = scorer.card.get("columns", list(RANKING_COLUMNS))
        feature_set = scorer.card.get("feature_set", FEATURE_SET)
        if list(columns) != list(RANKING_COLUMNS) or feature_set != FEATURE_SET:
            raise OtherFeatures(f"feature set {feature_set}, here {FEATURE_SET}")
        return self._rank(scorer, *self._candidates(scorer))

    def calls(self, ranked: Ranked, most: int = 3) -> tuple[tuple[Inputs, ...], tuple[Inputs, ...]]:
        """Inputs of the first requests for both models, as the service will send them."""
        candidate_calls, ranker_calls = [], []
        crowds = CrowdHistory(self._log, self._catalogue)
        for i in range(min(most, len(self.moments))):
            rows, metres = self._near[i]
            crowd = crowds.at(int(self.moments.before[i]), float(self.moments.time_s[i]))
            candidate_calls.append(
                self._history(slice(i, i + 1))
                | {
                    "place_ids": as_int64(self._catalogue.hash[rows])[None, :],
                    "distance_m": metres[None, :],
                    "crowd": crowd[rows][None],
                }
            )
            held = ranked.rows[i] >= 0
            of_request = ranked.rows[i][held]
            ranker_calls.append(
                {
                    "features": ranked.features[i][held],
                    "parts": ranked.parts[i][held],
                    "user_id": as_int64(np.full(len(of_request), self.moments.user[i])),
                    "place_id": as_int64(self._catalogue.hash[of_request]),
                    "category_id": as_int64(self._catalogue.category_hash[of_request]),
                }
            )
        return tuple(candidate_calls), tuple(ranker_calls)

    def _history(self, part: slice) -> Inputs:
        choices, time_s = self._choices.take(part), self.moments.time_s[part]
        return history_of(self._catalogue, choices, time_s)

    def _candidates(
        self, scorer: Scorer
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """The best places of the candidate stage: rows and metres, [r, candidates]; -1 pads.

        And their parts, float32[r, candidates, len(PARTS)].
        """
        width, keep = max(len(rows) for rows, _ in self._near), self._reach.candidates
        found: list[tuple[NDArray[Any], ...]] = []
        hashes = np.r_[self._catalogue.hash, np.uint64(0)]
        crowds = CrowdHistory(self._log, self._catalogue)
        for start in range(0, len(self.moments), USERS_AT_ONCE):
            part = slice(start, start + USERS_AT_ONCE)
            rows = np.stack([_padded(r, width, -1) for r, _ in self._near[part]])
            metres = np.stack([_padded(m, width, np.inf) for _, m in self._near[part]])
            asked = zip(self.moments.before[part], self.moments.time_s[part], rows, strict=True)
            crowd = [crowds.at(int(before), time_s)[of] for before, time_s, of in asked]
            said = scorer.candidates(
                **self._history(part),
                place_ids=as_int64(hashes[rows]),
                distance_m=np.minimum(metres, FARTHEST_M).astype(np.float32),
                crowd=np.stack(crowd),
            )
            scores = np.where(rows >= 0, said["scores"], -np.inf)
            order = np.argsort(-scores, axis=1, kind="stable")[:, :keep]
            parts = map(parts_at, said["best"], said["parts"], order)
            found.append(
                (
                    np.take_along_axis(rows, order, axis=1),
                    np.take_along_axis(metres, order, axis=1).astype(np.float32),
                    np.stack(list(parts)),
                )
            )
        rows, metres, parts_told = (np.concatenate(column) for column in zip(*found, strict=True))
        return rows, metres, parts_told

    def _rank(
        self,
        scorer: Scorer,
        candidates: NDArray[np.int64],
        metres: NDArray[np.float32],
        parts: NDArray[np.float32],
    ) -> Ranked:
        """Features of all candidates by one replay, and the ranker's order."""
        request, column = np.nonzero(candidates >= 0)
        place = candidates[request, column]
        hashes = np.r_[self._catalogue.hash, np.uint64(0)]
        queries = Queries(self.moments.before, self.moments.user, hashes[candidates])
        features = np.zeros((*candidates.shape, len(RANKING_COLUMNS)), np.float32)
        for asked, users, places in ahead(point_in_time(self._log, queries)):
            of, _ = cells = np.nonzero(candidates[asked] >= 0)
            held = np.flatnonzero(candidates[asked].ravel() >= 0)
            at = pick(self._at, np.arange(asked.start, asked.stop))
            rows = candidates[asked][cells]
            values = ranking_features(users, places[held], rows, at, self._catalogue, of)
            features[asked][cells] = values
        answer = scorer.rank(
            features[request, column],
            parts[request, column],
            as_int64(self.moments.user[request]),
            as_int64(self._catalogue.hash[place]),
            as_int64(self._catalogue.category_hash[place]),
        )
        scores = np.full(candidates.shape, -np.inf, np.float32)
        scores[request, column] = answer["score"]
        order = np.argsort(-scores, axis=1, kind="stable")
        scores = np.take_along_axis(scores, order, axis=1)
        return Ranked(
            rows=np.take_along_axis(candidates, order, axis=1),
            scores=scores,
            probability=expit(scores),
            features=np.take_along_axis(features, order[:, :, None], axis=1),
            parts=np.take_along_axis(parts, order[:, :, None], axis=1),
            distance_m=np.take_along_axis(metres, order, axis=1),
        )

    def _on_requests(self, ranked: Ranked) -> dict[str, float]:
        found = (ranked.rows == self.moments.place[:, None]).any(axis=1)
        lists = ranked.rows[:, :LISTED]
        targets = zip(self.moments.place, self._near, strict=True)
        near = [place in rows for place, (rows, _) in targets]
        return {
            **self._ranking(ranked.rows, ranked.scores),
            f"candidate_recall_at_{self._reach.candidates}": float(found.mean()),
            "near_recall": float(np.mean(near)),
            "diversity": evaluation.diversity(lists, self._catalogue.category),
            "coverage": evaluation.coverage(lists, int((~self._catalogue.closed).sum())),
            "novelty": evaluation.novelty(lists, self._visits),
        }

    def _ranking(self, rows: NDArray[np.int64], scores: NDArray[np.floating]) -> dict[str, float]:
        listed = rows >= 0
        labels = rows == self.moments.place[:, None]
        groups = np.broadcast_to(np.arange(len(rows))[:, None], rows.shape)
        ranking = evaluation.Rankings(labels[listed], scores[listed], groups[listed])
        # Requests whose place was not let through have no relevant row, and count as 0.
        found = float(labels.any(axis=1).mean())
        return {
            "ndcg_at_5": found * ranking.ndcg(5),
            "ndcg_at_10": found * ranking.ndcg(10),
            "map_at_5": found * ranking.average_precision(5),
            "mrr": found * ranking.reciprocal_rank(),
            "recall_at_10": found * ranking.hit_rate(10),
        }


def _padded(
    values: NDArray[np.generic] | Sequence[float], width: int, fill: float
) -> NDArray[np.generic]:
    result = np.full(width, fill, np.asarray(values).dtype)
    result[: len(values)] = values
    return result
