"""The listwise network: its scales by hand, and that it learns to order a choice set."""

import numpy as np
import pytest
import tensorflow as tf

from models.listwise import Network, Scales, Schedule, train_network
from models.progress import SILENT

SETS, PLACES, COLUMNS = 600, 12, 3


def _sets(seed: int) -> np.ndarray:
    """Sets whose first place is the one with the largest middle column, in a wild scale."""
    x = np.random.default_rng(seed).normal(size=(SETS, PLACES, COLUMNS))
    best = x[:, :, 1].argmax(axis=1)
    x[np.arange(SETS), best], x[:, 0] = x[:, 0].copy(), x[np.arange(SETS), best].copy()
    x[:, :, 1] = np.exp(3 * x[:, :, 1])
    return x.astype(np.float32)


def test_scales_are_quantiles_and_standard_scores() -> None:
    """A column of 0 to 60: its knots lie at the sixths, and the middle is the mean."""
    column = np.arange(61, dtype=np.float32)[:, None]
    scales = Scales.of(column, column)
    found = scales(tf.constant([[0.0], [30.0], [60.0], [1e9]])).numpy()
    np.testing.assert_allclose(found[:, 0], [-1, 0, 1, 1], atol=0.02)
    np.testing.assert_allclose(found[:3, 1], [-30 / column.std(), 0, 30 / column.std()], atol=1e-4)
    assert np.isfinite(found).all()


def test_a_column_without_variety_does_no_harm() -> None:
    """As the weather of a city that never had any."""
    column = np.zeros((50, 1), np.float32)
    found = Scales.of(column, column)(tf.constant([[0.0], [5.0]])).numpy()
    assert np.isfinite(found).all()


def _trained(seed: int = 1) -> tuple[Network, list[float]]:
    x = _sets(3)
    scales = Scales.of(x.reshape(-1, COLUMNS), x[:, 0])
    network = Network(scales, 2, (16,), np.random.default_rng(seed))
    kind, expected = np.zeros((SETS, PLACES), np.int32), np.zeros((SETS, PLACES), np.float32)
    held = np.arange(SETS) >= 500
    how = Schedule(epochs=40, batch=32, warm_up=5)
    with SILENT.stage("test", None) as stage:
        epochs = train_network(network, x, kind, expected, held, how, seed, stage)
    return network, [epoch.validation_loss for epoch in epochs]


def test_it_learns_which_place_is_chosen() -> None:
    """From log 12 of chance to less than half of it on sets that it did not learn from."""
    network, losses = _trained()
    assert losses[-1] < 0.5 * np.log(PLACES)
    x = _sets(4)
    score = network(tf.constant(x.reshape(-1, COLUMNS)), tf.zeros([SETS * PLACES], tf.int32))
    first = score.numpy().reshape(SETS, PLACES).argmax(axis=1) == 0
    assert first.mean() > 0.8


def test_it_repeats_by_its_seed() -> None:
    """To the last digit."""
    assert _trained()[1] == _trained()[1]


def test_a_diverging_training_is_told() -> None:
    """Not exported with NaN for weights."""
    x = _sets(3)
    network = Network(Scales.of(x[:, 0], x[:, 0]), 2, (4,), np.random.default_rng(1))
    kind, expected = np.zeros((SETS, PLACES), np.int32), np.zeros((SETS, PLACES), np.float32)
    expected[7] = np.nan
    how, held = Schedule(epochs=1), np.zeros(SETS, bool)
    with SILENT.stage("test", None) as stage, pytest.raises(FloatingPointError, match="finite"):
        train_network(network, x, kind, expected, held, how, 1, stage)
