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
        self._category, self.plain, self._by_hour, self._by_day, self._follows = held[:5]
        self._neighbour, self._strength = held[5:]

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

    def related(self, past_rows: Any, weights: Sequence[tuple[Any, Any]]) -> Any:
        """How close each place of the city is to a history by each relation.

        One pass over all neighbours of all events; on a small city a call costs more by its
        number of operations than by what they do.

        Args:
            past_rows: int32[b, HISTORY].
            weights: of the events, two float[b, HISTORY] a relation.

        Returns:
            log(sum of weight times strength + LEAST), float[b, places + 1, 2 a relation]; a sum
            of 0 for the unknown place.
        """
        batch, width, relations = tf.shape(past_rows)[0], self.places + 1, len(weights)
        shape = [batch, -1, relations, NEIGHBOURS]
        strength = tf.reshape(tf.gather(self._strength, past_rows), shape)
        slot = tf.gather(self._neighbour, past_rows) + tf.range(batch)[:, None, None] * width
        slot = slot * relations + np.repeat(np.arange(relations, dtype=np.int32), NEIGHBOURS)
        totals = [
            _summed(strength * tf.stack(of, axis=2)[:, :, :, None], slot, batch * width * relations)
            for of in zip(*weights, strict=True)
        ]
        total = tf.reshape(tf.stack(totals, axis=1), [batch, width, 2 * relations])
        known = tf.concat([tf.ones(self.places), [0.0]], axis=0)[:, None]
        return tf.math.log(total * known + LEAST)

    def at_moment(self, rows: Any, moment_s: Any) -> list[Any]:
        """How busy places usually are at this hour, [b, n, 3], and on this weekday, [b, n]."""
        hour = tf.cast(moment_s // int(HOUR_S) % 24, tf.int32)
        day = tf.cast((moment_s // int(DAY_S) + 3) % 7, tf.int32)
        by_hour, by_day = tf.gather(self._by_hour, hour), tf.gather(self._by_day, day)
        return [tf.gather(by_hour, rows, batch_dims=1), tf.gather(by_day, rows, batch_dims=1)]

    def kinds(self, past: Past, past_rows: Any) -> Any:
        """Of each category: how it follows the last one, and which shares of the visits it has.

        Returns:
            float[b, categories, 4].
        """
        of_past = tf.gather(self._category, past_rows)
        last = tf.reduce_sum(of_past * tf.cast(past.newest, tf.int32), axis=1)
        follows = tf.gather(self._follows, last) * past.any[:, None]
        weight = tf.stack([past.been, past.been * past.around, past.once], axis=2)
        batch = tf.shape(past_rows)[0]
        slot = of_past + tf.range(batch)[:, None] * self.categories
        summed = [_summed(w, slot, batch * self.categories) for w in tf.unstack(weight, axis=2)]
        shares = tf.reshape(tf.stack(summed, axis=1), [batch, self.categories, 3])
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
        weights = (
            (past.once, past.fading(LATELY_S)),
            (past.once, steps),
            (past.newest, steps),
            (past.once, past.once * past.around),
        )
        #: Of each place of the city, float[b, places + 1, 8]: see `Parts.related`.
        self._related = parts.related(self._past_rows, weights)

    def coarse(self, rows: Any, distance_m: Any, crowd: Any, weight: Any) -> Any:
        """Weighted sum of the `COARSE` parts of places, float[b, n].

        Summed over the city's places before any is looked up: one gather for all.

        Args:
            rows: int32[b, n].
            distance_m: float[b, n], from the request.
            crowd: uint8[b, n, len(CROWD)].
            weight: float[len(COARSE)].
        """
        at = dict(zip(COARSE, tf.unstack(weight, len(COARSE)), strict=True))
        relations = tf.stack([at[name] for name in ("shared", "company", "next", "close")])
        # Of each relation the first of its two columns.
        relations = tf.reshape(tf.stack([relations, tf.zeros(4)], axis=1), [-1])
        places = self._parts.places
        city = at["visits"] * self._parts.plain[None, :, 0]
        city += _product(self._related, relations)
        slot = self._past_rows + tf.range(tf.shape(rows)[0])[:, None] * (places + 1)
        own = _summed(self._past.been, slot, tf.size(city))
        own = tf.reshape(own, tf.shape(city)) * tf.concat([tf.ones(places), [0.0]], axis=0)
        city += at["here"] * tf.math.log(own + 0.1)
        metres, near = _metres(distance_m)
        by_place = tf.gather(city, rows, batch_dims=1)
        by_place += at["metres"] * metres + at["metres_near"] * near
        return by_place + _product(_crowd(crowd), weight[-len(CROWD) :])

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
        by_hour, by_day = parts.at_moment(rows, self._moment_s)
        columns = [
            tf.gather(parts.plain, rows),
            by_hour,
            by_day[:, :, None],
            tf.gather(self._related, rows, batch_dims=1),
            tf.gather(kinds, parts.category(rows), batch_dims=1),
            metres,
            tf.math.log(weight_at(self._ids, own, ids) + 0.1),
            request[:, None, :] + 0.0 * metres[:, :, :1],
            _crowd(crowd),
        ]
        return tf.concat(columns, axis=2)


def _summed(weight: Any, slot: Any, slots: Any) -> Any:
    """Sum of the weights of each slot, float[slots]; twenty times as fast as a segment sum."""
    return tf.raw_ops.DenseBincount(
        input=tf.reshape(slot, [-1]),
        size=slots,
        weights=tf.reshape(weight, [-1]),
        binary_output=False,
    )


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
    none = np.full((1, len(relations) * NEIGHBOURS), places, np.int32)
    row = np.concatenate([relation.row for relation in relations], axis=1)
    weight = np.concatenate([relation.weight for relation in relations], axis=1)
    return [
        np.r_[tables.category, categories - 1],
        np.stack([np.r_[column, column.mean()] for column in plain], axis=1),
        np.stack([_padded(table) for table in by_hour], axis=2),
        _padded(tables.weekday),
        tables.follows,
        np.r_[np.where(row < 0, places, row), none].astype(np.int32),
        np.r_[weight, 0.0 * none].astype(np.float32),
    ]


def _held(values: Any) -> Any:
    return tf.Variable(values, trainable=False)


def _padded(table: Any) -> Any:
    """A column of zeros, "as usual", for the unknown place: [k, p] -> [k, p + 1]."""
    return np.concatenate([table, np.zeros((len(table), 1), np.float32)], axis=1)
