"""Adam that touches only the rows of an embedding table that a batch read.

Keras's Adam decays the moments of a whole table at each step, which costs more than the rest of
the step once there are many ids. Here a table's untouched rows keep their moments ("lazy" Adam).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class Adam(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Adam (Kingma and Ba, 2015), fused for dense weights and lazy for `IndexedSlices`.

    Args:
        variables: weights to train.
        learning_rate: starting value; `rate` is a variable that a schedule may assign.
    """

    def __init__(self, variables: Sequence[Any], learning_rate: float = 0.001) -> None:
        super().__init__()
        self.rate = tf.Variable(learning_rate, trainable=False, dtype=tf.float32)
        self._variables = list(variables)
        self._mean = [tf.Variable(tf.zeros_like(v), trainable=False) for v in variables]
        self._square = [tf.Variable(tf.zeros_like(v), trainable=False) for v in variables]
        self._power1 = tf.Variable(1.0, trainable=False)
        self._power2 = tf.Variable(1.0, trainable=False)
        self._beta1, self._beta2, self._epsilon = 0.9, 0.999, 1e-7

    def apply(self, gradients: Sequence[Any]) -> None:
        """Take one step; `gradients` are in the order of the variables, None where unused."""
        self._power1.assign(self._power1 * self._beta1)
        self._power2.assign(self._power2 * self._beta2)
        slots = zip(self._variables, gradients, self._mean, self._square, strict=True)
        for variable, gradient, mean, square in slots:
            if gradient is None:
                continue
            if isinstance(gradient, tf.IndexedSlices):
                self._apply_rows(variable, gradient, mean, square)
            else:
                self._apply_dense(variable, gradient, mean, square)

    def _apply_dense(self, variable: Any, gradient: Any, mean: Any, square: Any) -> None:
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=mean.handle,
            v=square.handle,
            beta1_power=self._power1,
            beta2_power=self._power2,
            lr=self.rate,
            beta1=self._beta1,
            beta2=self._beta2,
            epsilon=self._epsilon,
            grad=gradient,
        )

    def _apply_rows(self, variable: Any, gradient: Any, mean: Any, square: Any) -> None:
        rows, segment = tf.unique(gradient.indices)
        shape = tf.concat([tf.shape(rows), tf.shape(gradient.values)[1:]], axis=0)
        total = tf.scatter_nd(segment[:, None], gradient.values, shape)
        new_mean = self._beta1 * tf.gather(mean, rows) + (1 - self._beta1) * total
        new_square = self._beta2 * tf.gather(square, rows) + (1 - self._beta2) * total * total
        mean.scatter_update(tf.IndexedSlices(new_mean, rows))
        square.scatter_update(tf.IndexedSlices(new_square, rows))
        rate = self.rate * tf.sqrt(1 - self._power2) / (1 - self._power1)
        step = rate * new_mean / (tf.sqrt(new_square) + self._epsilon)
        variable.scatter_sub(tf.IndexedSlices(step, rows))
