"""Small parts that both models are made of, as plain `tf.Module`s.

Plain, so that a SavedModel holds only the operations of the forward pass: a call on few rows is
mostly the cost of its operations' number.
"""

from typing import Any

import numpy as np
import tensorflow as tf


class Dense(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """`x @ kernel + bias`, kernel drawn by He's rule (scale sqrt(2 / inputs))."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        super().__init__()
        drawn = rng.normal(0.0, np.sqrt(2 / inputs), (inputs, outputs)).astype(np.float32)
        self.kernel = tf.Variable(drawn, name="kernel")
        self.bias = tf.Variable(np.zeros(outputs, np.float32), name="bias")

    def __call__(self, x: Any) -> Any:
        """float[n, inputs] -> float[n, outputs]."""
        return tf.matmul(x, self.kernel) + self.bias


def embedding(rows: int, width: int, rng: np.random.Generator, scale: float = 0.05) -> Any:
    """A table of small random rows, tf.Variable float32[rows, width]."""
    return tf.Variable(rng.normal(0.0, scale, (rows, width)).astype(np.float32))


def hats(x: Any, last: float, knots: int) -> Any:
    """Piecewise-linear basis over even knots: each x is shared between the two around it.

    A dot product with weights w then draws the line through the points (knot, w). Values beyond
    the ends count as the end.

    Args:
        x: float[...].
        last: where the last knot lies; the first lies at 0.
        knots: how many, at least two.

    Returns:
        float[..., knots], rows that sum to one.
    """
    at = tf.clip_by_value(x * ((knots - 1) / last), 0.0, knots - 1.0)
    return tf.nn.relu(1 - tf.abs(at[..., None] - np.arange(knots, dtype=np.float32)))


@tf.custom_gradient  # type: ignore[untyped-decorator]
def gather_dense(table: Any, rows: Any) -> Any:
    """`tf.gather(table, rows)` for many rows of a small table: float[m, w], int[n] -> float[n, w].

    The gradient is summed by `scatter_nd`, three times as fast as the segment sum that
    TensorFlow's own gradient of a gather ends in.
    """

    def gradient(upstream: Any) -> tuple[Any, None]:
        return tf.scatter_nd(rows[:, None], upstream, tf.shape(table)), None

    return tf.gather(table, rows), gradient


def dropout(x: Any, rate: float, seed: Any) -> Any:
    """Dropout from a seed int[2], so that a run repeats."""
    return tf.nn.experimental.stateless_dropout(x, rate, seed=seed)


def forget(rows: Any, rate: float, seed: Any) -> Any:
    """Turn a random share of vocabulary rows to the unknown row, which so learns to stand in."""
    kept = tf.random.stateless_uniform(tf.shape(rows), seed=seed) >= rate
    return tf.where(kept, rows, tf.zeros_like(rows))
