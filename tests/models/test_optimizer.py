"""Adam against Keras's, and its laziness on tables."""

import keras
import numpy as np
import tensorflow as tf

from models.optimizer import Adam

START = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
TARGET = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)


def _dense_steps(steps: int) -> np.ndarray:
    variable = tf.Variable(START)
    optimizer = Adam([variable], 0.01)
    for _ in range(steps):
        optimizer.apply([2 * (variable - TARGET)])
    return np.asarray(variable.numpy())


def test_dense_steps_equal_those_of_keras() -> None:
    """Ten steps on a quadratic, to the last digit that float32 gives."""
    variable = keras.Variable(START)
    reference = keras.optimizers.Adam(0.01)
    reference.build([variable])
    for _ in range(10):
        reference.apply([2 * (variable.value - TARGET)])
    np.testing.assert_allclose(_dense_steps(10), variable.numpy(), rtol=1e-5, atol=1e-6)


def test_rows_that_are_always_read_go_the_dense_way() -> None:
    """Lazy and dense are the same rule where every batch reads every row."""
    variable = tf.Variable(START)
    optimizer = Adam([variable], 0.01)
    for _ in range(10):
        gradient = 2 * (variable - TARGET)
        # Each row twice, with half of its gradient.
        slices = tf.IndexedSlices(tf.concat([gradient, gradient], 0) / 2, [*range(5), *range(5)])
        optimizer.apply([slices])
    np.testing.assert_allclose(variable.numpy(), _dense_steps(10), rtol=1e-5, atol=1e-6)


def test_rows_that_were_not_read_stay() -> None:
    """Their moments do not decay, and their weights do not move."""
    variable = tf.Variable(START)
    optimizer = Adam([variable], 0.01)
    optimizer.apply([tf.IndexedSlices(tf.ones([1, 3]), [2])])
    optimizer.apply([tf.IndexedSlices(tf.ones([1, 3]), [4])])
    moved = (variable.numpy() != START).any(axis=1)
    assert moved.tolist() == [False, False, True, False, True]


def test_the_rate_can_be_lowered_and_unused_weights_have_no_gradient() -> None:
    """At rate 0 nothing moves; None is passed over."""
    used, unused = tf.Variable(START), tf.Variable(START)
    optimizer = Adam([used, unused], 0.01)
    optimizer.rate.assign(0.0)
    optimizer.apply([tf.ones([5, 3]), None])
    np.testing.assert_array_equal(used.numpy(), START)
    np.testing.assert_array_equal(unused.numpy(), START)
