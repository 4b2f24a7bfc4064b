"""The ranker: wide & deep (Cheng et al., 2016), with its normalisation and calibration inside.

Wide: distance, price difference and rating difference in buckets, and their crosses, each with a
weight of its own. Deep: embeddings of user, place and category beside all features, through
256 and 128 units with dropout 0.3. The two logits are added.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from contracts.ids import as_int64
from contracts.signatures import PARTS
from models.fitting import Epoch, Schedule, fit
from models.losses import binary_cross_entropy
from models.networks import Dense, dropout, embedding, forget
from models.optimizer import Adam
from models.progress import Stage
from models.ranking_model import RankingModel, ranker_signature
from models.row_stream import stream
from models.rows import Arrays, Columns, Rows, steps
from models.training_rows import RankerRows
from models.vocabulary import Vocabulary
from online_features.request import RANKING_COLUMNS

WIDE_COLUMNS = ("distance_log_km", "price_difference", "rating_difference")
HIDDEN = (256, 128)
DROPOUT = 0.3
FORGET = 0.5
ID_WIDTH, CATEGORY_WIDTH = 8, 8
BUCKETS = 10
#: Standardised inputs are held within so many standard deviations.
CLIP = 8.0
_SUMMED_AT_ONCE = 65_536


@dataclass(frozen=True)
class Inputs:
    """What is learned from the training rows before any weight: vocabularies and scales.

    Attributes:
        users, places, categories: ids that get a row of their own.
        mean, scale: float32[F], of the features.
        edges: float32[3, k], bucket edges of the wide columns.
    """

    users: Vocabulary
    places: Vocabulary
    categories: Vocabulary
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    edges: tuple[NDArray[np.float32], ...]

    @classmethod
    def of(cls, rows: RankerRows) -> Self:
        """From the training rows; an id needs a few choices to be worth a row."""
        chosen = rows.label
        wide = [rows.features[:, RANKING_COLUMNS.index(name)] for name in WIDE_COLUMNS]
        mean, std = _moments(rows.features)
        at = np.arange(1, BUCKETS) / BUCKETS
        return cls(
            users=Vocabulary.of(rows.user[chosen], least=5),
            places=Vocabulary.of(rows.place[chosen], least=3),
            categories=Vocabulary.of(rows.category[chosen]),
            mean=mean.astype(np.float32),
            scale=(1 / np.where(std > 1e-6, std, 1.0)).astype(np.float32),
            edges=tuple(np.unique(np.quantile(w, at)).astype(np.float32) for w in wide),
        )


def _moments(features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of columns, float64[F]; some rows at a time."""
    blocks = [
        features[start : start + _SUMMED_AT_ONCE]
        for start in range(0, len(features), _SUMMED_AT_ONCE)
    ]
    mean = np.sum([b.sum(axis=0, dtype=np.float64) for b in blocks], axis=0) / len(features)
    squares = np.sum([((b - mean) ** 2).sum(axis=0) for b in blocks], axis=0)
    return mean, np.sqrt(squares / len(features))


class Ranker(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Wide & deep. `serve` is the exported signature.

    Args:
        inputs: vocabularies and scales.
        rng: draws the first weights.
    """

    def __init__(self, inputs: Inputs, rng: np.random.Generator) -> None:
        super().__init__()
        self.inputs = inputs
        self._wide_at = [RANKING_COLUMNS.index(name) for name in WIDE_COLUMNS]
        self._users = embedding(inputs.users.rows, ID_WIDTH, rng)
        self._places = embedding(inputs.places.rows, ID_WIDTH, rng)
        self._categories = embedding(inputs.categories.rows, CATEGORY_WIDTH, rng)
        distance, price, rating = (len(edges) + 1 for edges in inputs.edges)
        categories = inputs.categories.rows
        crosses = [distance * price, distance * rating, price * rating, distance * categories]
        sizes = [distance, price, rating, *crosses]
        self._wide_starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
        self._wide = tf.Variable(np.zeros((sum(sizes), 1), np.float32))
        width = len(RANKING_COLUMNS) + 2 * ID_WIDTH + CATEGORY_WIDTH
        self._layers = [Dense(n, m, rng) for n, m in zip((width, *HIDDEN), HIDDEN, strict=False)]
        self._last = Dense(HIDDEN[-1], 1, rng)
        #: Calibration: probability = sigmoid(a * logit + b).
        self.calibration = tf.Variable([1.0, 0.0], trainable=False, dtype=tf.float32)
        self._tables = [v.table() for v in (inputs.users, inputs.places, inputs.categories)]
        #: Persons with a row of their own; the graph holds a 64-bit hash of each id.
        self.users_known = len(inputs.users.hashes)

    def logits(
        self, features: Any, user: Any, place: Any, category: Any, seed: Any | None = None
    ) -> Any:
        """Uncalibrated logits.

        Args:
            features: float[n, F].
            user, place, category: int32[n] vocabulary rows.
            seed: int; given while training, switches dropout on.
        """
        if seed is not None:
            user, place = forget(user, FORGET, [1, seed]), forget(place, FORGET, [2, seed])
        scaled = (features - self.inputs.mean) * self.inputs.scale
        embedded = [
            tf.gather(table, rows)
            for table, rows in (
                (self._users, user),
                (self._places, place),
                (self._categories, category),
            )
        ]
        x = tf.concat([tf.clip_by_value(scaled, -CLIP, CLIP), *embedded], axis=1)
        for number, layer in enumerate(self._layers):
            x = tf.nn.relu(layer(x))
            if seed is not None:
                x = dropout(x, DROPOUT, [3 + number, seed])
        return self._last(x)[:, 0] + self._wide_logits(features, category)

    def _wide_logits(self, features: Any, category: Any) -> Any:
        """Sum of the weights of a row's buckets and crosses."""
        distance, price, rating = (
            tf.searchsorted(edges, features[:, column], side="left")
            for edges, column in zip(self.inputs.edges, self._wide_at, strict=True)
        )
        prices, ratings = (len(edges) + 1 for edges in self.inputs.edges[1:])
        crosses = (
            distance * prices + price,
            distance * ratings + rating,
            price * ratings + rating,
            distance * self.inputs.categories.rows + category,
        )
        rows = tf.stack([distance, price, rating, *crosses], axis=1) + self._wide_starts
        return tf.reduce_sum(tf.gather(self._wide, rows)[:, :, 0], axis=1)

    def serve(
        self, features: Any, parts: Any, user_id: Any, place_id: Any, category_id: Any
    ) -> dict[str, Any]:
        """The exported signature: ids in, calibrated probability and its logit out."""
        del parts
        user, place, category = (
            table.lookup(ids)
            for table, ids in zip(self._tables, (user_id, place_id, category_id), strict=True)
        )
        logit = self.logits(features, user, place, category)
        score = self.calibration[0] * logit + self.calibration[1]
        return {"probability": tf.sigmoid(score), "score": score}


def _columns(rows: RankerRows, inputs: Inputs) -> Columns:
    """What a step reads: ids as vocabulary rows, the features themselves."""
    return {
        "features": rows.features,
        "user": inputs.users.rows_of(rows.user),
        "place": inputs.places.rows_of(rows.place),
        "category": inputs.categories.rows_of(rows.category),
        "log_expected": np.log(rows.expected),
        "label": rows.label.astype(np.float32),
    }


def _loss(model: Ranker, batch: dict[str, Any], seed: Any | None) -> Any:
    """Cross-entropy, corrected for how the negatives were drawn.

    With negatives kept at an expected count q, the odds among the rows are 1/q times the true
    ones (a case-control design), so logit - log q is what the rows' labels speak of.
    """
    user, place, category = (batch[name] for name in ("user", "place", "category"))
    logits = model.logits(batch["features"], user, place, category, seed=seed)
    return binary_cross_entropy(batch["label"], logits - batch["log_expected"])


def train_ranker(
    train: RankerRows,
    validation: RankerRows,
    schedule: Schedule,
    seed: int,
    stage: Stage,
    mixed: Callable[[Columns], Rows] = Arrays,
) -> tuple[Ranker, list[Epoch]]:
    """Train by binary cross-entropy; the calibration is left at "none".

    Rows are read through `models.row_stream`; `mixed` says how many of them are mixed at once.

    The logits then tell the odds of a place against all others that could have been chosen, which
    is what candidates must be ordered by.
    """
    rng = np.random.default_rng(seed)
    inputs = Inputs.of(train)
    model = Ranker(inputs, rng)
    variables = list(model.trainable_variables)
    optimizer = Adam(variables, schedule.rate)
    rows = mixed(_columns(train, inputs))
    held = {name: tf.constant(column) for name, column in _columns(validation, inputs).items()}
    coming = iter(stream(rows, schedule.batch, rng, epochs=schedule.epochs))
    each = steps(len(train), schedule.batch, whole=False)

    def step(batch: dict[str, Any], number: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = _loss(model, batch, number)
        optimizer.apply(tape.gradient(loss, variables))
        return loss

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def epoch(batches: Any, first: Any) -> Any:
        total = tf.constant(0.0)
        for i in tf.range(each):
            total += step(next(batches), first + i)
        return total / each

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def held_loss() -> Any:
        return _loss(model, held, None)

    def run(number: int) -> float:
        return float(epoch(coming, tf.constant(seed + number * each, tf.int32)))

    epochs = fit(variables, optimizer, run, lambda: float(held_loss()), schedule, stage)
    return model, epochs


def predict(model: RankingModel, rows: RankerRows, batch: int = 16_384) -> NDArray[np.float32]:
    """Calibrated logits of rows, float32[n], through the exported signature's function."""
    serve = tf.function(model.serve, input_signature=ranker_signature(), autograph=False)
    scores = [
        serve(
            tf.constant(rows.features[part]),
            tf.fill([len(rows.label[part]), len(PARTS)], np.float32(np.nan)),
            *(tf.constant(as_int64(ids[part])) for ids in (rows.user, rows.place, rows.category)),
        )["score"].numpy()
        for part in (slice(i, i + batch) for i in range(0, len(rows), batch))
    ]
    return np.concatenate(scores)
