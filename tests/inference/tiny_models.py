"""SavedModels with the real signatures, small enough to say by hand what they answer."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from contracts.signatures import CROWD, PARTS
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


class TinyRanker(tf.Module):  # type: ignore[misc]
    """Ten times the log of the visits here, less the log of the kilometres; all by a factor."""

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
            features=_spec(tf.float32, len(RANKING_COLUMNS)),
            parts=_spec(tf.float32, len(PARTS)),
            user_id=_spec(tf.int64),
            place_id=_spec(tf.int64),
            category_id=_spec(tf.int64),
        )


def export(models_dir: Path, version: int, ranker_factor: float = 1.0) -> None:
    """Write a pair of models as one version. A factor of NaN makes a ranker that answers NaN."""
    for name, model in (("candidates", TinyCandidates()), ("ranker", TinyRanker(ranker_factor))):
        path = models_dir / name / str(version)
        tf.saved_model.save(model, str(path), signatures={"serving_default": model.signature()})
