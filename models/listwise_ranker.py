"""The listwise ranker: one network a seed, averaged, with calibration inside.

It has the signature of wide & deep (`models.ranker`) and knows no ids but categories, so that a
new user or a new place is ranked by what is known of it, like any other.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.appeal import appeal
from models.calibration import fit_platt
from models.fitting import Epoch
from models.listwise import (
    SAMPLED,
    Cells,
    Network,
    Scales,
    Schedule,
    View,
    inputs_of,
    scales_of,
    train_networks,
)
from models.progress import Stage
from models.rows import Columns, Rows, groups, length, total
from models.vocabulary import Vocabulary
from online_features.catalogue import Catalogue
from online_features.definitions import NEVER_S
from online_features.request import RANKING_COLUMNS
from online_features.rings import HOUR_S

HIDDEN = (96, 48)
#: Networks whose scores are averaged.
NETWORKS = 2
#: Added to the score, and not to the probability, of a place that nobody has visited: if it is not
#: shown, nobody ever will. docs/models.md says what that costs.
BENEFIT = 1.0
_SINCE = RANKING_COLUMNS.index("place_since_visit_log")
#: What that column says where nobody has been for nearly as long as it reaches.
_NEVER = float(np.log1p(0.95 * NEVER_S / HOUR_S))
#: Of so many sets the parts are hidden: the candidate model may fail to tell them.
HIDDEN_SHARE = 0.03


class ListwiseRanker(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Networks over the request's columns and the parts. `serve` is the exported signature.

    Attributes:
        users_known: none: it has no table of users.

    Args:
        scales: of the columns, those of the parts behind those of the features if it reads both.
        categories: of the training.
        parts: whether it reads the parts.
        rng: draws the first weights.
        networks: how many.
    """

    users_known = 0

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
        #: Added to the logit of a place that nobody has visited yet.
        self.unvisited = tf.Variable(0.0, trainable=False, dtype=tf.float32)
        self._table = categories.table()
        self._parts = parts
        self._usual = tf.constant(scales.mean)

    def serve(
        self, features: Any, parts: Any, user_id: Any, place_id: Any, category_id: Any
    ) -> dict[str, Any]:
        """The exported signature: ids in, calibrated probability and the score that orders out.

        The score is the probability's logit, but for the benefit of unvisited places.
        """
        del user_id, place_id
        x = tf.concat([features, parts], axis=1) if self._parts else features
        x = tf.where(tf.math.is_nan(x), self._usual, x)
        unvisited = tf.cast(x[:, _SINCE] > _NEVER, tf.float32)
        logit = self.logits(x, self._table.lookup(category_id)) + self.unvisited * unvisited
        calibrated = self.calibration[0] * logit + self.calibration[1]
        score = calibrated + self.calibration[0] * BENEFIT * unvisited
        return {"probability": tf.sigmoid(calibrated), "score": score}

    def logits(self, x: Any, category: Any) -> Any:
        """Mean of the networks: columns float[n, F] and category rows int[n] -> float[n]."""
        scores = [network(x, category) for network in self.networks]
        return tf.add_n(scores) / len(scores)


def train_listwise(
    learn: Rows,
    judge: Columns,
    catalogue: Catalogue,
    schedule: Schedule,
    seed: int,
    stage: Stage,
) -> tuple[ListwiseRanker, list[Epoch]]:
    """Train on choice sets, and calibrate on those that judge.

    Args:
        learn: choice sets to learn from. Columns are those of `ChoiceSets`, `number` (of the set),
            and `parts`, float16[SET, len(PARTS)], what the candidate model tells of the places,
            out of fold; without them it trains without.
        judge: the same of those to judge by.
        catalogue: all places.
        schedule: how long and how fast.
        seed: of the first weights and the order.
        stage: told after each epoch.
    """
    rng = np.random.default_rng(seed)
    hashes = np.r_[catalogue.category_hash, np.uint64(0)]
    chosen = [sets["places"][:, 0] for sets in (*groups(learn.only("places")), judge)]
    categories = Vocabulary.of(hashes[np.concatenate(chosen)])
    view = View(_columns, _Codes(categories.rows_of(hashes)))
    scales = scales_of(learn, view, rng)
    parts = "parts" in judge
    if parts:
        hidden = rng.random(total(learn) + length(judge)) < HIDDEN_SHARE
        hidden[total(learn) :] = False
        view = View(_Hiding(hidden, scales.mean), view.category)
    model = ListwiseRanker(scales, categories, rng, NETWORKS, parts=parts)
    epochs = train_networks(model.networks, learn, judge, view, schedule, seed, stage)
    held = inputs_of(judge, view)
    logits = _logits(model, held)
    unvisited = held["rows"][:, _SINCE] > _NEVER
    model.unvisited.assign(appeal(logits, unvisited, held["cells"], held["expected"]))
    model.calibration.assign(_calibration(logits + model.unvisited.numpy() * unvisited, held))
    return model, epochs


def _columns(sets: Columns, cells: Cells) -> NDArray[np.float16]:
    """Features, and parts behind them where there are any."""
    x: NDArray[np.float16] = sets["features"][cells]
    return np.concatenate([x, sets["parts"][cells]], axis=1) if "parts" in sets else x


@dataclass(frozen=True)
class _Codes:
    """Category rows of places, by catalogue row; the last is that of padding."""

    code: NDArray[np.int32]

    def __call__(self, sets: Columns, cells: Cells) -> NDArray[np.int32]:
        return self.code[sets["places"][cells]]


@dataclass(frozen=True)
class _Hiding:
    """`_columns`, but for some of the sets the parts are as usual.

    Attributes:
        hidden: bool[m], those sets by number.
        usual: float32[F], what stands there instead.
    """

    hidden: NDArray[np.bool_]
    usual: NDArray[np.float32]

    def __call__(self, sets: Columns, cells: Cells) -> NDArray[np.float16]:
        x = _columns(sets, cells)
        told = sets["parts"].shape[2]
        x[self.hidden[sets["number"][cells[0]]], -told:] = self.usual[-told:]
        return x


def _logits(model: ListwiseRanker, held: Columns) -> NDArray[np.float32]:
    """Mean of the networks for the rows of held sets, as they read them; float32[n]."""
    rows, kind = held["rows"].astype(np.float32), held["kind"]
    parts = [
        model.logits(tf.constant(rows[part]), tf.constant(kind[part])).numpy()
        for part in (slice(i, i + SAMPLED) for i in range(0, len(rows), SAMPLED))
    ]
    logits: NDArray[np.float32] = np.concatenate(parts)
    return logits


def _calibration(logits: NDArray[np.floating], held: Columns) -> tuple[float, float]:
    """Platt scaling on the held sets; see `models.calibration`."""
    request, place = held["cells"].T
    expected = np.exp(held["expected"][request, place])
    return fit_platt(logits, expected, place == 0)
