"""The outer loop of a training, driven by made-up losses."""

from collections.abc import Iterator, Sequence

import pytest
import tensorflow as tf

from models.fitting import Epoch, Schedule, fit
from models.optimizer import Adam
from models.progress import SILENT


def _fit(losses: Sequence[float], schedule: Schedule) -> tuple[list[Epoch], float]:
    """Fit a weight that counts epochs, under given validation losses; also its last value."""
    weight = tf.Variable(0.0)
    optimizer = Adam([weight], schedule.rate)
    coming: Iterator[float] = iter(losses)

    def train(number: int) -> float:
        weight.assign(number + 1.0)
        return 0.5

    with SILENT.stage("test", None) as stage:
        epochs = fit([weight], optimizer, train, lambda: next(coming), schedule, stage)
    return epochs, float(weight.numpy())


def test_it_stops_after_patience_and_keeps_the_best_weights() -> None:
    """Best in the second epoch: with patience 3 the fifth is the last, and its weights are gone."""
    epochs, weight = _fit([1.0, 0.5, 0.6, 0.7, 0.8, 0.1], Schedule(patience=3))
    assert len(epochs) == 5
    assert weight == 2.0


def test_it_ends_with_its_epochs() -> None:
    """As long as it gets better, only the number of epochs ends it."""
    epochs, weight = _fit([1.0, 0.9, 0.8, 0.7], Schedule(epochs=3))
    assert [epoch.number for epoch in epochs] == [0, 1, 2]
    assert weight == 3.0


def test_a_plateau_lowers_the_rate() -> None:
    """Two epochs without gain, plateau 1, factor 0.1: rates 0.1, 0.1, 0.01, 0.001."""
    schedule = Schedule(epochs=4, rate=0.1, plateau=1, lower_by=0.1)
    epochs, _ = _fit([1.0, 1.0, 1.0, 1.0], schedule)
    assert [epoch.rate for epoch in epochs] == pytest.approx([0.1, 0.1, 0.01, 0.001])


def test_a_tiny_gain_is_none() -> None:
    """Half of the least gain at each epoch still counts as standing still."""
    schedule = Schedule(patience=2, least_gain=0.01)
    epochs, weight = _fit([1.0, 0.995, 0.991, 0.5], schedule)
    assert len(epochs) == 3
    assert weight == 1.0


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_diverged_training_is_an_error(loss: float) -> None:
    """Weights that lead to no number must not be exported."""
    with pytest.raises(FloatingPointError, match="epoch 1"):
        _fit([1.0, loss], Schedule())
