"""The ranker as it is served, whichever model stands behind it."""

from typing import Any, Protocol

import tensorflow as tf

from contracts.signatures import PARTS
from online_features.request import RANKING_COLUMNS


class RankingModel(Protocol):
    """A `tf.Module` with the ranker's signature.

    Attributes:
        calibration: variable float32[2], a and b of probability = sigmoid(a * logit + b).
        users_known: persons of whom the graph holds something of their own, by their ids.
    """

    calibration: Any

    @property
    def users_known(self) -> int: ...

    def serve(
        self, features: Any, parts: Any, user_id: Any, place_id: Any, category_id: Any
    ) -> dict[str, Any]:
        """Of n rows: calibrated "probability" and "score", which orders, float32[n] each.

        `parts` are what the candidate model told of the places; NaN where it told nothing.
        """


def ranker_signature() -> list[Any]:
    """Types of the inputs of `serve`: ids are hashes viewed as int64, 0 where there is none."""
    return [
        tf.TensorSpec([None, len(RANKING_COLUMNS)], tf.float32, name="features"),
        tf.TensorSpec([None, len(PARTS)], tf.float32, name="parts"),
        *(
            tf.TensorSpec([None], tf.int64, name=name)
            for name in ("user_id", "place_id", "category_id")
        ),
    ]
