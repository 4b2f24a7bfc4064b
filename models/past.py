"""The weights of a user's past visits, inside the graph: by age, by hour, each place once."""

from typing import Any

import numpy as np
import tensorflow as tf

from online_features.columns import RATE, VISIT
from online_features.rings import DAY_S, HOUR_S

HOUR_SIGMA = 2.0


class Past:
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
