"""SavedModels with the real signatures, small enough to say by hand what they answer."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from contracts.signatures import CROWD, PARTS, VECTORS, features_mark
from online_features.history import HISTORY
from online_features.request import RANKING_COLUMNS

_VISITS_HERE = RANKING_COLUMNS.index("visits_here_log")
_DISTANCE = RANKING_COLUMNS.index("distance_log_km")


def _spec(dtype: Any, *shape: int | None) -> Any:
    return tf.TensorSpec([None, *shape], dtype)


class TinyCandidates(tf.Module):  # type: ignore[misc]
    """Ten for a place in the history, less its kilometres."""

    @tf.function  # type: ignore[untyped-decorator]
    def serve(
        self,
        history_ids: Any,
        history_age_s: Any,
        history_kind: Any,
        place_ids: Any,
        distance_m: Any,
        moment_s: Any,
        crowd: Any,
    ) -> dict[str, Any]:
        """Score every place, and tell nothing of any."""
        del history_age_s, history_kind, moment_s, crowd
        seen = tf.reduce_any(place_ids[:, :, None] == history_ids[:, None, :], axis=2)
        batch = tf.shape(place_ids)[0]
        return {
            "scores": 10.0 * tf.cast(seen, tf.float32) - distance_m / 1_000.0,
            "best": tf.zeros([batch, 0], tf.int32),
            "parts": tf.zeros([batch, 0, len(PARTS)]),
        }

    def signature(self) -> Any:
        """The signature that DESIGN fixes."""
        return self.serve.get_concrete_function(
            history_ids=_spec(tf.int64, HISTORY),
            history_age_s=_spec(tf.float32, HISTORY),
            history_kind=_spec(tf.int64, HISTORY),
            place_ids=_spec(tf.int64, None),
            distance_m=_spec(tf.float32, None),
            moment_s=_spec(tf.int64),
            crowd=_spec(tf.uint8, None, len(CROWD)),
        )

    @tf.function  # type: ignore[untyped-decorator]
    def vectors(self, place_ids: Any) -> dict[str, Any]:
        """One of two directions, by the second bit of the id's hash."""
        bit = tf.cast(tf.bitwise.bitwise_and(place_ids, 2) != 0, tf.int32)
        return {VECTORS: tf.one_hot(bit, 2)}


class TinyRanker(tf.Module):  # type: ignore[misc]
    """Ten times the log of the visits here, less the log of the kilometres; all by a factor."""

    columns = len(RANKING_COLUMNS)

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    @tf.function  # type: ignore[untyped-decorator]
    def serve(
        self, features: Any, parts: Any, user_id: Any, place_id: Any, category_id: Any
    ) -> dict[str, Any]:
        """Score every pair."""
        del parts, user_id, place_id, category_id
        score = (10.0 * features[:, _VISITS_HERE] - features[:, _DISTANCE]) * self.factor
        return {"score": score, "probability": tf.sigmoid(score)}

    def signature(self) -> Any:
        """The signature that DESIGN fixes."""
        return self.serve.get_concrete_function(
            features=_spec(tf.float32, self.columns),
            parts=_spec(tf.float32, len(PARTS)),
            user_id=_spec(tf.int64),
            place_id=_spec(tf.int64),
            category_id=_spec(tf.int64),
        )


class ColumnRanker(TinyRanker):
    """Answers [n, 1], as a network does whose last layer nobody flattened."""

    @tf.function  # type: ignore[untyped-decorator]
    def serve(
        self, features: Any, parts: Any, user_id: Any, place_id: Any, category_id: Any
    ) -> dict[str, Any]:
        """Score every pair."""
        del parts, user_id, place_id, category_id
        return {"score": features[:, :1], "probability": tf.sigmoid(features[:, :1])}


class StaleRanker(TinyRanker):
    """Learned from features that had one column more than they have now."""

    columns = len(RANKING_COLUMNS) + 1


class ForgetfulCandidates(TinyCandidates):
    """Leaves the last place out."""

    @tf.function  # type: ignore[untyped-decorator]
    def serve(
        self,
        history_ids: Any,
        history_age_s: Any,
        history_kind: Any,
        place_ids: Any,
        distance_m: Any,
        moment_s: Any,
        crowd: Any,
    ) -> dict[str, Any]:
        """Score all places but one."""
        del history_ids, history_age_s, history_kind, place_ids, moment_s, crowd
        batch = tf.shape(distance_m)[0]
        return {
            "scores": -distance_m[:, :-1],
            "best": tf.zeros([batch, 0], tf.int32),
            "parts": tf.zeros([batch, 0, len(PARTS)]),
        }


def export(
    models_dir: Path,
    version: int,
    ranker_factor: float = 1.0,
    *,
    candidates: type[TinyCandidates] = TinyCandidates,
    ranker: type[TinyRanker] = TinyRanker,
    feature_set: str = "",
    vectors: bool = False,
) -> None:
    """Write a pair of models as one version. A factor of NaN makes a ranker that answers NaN.

    With a feature set, they bear its mark. The candidate model can be asked for vectors, or not, as
    an older export.
    """
    for name, model in (("candidates", candidates()), ("ranker", ranker(ranker_factor))):
        path = models_dir / name / str(version)
        signatures = {"serving_default": model.signature()}
        if feature_set:
            signatures[features_mark(RANKING_COLUMNS, feature_set)] = model.signature()
        if vectors and name == "candidates":
            place_ids = tf.TensorSpec([None], tf.int64)
            signatures[VECTORS] = model.vectors.get_concrete_function(place_ids=place_ids)
        tf.saved_model.save(model, str(path), signatures=signatures)
