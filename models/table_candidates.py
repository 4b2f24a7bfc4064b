"""The default candidate model: the tables of the city, read by a small network, for every place.

It is trained on choice sets whose parts come from tables of an earlier time (out of fold): a
table that had counted the visits it explains would be trusted far too much.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from contracts.ids import as_int64
from models.choice_sets import ChoiceSets
from models.fitting import Epoch
from models.listwise import NOT_THERE, Network, Scales, Schedule, train_network
from models.parts import COARSE, PARTS, WIDTH, Look, Parts
from models.progress import Stage
from models.tables import Geography, Tables
from online_features.archive import EventLog
from online_features.catalogue import Catalogue
from online_features.geo import distance_m
from online_features.history import history

HIDDEN = (48, 24)
#: Folds of the training rows by time, each read with the tables of what lies before it.
FOLDS = 5
#: A choice of a place new to its user counts so many times: the known ones are let through anyhow.
NEW_WEIGHT = 3.0
#: So many places, the best by a weighted sum of cheap parts, reach the network.
FINE = 1_000
#: The parts of so many go on to the ranker; it is handed at most 200 places, or an answer's length.
TOLD = 256
#: What keeps the others below them, in their own order.
BELOW = 1e4
_AT_ONCE = 64
_SAMPLED = 100_000


class Coarse(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """A weighted sum, to be trained as a network is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(np.zeros((len(COARSE), 1), np.float32))

    def __call__(self, x: Any, category: Any) -> Any:
        """float[n, len(COARSE)] -> float[n]; the category does not count."""
        del category
        return tf.matmul(x, self.weight)[:, 0]


class TableCandidates(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Tables and a network behind the candidate stage's signature."""

    def __init__(self, parts: Parts, network: Network, coarse: "Coarse") -> None:
        super().__init__()
        self._parts = parts
        self._network = network
        self._coarse = coarse

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
        """The exported signature."""
        look = Look(self._parts, history_ids, history_age_s, history_kind, moment_s)
        rows = self._parts.rows(place_ids)
        coarse = look.coarse(rows, distance_m, crowd, self._coarse.weight[:, 0])
        _, at = tf.math.top_k(coarse, tf.minimum(FINE, tf.shape(place_ids)[1]), sorted=False)
        ids, rows, metres, crowd = (
            tf.gather(values, at, batch_dims=1) for values in (place_ids, rows, distance_m, crowd)
        )
        parts = look(ids, rows, metres, crowd)
        category = self._parts.category(rows)
        score = self._network(tf.reshape(parts, [-1, WIDTH]), tf.reshape(category, [-1]))
        batch, fine = tf.shape(at)[0], tf.shape(at)[1]
        request = tf.repeat(tf.range(batch), fine)
        cells = tf.stack([request, tf.reshape(at, [-1])], axis=1)
        score = tf.reshape(score, [batch, fine])
        _, told = tf.math.top_k(score, tf.minimum(TOLD, fine), sorted=False)
        return {
            "scores": tf.tensor_scatter_nd_update(coarse - BELOW, cells, tf.reshape(score, [-1])),
            "best": tf.gather(at, told, batch_dims=1),
            "parts": tf.gather(parts, told, batch_dims=1),
        }


def parts_of(
    parts: Parts, sets: ChoiceSets, which: NDArray[np.int64], catalogue: Catalogue
) -> NDArray[np.float16]:
    """Parts of the places of some choice sets, float16[len(which), SET, WIDTH]."""

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def call(ids: Any, age_s: Any, kind: Any, places: Any, *asked: Any) -> Any:
        metres, moment_s, crowd = asked
        look = Look(parts, ids, age_s, kind, moment_s)
        return look(places, parts.rows(places), metres, crowd)

    hashes = np.r_[catalogue.hash, np.uint64(0)]
    found = []
    for start in range(0, len(which), _AT_ONCE):
        at = which[start : start + _AT_ONCE]
        moments = sets.moments.take(at)
        past = history(sets.users[at])
        places = sets.places[at]
        metres = distance_m(
            moments.lat[:, None],
            moments.lng[:, None],
            catalogue.lat[places],
            catalogue.lng[places],
        )
        values = call(
            tf.constant(as_int64(past.ids)),
            tf.constant(past.age_s(moments.time_s)),
            tf.constant(past.kind.astype(np.int64)),
            tf.constant(as_int64(hashes[places])),
            tf.constant(np.nan_to_num(metres, nan=1e6).astype(np.float32)),
            tf.constant(moments.time_s.astype(np.int64)),
            tf.constant(sets.crowd[at]),
        )
        found.append(values.numpy().astype(np.float16))
    return np.concatenate(found)


def out_of_fold(
    log: EventLog, catalogue: Catalogue, sets: ChoiceSets, held: NDArray[np.bool_]
) -> NDArray[np.float16]:
    """Parts of all choice sets, each from tables of what lies before its fold.

    Args:
        log: sorted by time.
        catalogue: all places.
        sets: choice sets, ascending by what they know of the log.
        held: bool[m], sets that judge; a fold of their own.

    Returns:
        float16[m, SET, WIDTH].
    """
    geography = Geography.of(catalogue)
    x = np.empty((*sets.places.shape, WIDTH), np.float16)
    folds = [*np.array_split(np.flatnonzero(~held), FOLDS), np.flatnonzero(held)]
    for fold in folds:
        if not len(fold):
            continue
        before = int(sets.moments.before[fold].min())
        tables = Tables.learn(log.take(slice(0, before)), catalogue, geography)
        x[fold] = parts_of(Parts(tables), sets, fold, catalogue)
    return x


def train_tables(
    log: EventLog,
    catalogue: Catalogue,
    sets: ChoiceSets,
    x: NDArray[np.float16],
    held: NDArray[np.bool_],
    schedule: Schedule,
    seed: int,
    stage: Stage,
) -> tuple[TableCandidates, list[Epoch]]:
    """Learn the network that reads tables, and the tables that it will read.

    Args:
        log: what the served tables know, sorted by time.
        catalogue: all places.
        sets: choice sets.
        x: their parts, `out_of_fold`.
        held: bool[m], sets that judge.
        schedule: of the network.
        seed: of the first weights and the order.
        stage: told after each epoch.
    """
    rng = np.random.default_rng(seed)
    at = np.flatnonzero((sets.log_expected < NOT_THERE) & ~held[:, None])
    at = rng.choice(at, min(_SAMPLED, len(at)), replace=False)
    scales = Scales.of(x.reshape(-1, WIDTH)[at], x[~held, 0])
    parts = Parts(Tables.learn(log, catalogue, Geography.of(catalogue)))
    network = Network(scales, parts.categories, HIDDEN, rng)
    category = parts.category_of_rows(sets.places)
    new = (sets.places[:, 1:] != sets.places[:, :1]).all(axis=1) & (sets.log_expected[:, 0] != 0)
    weight = np.where(new, NEW_WEIGHT, 1.0).astype(np.float32)
    coarse, columns = Coarse(), [PARTS.index(name) for name in COARSE]
    how = Schedule(epochs=min(2, schedule.epochs), rate=0.02)
    train_network(
        coarse, x[:, :, columns], category, sets.log_expected, held, how, seed, stage, weight
    )
    epochs = train_network(
        network, x, category, sets.log_expected, held, schedule, seed, stage, weight
    )
    return TableCandidates(parts, network, coarse), epochs
