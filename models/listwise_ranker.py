"""The listwise ranker: one network a seed, averaged, with calibration inside.

It has the signature of wide & deep (`models.ranker`) and knows no ids but categories, so that a
new user or a new place is ranked by what is known of it, like any other.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from models.choice_sets import NOT_THERE, ChoiceSets
from models.fitting import Epoch
from models.listwise import Network, Scales, Schedule, train_network
from models.progress import Stage
from models.vocabulary import Vocabulary
from online_features.catalogue import Catalogue
from online_features.request import RANKING_COLUMNS

HIDDEN = (96, 48)
#: Networks whose scores are averaged.
NETWORKS = 2
#: Rows that scales are taken from.
_SAMPLED = 100_000


class ListwiseRanker(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Networks over the request's columns. `serve` is the exported signature."""

    def __init__(
        self, scales: Scales, categories: Vocabulary, rng: np.random.Generator, networks: int
    ) -> None:
        super().__init__()
        self.categories = categories
        self.networks = [Network(scales, categories.rows, HIDDEN, rng) for _ in range(networks)]
        #: Calibration: probability = sigmoid(a * logit + b).
        self.calibration = tf.Variable([1.0, 0.0], trainable=False, dtype=tf.float32)
        self._table = categories.table()

    def serve(self, features: Any, user_id: Any, place_id: Any, category_id: Any) -> dict[str, Any]:
        """The exported signature: ids in, calibrated probability and its logit out."""
        del user_id, place_id
        category = self._table.lookup(category_id)
        scores = [network(features, category) for network in self.networks]
        logit = tf.add_n(scores) / len(scores)
        score = self.calibration[0] * logit + self.calibration[1]
        return {"probability": tf.sigmoid(score), "score": score}

    def signature(self) -> list[Any]:
        """Types of the inputs of `serve`."""
        return [
            tf.TensorSpec([None, len(RANKING_COLUMNS)], tf.float32, name="features"),
            *(
                tf.TensorSpec([None], tf.int64, name=name)
                for name in ("user_id", "place_id", "category_id")
            ),
        ]


def train_listwise(
    sets: ChoiceSets,
    held: np.ndarray[Any, np.dtype[np.bool_]],
    catalogue: Catalogue,
    schedule: Schedule,
    seed: int,
    stage: Stage,
) -> tuple[ListwiseRanker, list[Epoch]]:
    """Train on choice sets; those `held` (bool[m]) judge. The calibration is left at "none"."""
    rng = np.random.default_rng(seed)
    hashes = np.r_[catalogue.category_hash, np.uint64(0)][sets.places]
    categories = Vocabulary.of(hashes[:, 0])
    counts = sets.log_expected < NOT_THERE
    at = np.flatnonzero(counts & ~held[:, None])
    at = rng.choice(at, min(_SAMPLED, len(at)), replace=False)
    rows = sets.features.reshape(-1, sets.features.shape[2])[at]
    scales = Scales.of(rows, sets.features[~held, 0])
    model = ListwiseRanker(scales, categories, rng, NETWORKS)
    epochs: list[Epoch] = []
    code = categories.rows_of(hashes)
    for number, network in enumerate(model.networks):
        epochs = train_network(
            network, sets.features, code, sets.log_expected, held, schedule, seed + number, stage
        )
    return model, epochs
