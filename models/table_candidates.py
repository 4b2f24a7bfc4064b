"""The default candidate model: the tables of the city, read by a small network, for every place.

It is trained on choice sets whose parts come from tables of an earlier time (out of fold): a
table that had counted the visits it explains would be trusted far too much.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from contracts.ids import as_int64
from contracts.signatures import VECTORS
from models.choice_sets import ChoiceSets
from models.fitting import Epoch
from models.leaks import Knowledge, check_out_of_fold
from models.listwise import Network, Schedule, View, scales_of, train_networks
from models.parts import COARSE, PARTS, WIDTH, Look, Parts
from models.progress import SILENT, Reporter, Stage
from models.rows import Columns, Rows
from models.tables import Geography, Tables
from online_features.catalogue import Catalogue
from online_features.columns import EventColumns
from online_features.geo import distance_m
from online_features.history import HISTORY, history

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


class Coarse(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """A weighted sum, to be trained as a network is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(np.zeros((len(COARSE), 1), np.float32))

    def read(self, x: Any) -> Any:
        """What `score` takes of half[n, len(COARSE)]."""
        return tf.cast(x, tf.float32)

    def score(self, x: Any, category: Any) -> Any:
        """float[n, len(COARSE)] -> float[n]; the category does not count."""
        del category
        return tf.matmul(x, self.weight)[:, 0]


class TableCandidates(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Tables and a network behind the candidate stage's signature.

    Args:
        parts: tables of p places.
        network: scores their parts.
        coarse: a first look at all places.
        vectors: float32[p, d] by the tables' rows (`models.place_vectors`); no score reads them.
    """

    def __init__(
        self, parts: Parts, network: Network, coarse: "Coarse", vectors: NDArray[np.float32]
    ) -> None:
        super().__init__()
        unknown = np.zeros((1, vectors.shape[1]), np.float32)
        self._vectors = tf.Variable(np.concatenate([vectors, unknown]), trainable=False)
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

    def vectors(self, place_ids: Any) -> dict[str, Any]:
        """By who visits the places; 0 where nobody has."""
        return {VECTORS: tf.gather(self._vectors, self._parts.rows(place_ids))}


class PastParts:
    """Parts of choice sets, each from tables of what lies before its fold.

    Args:
        log: sorted by time.
        catalogue: all places.
        before: int64[m], how much each set knows of the log, ascending.
        learn: the first so many sets make `FOLDS` folds; the others, which judge, one.
        progress: told of the tables' own time.
    """

    def __init__(
        self,
        log: EventColumns,
        catalogue: Catalogue,
        before: NDArray[np.int64],
        learn: int,
        progress: Reporter = SILENT,
    ) -> None:
        self._progress = progress
        self._log, self._catalogue, self._before = log, catalogue, before
        self._geography = Geography.of(catalogue)
        folds = [len(fold) for fold in np.array_split(np.arange(learn), FOLDS)]
        self._ends = np.cumsum([*folds, len(before) - learn]).tolist()
        self._done = 0
        self._knows = Knowledge(0, -np.inf)
        self._parts: Parts | None = None
        self._call: Any = None

    def of(self, sets: ChoiceSets) -> NDArray[np.float16]:
        """Parts of the places of the next sets, float16[len(sets), SET, WIDTH].

        Raises:
            Leak: the tables of a fold know what one of its sets does not.
        """
        found, start = [], 0
        while start < len(sets):
            if self._done in (0, *self._ends):
                with self._progress.stage("tables", None) as stage:
                    self._learn()
                    stage.advance(self._knows.events)
            end = next(end for end in self._ends if end > self._done)
            stop = min(len(sets), start + end - self._done, start + _AT_ONCE)
            found.append(self._some(sets, slice(start, stop)))
            self._done += stop - start
            start = stop
        return np.concatenate(found)

    def _learn(self) -> None:
        """Tables of what lies before the fold that begins here."""
        log = self._log.take(slice(0, int(self._before[self._done])))
        self._knows = Knowledge.of(log)
        tables = Tables.learn(log, self._catalogue, self._geography)
        if self._parts is None:
            self._parts = Parts(tables)
            self._call = _calling(self._parts)
        else:
            # The graph that was made of the first ones reads these, too.
            self._parts.assign(tables)

    def _some(self, sets: ChoiceSets, part: slice) -> NDArray[np.float16]:
        catalogue, moments, places = self._catalogue, sets.moments.take(part), sets.places[part]
        check_out_of_fold(self._knows, moments)
        past = history(sets.users[part])
        metres = distance_m(
            moments.lat[:, None],
            moments.lng[:, None],
            catalogue.lat[places],
            catalogue.lng[places],
        )
        values = self._call(
            tf.constant(as_int64(past.ids)),
            tf.constant(past.age_s(moments.time_s)),
            tf.constant(past.kind.astype(np.int64)),
            tf.constant(as_int64(np.r_[catalogue.hash, np.uint64(0)][places])),
            tf.constant(np.nan_to_num(metres, nan=1e6).astype(np.float32)),
            tf.constant(moments.time_s.astype(np.int64)),
            tf.constant(sets.crowd[part]),
        )
        half: NDArray[np.float16] = values.numpy().astype(np.float16)
        return half


def _calling(parts: Parts) -> Any:
    """Parts of the places of choice sets, traced once."""
    history = [tf.TensorSpec([None, HISTORY], kind) for kind in (tf.int64, tf.float32, tf.int64)]
    places = [tf.TensorSpec([None, None], kind) for kind in (tf.int64, tf.float32)]
    moment, crowd = tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, None, None], tf.uint8)

    @tf.function(input_signature=[*history, *places, moment, crowd], autograph=False)  # type: ignore[untyped-decorator]
    def call(ids: Any, age_s: Any, kind: Any, places: Any, *asked: Any) -> Any:
        metres, moment_s, crowd = asked
        look = Look(parts, ids, age_s, kind, moment_s)
        return look(places, parts.rows(places), metres, crowd)

    return call


def learned(log: EventColumns, catalogue: Catalogue, progress: Reporter) -> Parts:
    """The tables that a served model reads, of all that it may know."""
    with progress.stage("tables", None) as stage:
        parts = Parts(Tables.learn(log, catalogue, Geography.of(catalogue)))
        stage.advance(len(log))
    return parts


def train_tables(
    parts: Parts,
    vectors: NDArray[np.float32],
    learn: Rows,
    judge: Columns,
    schedule: Schedule,
    seed: int,
    stage: Stage,
) -> tuple[TableCandidates, list[Epoch]]:
    """Learn the network that reads tables.

    Args:
        parts: the tables that it will read.
        vectors: of the same places, which the model hands out.
        learn: choice sets to learn from: `places`, `log_expected` and `parts` (of `PastParts`).
        judge: the same of those to judge by.
        schedule: of the network.
        seed: of the first weights and the order.
        stage: told after each epoch.
    """
    rng = np.random.default_rng(seed)
    learn = learn.only("places", "log_expected", "parts")
    view = View(
        x=lambda sets, cells: sets["parts"][cells],
        category=lambda sets, cells: parts.category_of_rows(sets["places"][cells]),
        weight=_weight,
    )
    network = Network(scales_of(learn, view, rng), parts.categories, HIDDEN, rng)
    coarse, columns = Coarse(), [PARTS.index(name) for name in COARSE]
    how = Schedule(epochs=min(2, schedule.epochs), rate=0.02)
    cheap = replace(view, x=lambda sets, cells: view.x(sets, cells)[:, columns])
    train_networks([coarse], learn, judge, cheap, how, seed, stage)
    epochs = train_networks([network], learn, judge, view, schedule, seed, stage)
    return TableCandidates(parts, network, coarse, vectors), epochs


def _weight(sets: Columns) -> NDArray[np.float32]:
    """What sets count: a choice that was new to its user more."""
    places, log_expected = sets["places"], sets["log_expected"]
    new = (places[:, 1:] != places[:, :1]).all(axis=1) & (log_expected[:, 0] != 0)
    return np.where(new, NEW_WEIGHT, 1.0).astype(np.float32)
