"""What the tables of a city say of a place to a user at a moment, inside the graph.

Both models read the same parts: the candidate model of every place in reach, the ranker of the
two hundred that are left. A place that the tables do not know has their neutral row; what does
not need the place's past (distance, the user's own visits there) speaks for it all the same.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from contracts.signatures import CROWD, CROWD_SCALE
from contracts.signatures import PARTS as PARTS
from models.tables import NEIGHBOURS, Neighbours, Tables
from models.two_tower import weight_at
from models.vocabulary import Vocabulary
from online_features.columns import RATE, VISIT
from online_features.rings import DAY_S, HOUR_S

WIDTH = len(PARTS)
#: Parts that are cheap for tens of thousands of places.
COARSE = (
    *("visits", "shared", "company", "next", "close", "metres", "metres_near", "here"),
    *("crowd_1h", "crowd_24h", "crowd_7d", "crowd_28d"),
)
#: "Lately" in steps and in company is hours ago, in shared places days.
STEP_LATELY_S, LATELY_S = 6 * HOUR_S, 3 * DAY_S
HOUR_SIGMA = 2.0
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
        categories = len(tables.follows)
        self._category = _held(np.r_[tables.category, categories - 1])
        plain = (
            tables.visits,
            tables.visitors,
            tables.category_visits,
            tables.around,
            tables.density,
        )
        self._plain = _held(np.stack([np.r_[column, column.mean()] for column in plain], axis=1))
        by_hour = (tables.hour, tables.category_hour, tables.around_hour)
        self._by_hour = _held(np.stack([_padded(table) for table in by_hour], axis=2))
        self._by_day = _held(_padded(tables.weekday))
        self._follows = _held(tables.follows)
        relations = (tables.shared, tables.company, tables.next, tables.close)
        self._relations = [_Relation(relation, self.places) for relation in relations]

    @property
    def categories(self) -> int:
        """Number of categories, "unknown" included, which is the last."""
        return int(self._follows.shape[0])

    def category(self, ids: Any) -> Any:
        """Category of places by their ids, int32 of the same shape."""
        return tf.gather(self._category, self.rows(ids))

    def category_of_rows(self, rows: NDArray[np.integer]) -> NDArray[np.int32]:
        """The same by catalogue row, -1 a place that is not in it."""
        category: NDArray[np.int32] = self._category.numpy()[np.where(rows < 0, self.places, rows)]
        return category

    def rows(self, ids: Any) -> Any:
        """Rows of place ids (int64 views of hashes), int32; `places` for the unknown."""
        row = self._rows.lookup(ids)
        return tf.where(row > 0, row - 1, self.places)

    def __call__(
        self,
        history_ids: Any,
        history_age_s: Any,
        history_kind: Any,
        place_ids: Any,
        distance_m: Any,
        moment_s: Any,
        crowd: Any,
    ) -> Any:
        """The parts of each place, float[b, n, WIDTH].

        Args:
            history_ids: int64[b, HISTORY], newest first, 0 where there is no event.
            history_age_s: float[b, HISTORY].
            history_kind: int64[b, HISTORY], index in `EVENT_TYPES`.
            place_ids: int64[b, n].
            distance_m: float[b, n], from the request.
            moment_s: int64[b], Unix seconds.
            crowd: uint8[b, n, len(CROWD)].
        """
        past = _Past(history_ids, history_age_s, history_kind, moment_s)
        past_rows, rows = self.rows(history_ids), self.rows(place_ids)
        lately = past.fading(LATELY_S)
        steps = past.fading(STEP_LATELY_S)
        weights = (
            ("shared", past.once, lately),
            ("company", past.once, steps),
            ("next", past.newest, steps),
            ("close", past.once, past.once * past.around),
        )
        parts = [tf.gather(self._plain, rows), *self._at_moment(rows, moment_s)]
        for relation, (_, *two) in zip(self._relations, weights, strict=True):
            parts += [relation(past_rows, weight, rows) for weight in two]
        parts += self._kinds(past, past_rows, rows)
        parts += _here(past, history_ids, place_ids, distance_m)
        parts.append(_crowd(crowd))
        return tf.concat(
            [part if part.shape.rank == 3 else part[:, :, None] for part in parts], axis=2
        )

    def coarse(
        self,
        history_ids: Any,
        history_age_s: Any,
        history_kind: Any,
        place_ids: Any,
        distance_m: Any,
        crowd: Any,
        weight: Any,
    ) -> Any:
        """Weighted sum of the `COARSE` parts, float[b, n]; `weight` is float[len(COARSE)].

        Summed over the city's places before any is looked up: one gather for all.
        """
        past = _Past(history_ids, history_age_s, history_kind, tf.zeros_like(history_ids[:, 0]))
        past_rows, rows = self.rows(history_ids), self.rows(place_ids)
        at = dict(zip(COARSE, tf.unstack(weight, len(COARSE)), strict=True))
        city = at["visits"] * self._plain[None, :, 0]
        whose = (past.once, past.once, past.newest, past.once)
        names = ("shared", "company", "next", "close")
        for name, relation, of in zip(names, self._relations, whose, strict=True):
            city += at[name] * tf.math.log(relation.total(past_rows, of) + LEAST)
        width = self.places + 1
        slot = past_rows + tf.range(tf.shape(past_rows)[0])[:, None] * width
        own = tf.math.unsorted_segment_sum(
            tf.reshape(past.been, [-1]), tf.reshape(slot, [-1]), tf.size(city)
        )
        own = tf.reshape(own, tf.shape(city)) * tf.concat([tf.ones(self.places), [0.0]], axis=0)
        city += at["here"] * tf.math.log(own + 0.1)
        metres, near = _metres(distance_m)
        by_place = tf.gather(city, rows, batch_dims=1)
        by_place += at["metres"] * metres + at["metres_near"] * near
        return by_place + tf.linalg.matvec(_crowd(crowd), weight[-len(CROWD) :])

    def _at_moment(self, rows: Any, moment_s: Any) -> list[Any]:
        hour = tf.cast(moment_s // int(HOUR_S) % 24, tf.int32)
        day = tf.cast((moment_s // int(DAY_S) + 3) % 7, tf.int32)
        by_hour, by_day = tf.gather(self._by_hour, hour), tf.gather(self._by_day, day)
        return [tf.gather(by_hour, rows, batch_dims=1), tf.gather(by_day, rows, batch_dims=1)]

    def _kinds(self, past: "_Past", past_rows: Any, rows: Any) -> list[Any]:
        """How a category follows the last one, and which share of the user's visits it has."""
        of_past, of_place = tf.gather(self._category, past_rows), tf.gather(self._category, rows)
        last = tf.reduce_sum(of_past * tf.cast(past.newest, tf.int32), axis=1)
        follows = tf.gather(tf.gather(self._follows, last), of_place, batch_dims=1)
        shares = []
        for weight in (past.been, past.been * past.around, past.once):
            one_hot = tf.one_hot(of_past, self.categories) * weight[:, :, None]
            share = tf.reduce_sum(one_hot, axis=1) / (tf.reduce_sum(weight, 1)[:, None] + 0.5)
            shares.append(tf.math.log(tf.gather(share, of_place, batch_dims=1) + LEAST))
        return [follows * past.any[:, None], *shares]


class _Past:
    """Weights of the events of histories, float[b, HISTORY] each; 0 where no visit is."""

    def __init__(self, ids: Any, age_s: Any, kind: Any, moment_s: Any) -> None:
        visit = (ids != 0) & ((kind == VISIT) | (kind == RATE))
        self.been = tf.cast(visit, tf.float32)
        self._age_s = age_s
        #: 1 for the newest visit.
        self.newest = self.been * tf.cast(tf.cumsum(self.been, axis=1) < 1.5, tf.float32)
        same = (ids[:, :, None] == ids[:, None, :]) & visit[:, None, :]
        before = tf.linalg.band_part(tf.cast(same, tf.float32), -1, 0)
        #: 1 for the newest visit of each place.
        self.once = self.been * tf.cast(tf.reduce_sum(before, axis=2) < 1.5, tf.float32)
        apart = tf.math.floormod(age_s / HOUR_S, 24.0)
        apart = tf.minimum(apart, 24.0 - apart)
        #: How near to this hour of the day, 0 to 1.
        self.around = tf.exp(-0.5 * (apart / HOUR_SIGMA) ** 2)
        self.count = tf.reduce_sum(self.been, axis=1)
        self.any = tf.minimum(self.count, 1.0)
        gap_s = tf.reduce_sum(self.newest * age_s, axis=1)
        self.gap = tf.where(self.count > 0, tf.math.log1p(gap_s / 600.0), 12.0)
        self.novelty = tf.reduce_sum(self.once, axis=1) / tf.maximum(self.count, 1.0)
        day = 2 * np.pi / DAY_S * tf.cast(moment_s % int(DAY_S), tf.float32)
        self.waves = (tf.sin(day), tf.cos(day))

    def fading(self, tau_s: float) -> Any:
        return self.been * tf.exp(-self._age_s / tau_s)


class _Relation(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Sums the neighbours of a history into one value a place."""

    def __init__(self, neighbours: Neighbours, places: int) -> None:
        super().__init__()
        none = np.full((1, NEIGHBOURS), -1, np.int32)
        row = np.concatenate([neighbours.row, none])
        self._row = _held(np.where(row < 0, places, row).astype(np.int32))
        self._weight = _held(
            np.concatenate([neighbours.weight, np.zeros((1, NEIGHBOURS), np.float32)])
        )
        self._places = places

    def __call__(self, past_rows: Any, weight: Any, rows: Any) -> Any:
        """log(sum + LEAST) of the events' weights [b, HISTORY] at places [b, n], float[b, n]."""
        found = tf.gather(self.total(past_rows, weight), rows, batch_dims=1)
        return tf.math.log(found + LEAST)

    def total(self, past_rows: Any, weight: Any) -> Any:
        """The sums at all places, float[b, places + 1]; 0 at the unknown one."""
        width = self._places + 1
        batch = tf.shape(past_rows)[0]
        row = tf.gather(self._row, past_rows) + tf.range(batch)[:, None, None] * width
        added = tf.gather(self._weight, past_rows) * weight[:, :, None]
        total = tf.math.unsorted_segment_sum(
            tf.reshape(added, [-1]), tf.reshape(row, [-1]), batch * width
        )
        known = tf.concat([tf.ones(self._places), [0.0]], axis=0)
        return tf.reshape(total, [batch, width]) * known


def _here(past: _Past, history_ids: Any, place_ids: Any, distance_m: Any) -> list[Any]:
    """Distance, the user's own visits at each place, and what is the same for all places."""
    own = [past.been, past.been * past.around, past.fading(LATELY_S)]
    at_place = [tf.math.log(weight_at(history_ids, weight, place_ids) + 0.1) for weight in own]
    count = tf.math.log1p(past.count)
    ones = tf.ones_like(distance_m)
    of_request = [past.gap, count, *past.waves, past.novelty]
    return [*_metres(distance_m), *at_place, *(ones * value[:, None] for value in of_request)]


def _crowd(codes: Any) -> Any:
    """log(1 + visits) of each window, float[b, n, len(CROWD)]."""
    return tf.cast(codes, tf.float32) / CROWD_SCALE


def _metres(distance_m: Any) -> tuple[Any, Any]:
    return tf.math.log1p(distance_m / 100.0), tf.exp(-distance_m / 1_000.0)


def _held(values: Any) -> Any:
    return tf.Variable(values, trainable=False)


def _padded(table: Any) -> Any:
    """A column of zeros, "as usual", for the unknown place: [k, p] -> [k, p + 1]."""
    return np.concatenate([table, np.zeros((len(table), 1), np.float32)], axis=1)
