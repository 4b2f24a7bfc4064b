"""The small parts: interpolation, fast gradients, dropout that repeats."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from models.networks import Dense, dropout, forget, gather_dense, hats


def test_hats_interpolate_between_even_knots() -> None:
    """A dot product with weights equals numpy's interpolation, ends held."""
    x = np.linspace(-1, 8, 91).astype(np.float32)
    weights = np.array([2.0, -1.0, 0.5, 3.0], np.float32)
    drawn = hats(tf.constant(x), 6.0, 4).numpy() @ weights
    np.testing.assert_allclose(drawn, np.interp(x, [0, 2, 4, 6], weights), atol=1e-5)


def test_gather_dense_has_the_gradient_of_gather() -> None:
    """Rows asked for twice add up; rows not asked for get none."""
    table = tf.Variable(np.arange(12, dtype=np.float32).reshape(4, 3))
    rows = tf.constant([2, 0, 2])
    upstream = tf.constant(np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32))
    gradients = []
    for gather in (gather_dense, tf.gather):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(gather(tf.identity(table), rows) * upstream)
        gradients.append(tf.convert_to_tensor(tape.gradient(value, table)).numpy())
    np.testing.assert_allclose(*gradients)
    assert not gradients[0][[1, 3]].any()


def test_dense_is_an_affine_map() -> None:
    """x @ kernel + bias."""
    layer = Dense(3, 2, np.random.default_rng(0))
    layer.bias.assign([1.0, -1.0])
    x = np.eye(3, dtype=np.float32)
    np.testing.assert_allclose(layer(x).numpy(), np.add(layer.kernel.numpy(), [1.0, -1.0]))


def _dropped(seed: int) -> np.ndarray:
    return np.asarray(dropout(tf.ones([200, 4]), 0.3, [1, seed]).numpy())


def _forgotten(seed: int) -> np.ndarray:
    return np.asarray(forget(tf.ones([200], tf.int32), 0.3, [1, seed]).numpy())


@pytest.mark.parametrize("draw", [_dropped, _forgotten])
def test_chance_comes_from_the_seed_alone(draw: Callable[[int], np.ndarray]) -> None:
    """The same seed drops and forgets the same; another one does not."""
    first, again, other = draw(5), draw(5), draw(6)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert 0.15 < (first == 0).mean() < 0.45
