"""Asking a pair of models, in memory or exported, for scores."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.candidates import CandidateModel, candidate_signature
from models.ranking_model import RankingModel, ranker_signature
from models.served_columns import CARD as CARD

CANDIDATES, RANKER = "candidates", "ranker"
Ids = NDArray[np.int64]
Floats = NDArray[np.float32]
_ROWS_AT_ONCE = 16_384


class NoSuchModel(LookupError):
    """No pair of this version lies there, or only half of it."""


@dataclass(frozen=True)
class Scorer:
    """A pair of models by its signatures. Ids are hashes viewed as int64, 0 for none.

    Attributes:
        candidate_fn, ranker_fn: the signatures, called by keyword.
        card: what placestream.json says, or as much of it as exists yet.
        keep: what must live as long as the signatures, which do not keep their variables alive.
    """

    candidate_fn: Callable[..., dict[str, Any]]
    ranker_fn: Callable[..., dict[str, Any]]
    card: dict[str, Any]
    keep: tuple[Any, ...] = ()

    @classmethod
    def of(cls, candidates: CandidateModel, ranker: RankingModel, card: dict[str, Any]) -> Self:
        """A pair that lives in this process."""
        return cls(
            tf.function(candidates.serve, input_signature=candidate_signature(), autograph=False),
            tf.function(ranker.serve, input_signature=ranker_signature(), autograph=False),
            card,
        )

    def candidates(
        self,
        history_ids: Ids,
        history_age_s: Floats,
        history_kind: Ids,
        place_ids: Ids,
        distance_m: Floats,
        moment_s: Ids,
        crowd: NDArray[np.uint8],
    ) -> dict[str, NDArray[Any]]:
        """All outputs of the candidate stage; histories [B, 144], places [B, N]."""
        answer = self.candidate_fn(
            history_ids=tf.constant(history_ids, tf.int64),
            history_age_s=tf.constant(history_age_s, tf.float32),
            history_kind=tf.constant(history_kind, tf.int64),
            place_ids=tf.constant(place_ids, tf.int64),
            distance_m=tf.constant(distance_m, tf.float32),
            moment_s=tf.constant(moment_s, tf.int64),
            crowd=tf.constant(crowd, tf.uint8),
        )
        return {name: values.numpy() for name, values in answer.items()}

    def rank(
        self, features: Floats, parts: Floats, user_id: Ids, place_id: Ids, category_id: Ids
    ) -> dict[str, Floats]:
        """All outputs of the ranker, float32[n] each; see `RankingModel` for the inputs."""
        found: dict[str, list[Floats]] = {"probability": [], "score": []}
        for start in range(0, len(features), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            answer = self.ranker_fn(
                features=tf.constant(features[part], tf.float32),
                parts=tf.constant(parts[part], tf.float32),
                user_id=tf.constant(user_id[part], tf.int64),
                place_id=tf.constant(place_id[part], tf.int64),
                category_id=tf.constant(category_id[part], tf.int64),
            )
            for name, values in found.items():
                values.append(answer[name].numpy())
        return {name: np.concatenate(values) for name, values in found.items()}


def versions(models_dir: Path) -> list[int]:
    """Versions of which both models are there, ascending."""
    return sorted(_numbers(models_dir / CANDIDATES) & _numbers(models_dir / RANKER))


def next_version(models_dir: Path) -> int:
    """One more than any version that either model has ever had there."""
    return max(_numbers(models_dir / CANDIDATES) | _numbers(models_dir / RANKER), default=0) + 1


def load_scorer(models_dir: Path, version: int) -> Scorer:
    """Load an exported pair.

    Raises:
        NoSuchModel: it is not there.
    """
    paths = [models_dir / name / str(version) for name in (CANDIDATES, RANKER)]
    for path in paths:
        if not (path / "saved_model.pb").exists():
            raise NoSuchModel(f"there is no model in {path}")
    loaded = [tf.saved_model.load(str(path)) for path in paths]
    candidates, ranker = (model.signatures["serving_default"] for model in loaded)
    card = json.loads((paths[1] / CARD).read_text())
    return Scorer(candidates, ranker, card, keep=tuple(loaded))


def _numbers(directory: Path) -> set[int]:
    if not directory.is_dir():
        return set()
    return {int(path.name) for path in directory.iterdir() if path.name.isdigit()}
