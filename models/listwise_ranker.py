"""The listwise ranker: one network a seed, averaged, with calibration inside.

It has the signature of wide & deep (`models.ranker`) and knows no ids but categories, so that a
new user or a new place is ranked by what is known of it, like any other.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.calibration import fit_platt
from models.choice_sets import ChoiceSets
from models.fitting import Epoch
from models.listwise import NOT_THERE, Network, Scales, Schedule, train_network
from models.progress import Stage
from models.vocabulary import Vocabulary
from online_features.catalogue import Catalogue

HIDDEN = (96, 48)
#: Networks whose scores are averaged.
NETWORKS = 2
#: Of so many sets the parts are hidden: the candidate model may fail to tell them.
HIDDEN_SHARE = 0.03
#: Rows that scales are taken from.
_SAMPLED = 100_000


class ListwiseRanker(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Networks over the request's columns and the parts. `serve` is the exported signature.

    Args:
        scales: of the columns, those of the parts behind those of the features if it reads both.
        categories: of the training.
        parts: whether it reads the parts.
        rng: draws the first weights.
        networks: how many.
    """

    def __init__(
        self,
        scales: Scales,
        categories: Vocabulary,
        rng: np.random.Generator,
        networks: int,
        *,
        parts: bool,
    ) -> None:
        super().__init__()
        self.categories = categories
        self.networks = [Network(scales, categories.rows, HIDDEN, rng) for _ in range(networks)]
        #: Calibration: probability = sigmoid(a * logit + b).
        self.calibration = tf.Variable([1.0, 0.0], trainable=False, dtype=tf.float32)
        self._table = categories.table()
        self._parts = parts
        self._usual = tf.constant(scales.mean)

    def serve(
        self, features: Any, parts: Any, user_id: Any, place_id: Any, category_id: Any
    ) -> dict[str, Any]:
        """The exported signature: ids in, calibrated probability and its logit out."""
        del user_id, place_id
        x = tf.concat([features, parts], axis=1) if self._parts else features
        x = tf.where(tf.math.is_nan(x), self._usual, x)
        logit = self.logits(x, self._table.lookup(category_id))
        score = self.calibration[0] * logit + self.calibration[1]
        return {"probability": tf.sigmoid(score), "score": score}

    def logits(self, x: Any, category: Any) -> Any:
        """Mean of the networks: columns float[n, F] and category rows int[n] -> float[n]."""
        scores = [network(x, category) for network in self.networks]
        return tf.add_n(scores) / len(scores)


def train_listwise(
    sets: ChoiceSets,
    parts: NDArray[np.float16] | None,
    held: NDArray[np.bool_],
    catalogue: Catalogue,
    schedule: Schedule,
    seed: int,
    stage: Stage,
) -> tuple[ListwiseRanker, list[Epoch]]:
    """Train on choice sets, and calibrate on those `held` (bool[m]), which judge.

    Args:
        sets: choice sets.
        parts: float16[m, SET, len(PARTS)], what the candidate model tells of the places, out of
            fold; None trains without.
        held: sets to judge by, not to learn from.
        catalogue: all places.
        schedule: how long and how fast.
        seed: of the first weights and the order.
        stage: told after each epoch.
    """
    rng = np.random.default_rng(seed)
    x = sets.features if parts is None else np.concatenate([sets.features, parts], axis=2)
    hashes = np.r_[catalogue.category_hash, np.uint64(0)][sets.places]
    categories = Vocabulary.of(hashes[:, 0])
    counts = sets.log_expected < NOT_THERE
    at = np.flatnonzero(counts & ~held[:, None])
    at = rng.choice(at, min(_SAMPLED, len(at)), replace=False)
    scales = Scales.of(x.reshape(-1, x.shape[2])[at], x[~held, 0])
    if parts is not None:
        told = parts.shape[2]
        hidden = np.flatnonzero((rng.random(len(x)) < HIDDEN_SHARE) & ~held)
        x[hidden, :, -told:] = scales.mean[-told:]
    model = ListwiseRanker(scales, categories, rng, NETWORKS, parts=parts is not None)
    epochs: list[Epoch] = []
    code = categories.rows_of(hashes)
    for number, network in enumerate(model.networks):
        epochs = train_network(
            network, x, code, sets.log_expected, held, schedule, seed + number, stage
        )
    model.calibration.assign(_calibration(model, x, code, sets.log_expected, held))
    return model, epochs


def _calibration(
    model: ListwiseRanker,
    x: NDArray[np.float16],
    code: NDArray[np.int32],
    log_expected: NDArray[np.float32],
    held: NDArray[np.bool_],
) -> tuple[float, float]:
    """Platt scaling on the held sets; see `models.calibration`."""
    there = (log_expected < NOT_THERE) & held[:, None]
    rows, kind = x[there].astype(np.float32), code[there]
    parts = [
        model.logits(tf.constant(rows[part]), tf.constant(kind[part])).numpy()
        for part in (slice(i, i + _SAMPLED) for i in range(0, len(rows), _SAMPLED))
    ]
    chosen = np.broadcast_to(np.arange(there.shape[1]) == 0, there.shape)[there]
    return fit_platt(np.concatenate(parts), np.exp(log_expected[there]), chosen)
