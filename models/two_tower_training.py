"""Training the two towers by sampled softmax over in-batch and near negatives.

A row's negatives are places chosen by others in the batch (drawn by popularity) and places near
the request (drawn evenly from the nearest). Both come from one mixture, whose expected count
of each place corrects the logits (logQ), so that the scores estimate log P(place | user, here).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from models.dataset import NEAR_EACH
from models.fitting import Epoch, Schedule, fit
from models.losses import sampled_softmax
from models.networks import forget, gather_dense
from models.optimizer import Adam
from models.progress import Stage
from models.row_stream import stream
from models.rows import Arrays, Columns, Rows, steps
from models.training_rows import NO_EVENT, Choices
from models.two_tower import WIDTH, Places, TwoTower, distance_basis, weight_at
from online_features.catalogue import Catalogue
from online_features.geo import EARTH_RADIUS_M
from online_features.history import HISTORY

#: Choices of a batch that serve as negatives for all of its rows.
SHARED = 128
FORGET = 0.1
#: Learning rate to start with.
RATE = 0.003
#: Validation rows are a sample of so many: the loss of more costs as much as an epoch.
MOST_HELD = 4_096


def _columns(choices: Columns, places: Places) -> Columns:
    """What a step reads of choices; catalogue rows of -1 and -2 become the last indices."""
    last, row = len(places.row), choices["history_row"]
    return {
        "history": np.where(row < 0, last + row, row).astype(np.int32),
        "age_s": choices["history_age_s"],
        "kind": choices["history_kind"],
        "place": choices["place"],
        "near": choices["near"],
        "reach_m": choices["near_reach_m"],
        "lat": np.radians(choices["lat"] - places.middle[0]).astype(np.float32),
        "lng": np.radians(choices["lng"] - places.middle[1]).astype(np.float32),
    }


class _Data:
    """Choices as tensors, from `_columns`."""

    def __init__(self, columns: Mapping[str, Any], places: Places) -> None:
        self.none = len(places.row) + NO_EVENT
        self.history, self.age_s, self.kind = (columns[n] for n in ("history", "age_s", "kind"))
        self.place, self.near, self.reach_m = (columns[n] for n in ("place", "near", "reach_m"))
        self.lat, self.lng = columns["lat"], columns["lng"]

    def everyone(self) -> Any:
        """Indices of all choices."""
        return tf.range(tf.shape(self.place)[0])


class _Batch:
    """Scores of one batch's rows with any places."""

    def __init__(self, model: TwoTower, data: _Data, indices: Any, seed: Any | None) -> None:
        places = model.places
        self._model, self._data, self._seed = model, data, seed
        self._row, self._category = tf.constant(places.row), tf.constant(places.category)
        self._place_lat, self._place_lng = tf.constant(places.lat), tf.constant(places.lng)
        self._cos = float(np.cos(np.radians(places.middle[0])))
        self.lat, self.lng = tf.gather(data.lat, indices), tf.gather(data.lng, indices)
        self.history = tf.gather(data.history, indices)
        age_s = tf.gather(data.age_s, indices)
        kind = tf.cast(tf.gather(data.kind, indices), tf.int32)
        there = self.history != data.none
        weights, self._here = model.user_side.event_weights(age_s, kind, there)
        # A place that stands in many histories is looked up once.
        distinct, at = tf.unique(tf.reshape(self.history, [-1]))
        vectors = gather_dense(self._vectors(distinct, 1), at)
        vectors = tf.reshape(vectors, [-1, HISTORY, WIDTH])
        self.user, self._user_distance = model.user_side.read(vectors, weights, age_s[:, 0])

    def _vectors(self, places: Any, salt: int) -> Any:
        row = tf.gather(self._row, places)
        if self._seed is not None:
            row = forget(row, FORGET, [salt, self._seed])
        return self._model.vectors(row, tf.gather(self._category, places))

    def distance_m(self, places: Any) -> Any:
        """float[b, n] metres to places int[b, n] (or [1, n]), flat-earth around the city."""
        north = tf.gather(self._place_lat, places) - self.lat[:, None]
        east = (tf.gather(self._place_lng, places) - self.lng[:, None]) * self._cos
        return EARTH_RADIUS_M * tf.sqrt(north**2 + east**2 + 1e-18)

    def scores(self, places: Any, distance_m: Any, salt: int) -> Any:
        """float[b, n] of places int[b, n], or int[1, n] shared by all rows."""
        model = self._model
        vectors = self._vectors(places, salt)
        basis = distance_basis(distance_m)
        near = tf.einsum("bnk,bk->bn", basis, self._user_distance)
        by_category = tf.gather(model.category_distance, tf.gather(self._category, places))
        if places.shape[0] == 1:
            dot = tf.matmul(self.user, vectors[0], transpose_b=True)
            near += tf.einsum("bnk,nk->bn", basis, by_category[0])
            places = tf.tile(places, [tf.shape(self.user)[0], 1])
        else:
            dot = tf.einsum("bw,bnw->bn", self.user, vectors)
            near += tf.reduce_sum(basis * by_category, axis=-1)
        bias = tf.gather(model.bias, tf.gather(self._row, places))[:, :, 0]
        here = weight_at(self.history, self._here, places)
        return dot + near + bias + model.user_side.known(here)


def _loss(
    model: TwoTower, data: _Data, indices: Any, shared: Any, log_share: Any, near_of: int, seed: Any
) -> Any:
    """Mean sampled softmax of some rows; `shared` int[s] are catalogue rows of the negatives."""
    batch = _Batch(model, data, indices, seed)
    target = tf.gather(data.place, indices)[:, None]
    near = tf.gather(data.near, indices)
    places = tf.concat([target, near], axis=1)
    metres = batch.distance_m(places)
    own = batch.scores(places, metres, 2)
    shared_m = batch.distance_m(shared[None, :])
    others = batch.scores(shared[None, :], shared_m, 3)
    reach_m = tf.gather(data.reach_m, indices)[:, None]

    def log_expected(place: Any, distance_m: Any) -> Any:
        in_reach = tf.cast(distance_m <= reach_m, tf.float32)
        drawn = tf.cast(tf.size(shared), tf.float32) * tf.exp(tf.gather(log_share, place))
        return tf.math.log(drawn + in_reach * NEAR_EACH / near_of)

    sampled = tf.concat([own[:, 1:], others], axis=1)
    expected = tf.concat(
        [log_expected(near, metres[:, 1:]), log_expected(shared[None, :], shared_m)], axis=1
    )
    accident = tf.concat([near == target, shared[None, :] == target], axis=1)
    return tf.reduce_mean(sampled_softmax(own[:, 0], sampled, expected, accident))


def train_two_tower(
    catalogue: Catalogue,
    train: Choices,
    validation: Choices,
    near_of: int,
    schedule: Schedule,
    seed: int,
    stage: Stage,
    mixed: Callable[[Columns], Rows] = Arrays,
) -> tuple[TwoTower, list[Epoch]]:
    """Train; `near_of` is how many nearest places the near negatives were drawn from.

    Choices are read through `models.row_stream`; `mixed` says how many are mixed at once.
    """
    rng = np.random.default_rng(seed)
    places = Places.of(catalogue, train)
    counts = np.bincount(train.place, minlength=len(catalogue)) + 0.1
    log_share = tf.constant(np.log(counts / counts.sum()).astype(np.float32))
    by_row = np.bincount(places.row[: len(catalogue)], counts, minlength=places.vocabulary.rows)
    by_row[0] /= max(int((places.row[: len(catalogue)] == 0).sum()), 1)
    popularity = np.log(np.maximum(by_row, 0.1) / counts.mean()).astype(np.float32)
    model = TwoTower(places, popularity, rng)
    variables = list(model.trainable_variables)
    optimizer = Adam(variables, schedule.rate)
    sample = np.sort(rng.permutation(len(validation))[:MOST_HELD])
    sampled = _columns(vars(validation.take(sample)), places)
    held = _Data({name: tf.constant(column) for name, column in sampled.items()}, places)
    # Whole batches only: the negatives of a small rest would be few.
    each = steps(len(train), schedule.batch, whole=True)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def epoch(batches: Any, first: Any) -> Any:
        total = tf.constant(0.0)
        for i in tf.range(each):
            data = _Data(next(batches), places)
            shared = data.place[:SHARED]
            with tf.GradientTape() as tape:
                everyone = data.everyone()
                loss = _loss(model, data, everyone, shared, log_share, near_of, first + i)
            optimizer.apply(tape.gradient(loss, variables))
            total += loss
        return total / each

    # The same negatives at each check, drawn as in training.
    held_shared = tf.constant(rng.choice(train.place, SHARED))

    @tf.function(reduce_retracing=True, autograph=False)  # type: ignore[untyped-decorator]
    def held_loss(indices: Any) -> Any:
        return _loss(model, held, indices, held_shared, log_share, near_of, None)

    def validate() -> float:
        parts = [slice(i, i + schedule.batch) for i in range(0, len(sample), schedule.batch)]
        everyone = np.arange(len(sample), dtype=np.int32)
        losses = [float(held_loss(tf.constant(everyone[part]))) for part in parts]
        return float(np.average(losses, weights=[len(everyone[part]) for part in parts]))

    batches = stream(
        mixed(vars(train)),
        schedule.batch,
        rng,
        epochs=schedule.epochs,
        whole=True,
        make=lambda choices: _columns(choices, places),
    )
    coming = iter(batches)

    def run(number: int) -> float:
        return float(epoch(coming, tf.constant(seed + number * each, tf.int32)))

    return model, fit(variables, optimizer, run, validate, schedule, stage)
