"""The ranker as it is served, whichever model stands behind it."""

from typing import Any, Protocol


class RankingModel(Protocol):
    """A `tf.Module` with the ranker's signature.

    Attributes:
        calibration: variable float32[2], a and b of probability = sigmoid(a * logit + b).
    """

    calibration: Any

    def serve(self, features: Any, user_id: Any, place_id: Any, category_id: Any) -> dict[str, Any]:
        """Of n rows: calibrated "probability" and its logit "score", float32[n] each."""

    def signature(self) -> list[Any]:
        """Types of the inputs of `serve`."""
