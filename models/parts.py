"""What the tables of a city say of a place to a user at a moment, inside the graph.

Both models read the same parts: the candidate model of every place in reach, the ranker of the
two hundred that are left. A place that the tables do not know has their neutral row; what does
not need the place's past (distance, the user's own visits there) speaks for it all the same.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from contracts.signatures import CROWD, CROWD_SCALE
from contracts.signatures import PARTS as PARTS
from models.past import Past
from models.tables import NEIGHBOURS, Tables
from models.two_tower import weight_at
from models.vocabulary import Vocabulary
from online_features.rings import DAY_S, HOUR_S

WIDTH = len(PARTS)
#: Parts that are cheap for tens of thousands of places.
COARSE = (
    *("visits", "shared", "company", "next", "close", "metres", "metres_near", "here"),
    *("crowd_1h", "crowd_24h", "crowd_7d", "crowd_28d"),
)
#: "Lately" in steps and in company is hours ago, in shared places days.
STEP_LATELY_S, LATELY_S = 6 * HOUR_S, 3 * DAY_S
#: Relations are told as log(weight + LEAST).
LEAST = 0.01


class Parts(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """The tables as constants of a graph; row p, after the last place, is "unknown"."""

    def __init__(self, tables: Tables) -> None:
        super().__init__()
        order = np.argsort(tables.hashes)
        #: Places known; the row of an unknown one.
        self.places = len(tables.hashes)
        self._rows = Vocabulary(tables.hashes[order]).table(order + 1)
        held = [_held(values) for values in _arrays(tables)]
        self._all = held
        self._category, self._visits, self._plain = held[:3]
        self._by_hour, self._by_day, self._follows = held[3:6]
        self._slot, self._strength = held[6:]

    def assign(self, tables: Tables) -> None:
        """Read other tables, of the same places, from now on; what was traced reads them, too."""
        for variable, values in zip(self._all, _arrays(tables), strict=True):
            variable.assign(values)

    @property
    def categories(self) -> int:
        """Number of categories, "unknown" included, which is the last."""
        return int(self._follows.shape[0])

    def category(self, rows: Any) -> Any:
        """Category of places by row, int32 of the same shape."""
        return tf.gather(self._category, rows)

    def category_of_rows(self, rows: NDArray[np.integer]) -> NDArray[np.int32]:
        """The same by catalogue row, -1 a place that is not in it."""
        category: NDArray[np.int32] = self._category.numpy()[np.where(rows < 0, self.places, rows)]
        return category

    def rows(self, ids: Any) -> Any:
        """Rows of place ids (int64 views of hashes), int32; `places` for the unknown."""
        row = self._rows.lookup(ids)
        return tf.where(row > 0, row - 1, self.places)

    def plain(self, rows: Any) -> Any:
        """What needs no user and no moment, the visits first; float[..., 5] by row."""
        return tf.gather(self._plain, rows)

    def visits(self, rows: Any) -> Any:
        """The first of them alone, float of the shape of the rows."""
        return tf.gather(self._visits, rows)

    def related(self, past_rows: Any, weights: Sequence[Any]) -> Any:
        """How close each place of the city is to a history by each relation.

        One pass over all neighbours of all events; on a small city a call costs more by its
        number of operations than by what they do.

        Args:
            past_rows: int32[b, HISTORY].
            weights: of the events, float[b, HISTORY] a relation.

        Returns:
            Sum of weight times strength by `slots`, float[b * (places + 1), relations]; 0 for the
            unknown place.
        """
        relations = len(weights)
        strength = tf.gather(self._strength, past_rows)
        strength = tf.reshape(strength, [*tf.unstack(tf.shape(past_rows)), relations, NEIGHBOURS])
        strength *= tf.stack(weights, axis=2)[:, :, :, None]
        slot = tf.gather(self._slot, past_rows)
        return tf.reshape(_summed(strength, slot, (self.places + 1) * relations), [-1, relations])

    def slots(self, rows: Any) -> Any:
        """Rows of places, of b requests, in one line: int32[b, n]."""
        return rows + tf.range(tf.shape(rows)[0])[:, None] * (self.places + 1)

    def at_moment(self, rows: Any, moment_s: Any) -> list[Any]:
        """How busy places usually are at this hour, [b, n, 3], and on this weekday, [b, n, 1]."""
        hour = tf.cast(moment_s // int(HOUR_S) % 24, tf.int32)
        day = tf.cast((moment_s // int(DAY_S) + 3) % 7, tf.int32)
        # As one long table: of an hour's or a day's own, all places would be copied first.
        by_hour, by_day = tf.reshape(self._by_hour, [-1, 3]), tf.reshape(self._by_day, [-1, 1])
        size = self.places + 1
        return [
            tf.gather(by_hour, hour[:, None] * size + rows),
            tf.gather(by_day, day[:, None] * size + rows),
        ]

    def kinds(self, past: Past, past_rows: Any) -> Any:
        """Of each category: how it follows the last one, and which shares of the visits it has.

        Returns:
            float[b, categories, 4].
        """
        of_past = tf.gather(self._category, past_rows)
        last = tf.reduce_sum(of_past * tf.cast(past.newest, tf.int32), axis=1)
        follows = tf.gather(self._follows, last) * past.any[:, None]
        weight = tf.stack([past.been, past.been * past.around, past.once], axis=2)
        slot = of_past[:, :, None] * 3 + tf.range(3)
        shares = tf.reshape(_summed(weight, slot, self.categories * 3), [-1, self.categories, 3])
        shares /= tf.reduce_sum(weight, axis=1)[:, None, :] + 0.5
        return tf.concat([follows[:, :, None], tf.math.log(shares + LEAST)], axis=2)


class Look:
    """A look at a city with the eyes of some users at a moment: what both stages read from it.

    Args:
        parts: the tables.
        history_ids: int64[b, HISTORY], newest first, 0 where there is no event.
        history_age_s: float[b, HISTORY].
        history_kind: int64[b, HISTORY], index in `EVENT_TYPES`.
        moment_s: int64[b], Unix seconds.
    """

    def __init__(
        self,
        parts: Parts,
        history_ids: Any,
        history_age_s: Any,
        history_kind: Any,
        moment_s: Any,
    ) -> None:
        self._parts = parts
        # What no history of the batch reaches costs nothing.
        used = tf.reduce_max(tf.reduce_sum(tf.cast(history_ids != 0, tf.int32), axis=1))
        history_ids, history_age_s, history_kind = (
            values[:, :used] for values in (history_ids, history_age_s, history_kind)
        )
        self._ids, self._moment_s = history_ids, moment_s
        self._past = past = Past(history_ids, history_age_s, history_kind, moment_s)
        self._past_rows = parts.rows(history_ids)
        steps = past.fading(STEP_LATELY_S)
        #: Of each place of the city, by `Parts.slots`: the relations' first parts, and the others.
        self._related = (
            parts.related(self._past_rows, (past.once, past.once, past.newest, past.once)),
            parts.related(
                self._past_rows,
                (past.fading(LATELY_S), steps, steps, past.once * past.around),
            ),
        )

    def coarse(self, rows: Any, distance_m: Any, crowd: Any, weight: Any) -> Any:
        """Weighted sum of the `COARSE` parts of places, float[b, n].

        Args:
            rows: int32[b, n].
            distance_m: float[b, n], from the request.
            crowd: uint8[b, n, len(CROWD)].
            weight: float[len(COARSE)].
        """
        past, parts = self._past, self._parts
        at = dict(zip(COARSE, tf.unstack(weight, len(COARSE)), strict=True))
        relations = tf.stack([at[name] for name in ("shared", "company", "next", "close")])
        slots = parts.slots(rows)
        # Visits to places that the tables do not know are of none that could be told apart.
        been = past.been * tf.cast(self._past_rows < parts.places, tf.float32)
        own = tf.reshape(_summed(been, self._past_rows, parts.places + 1), [-1])
        metres, near = _metres(distance_m)
        return tf.add_n(
            [
                at["visits"] * parts.visits(rows),
                _product(_told(tf.gather(self._related[0], slots)), relations),
                at["here"] * tf.math.log(tf.gather(own, slots) + 0.1),
                at["metres"] * metres,
                at["metres_near"] * near,
                _product(_crowd(crowd), weight[-len(CROWD) :]),
            ]
        )

    def __call__(self, ids: Any, rows: Any, distance_m: Any, crowd: Any) -> Any:
        """All parts of places, float[b, n, WIDTH].

        Args:
            ids: int64[b, n]; a place that the tables do not know may still have been visited.
            rows: int32[b, n], theirs.
            distance_m: float[b, n], from the request.
            crowd: uint8[b, n, len(CROWD)].
        """
        past, parts = self._past, self._parts
        kinds = parts.kinds(past, self._past_rows)
        own = tf.stack([past.been, past.been * past.around, past.fading(LATELY_S)], axis=2)
        request = tf.stack([past.gap, tf.math.log1p(past.count), *past.waves, past.novelty], axis=1)
        metres = tf.stack(_metres(distance_m), axis=2)
        slots = parts.slots(rows)
        related = tf.stack([tf.gather(total, slots) for total in self._related], axis=3)
        columns = [
            parts.plain(rows),
            *parts.at_moment(rows, self._moment_s),
            _told(tf.reshape(related, [*tf.unstack(tf.shape(rows)), 2 * related.shape[2]])),
            tf.gather(kinds, parts.category(rows), batch_dims=1),
            metres,
            tf.math.log(weight_at(self._ids, own, ids) + 0.1),
            request[:, None, :] + 0.0 * metres[:, :, :1],
            _crowd(crowd),
        ]
        return tf.concat(columns, axis=2)


def _summed(weight: Any, slot: Any, slots: int) -> Any:
    """Sum of the weights of each slot: of float and int[b, ...] float[b, slots].

    For the sets of a training twice as fast as a segment sum. By rows, even of a single request:
    of a vector this operation makes a table a thread, and then adds those up.
    """
    batch = tf.shape(slot)[0]
    return tf.raw_ops.DenseBincount(
        input=tf.reshape(slot, [batch, -1]),
        size=slots,
        weights=tf.reshape(weight, [batch, -1]),
        binary_output=False,
    )


def _told(total: Any) -> Any:
    """Sums of `Parts.related` as they are told."""
    return tf.math.log(total + LEAST)


def _product(columns: Any, weight: Any) -> Any:
    """float[b, n, k] by float[k] -> float[b, n], as one plain product of matrices."""
    shape = tf.shape(columns)
    flat = tf.reshape(columns, [-1, columns.shape[2]])
    return tf.reshape(tf.matmul(flat, weight[:, None]), shape[:2])


def _crowd(codes: Any) -> Any:
    """log(1 + visits) of each window, float[b, n, len(CROWD)]."""
    return tf.cast(codes, tf.float32) / CROWD_SCALE


def _metres(distance_m: Any) -> tuple[Any, Any]:
    return tf.math.log1p(distance_m / 100.0), tf.exp(-distance_m / 1_000.0)


def _arrays(tables: Tables) -> list[NDArray[Any]]:
    """What the graph holds of tables: see `Parts.__init__` for the order."""
    places, categories = len(tables.hashes), len(tables.follows)
    plain = (
        tables.visits,
        tables.visitors,
        tables.category_visits,
        tables.around,
        tables.density,
    )
    by_hour = (tables.hour, tables.category_hour, tables.around_hour)
    relations = (tables.shared, tables.company, tables.next, tables.close)
    # The unknown place has no neighbours.
    row = np.concatenate([relation.row for relation in relations], axis=1)
    row = np.r_[np.where(row < 0, places, row), np.full((1, row.shape[1]), places, row.dtype)]
    weight = np.concatenate([relation.weight for relation in relations], axis=1)
    weight = np.r_[weight, np.zeros((1, weight.shape[1]), weight.dtype)]
    # A place has one sum a relation.
    slot = row * len(relations) + np.repeat(np.arange(len(relations)), NEIGHBOURS)
    told = np.stack([np.r_[column, column.mean()] for column in plain], axis=1)
    return [
        np.r_[tables.category, categories - 1],
        told[:, 0],
        told,
        np.stack([_padded(table) for table in by_hour], axis=2),
        _padded(tables.weekday),
        tables.follows,
        slot.astype(np.int32),
        weight,
    ]


def _held(values: Any) -> Any:
    return tf.Variable(values, trainable=False)


def _padded(table: Any) -> Any:
    """A column of zeros, "as usual", for the unknown place: [k, p] -> [k, p + 1]."""
    return np.concatenate([table, np.zeros((len(table), 1), np.float32)], axis=1)
