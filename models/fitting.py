"""The outer loop of a training: epochs, early stop, a learning rate that falls on a plateau."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog

from models.optimizer import Adam
from models.progress import Stage

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Schedule:
    """How long to train, and how fast.

    Attributes:
        epochs: most epochs.
        rate: learning rate to start with.
        batch: rows a step.
        patience: stop after so many epochs without a better validation loss.
        plateau: multiply the rate by `lower_by` after so many such epochs, and go on from the
            best weights: what came after them was fitted to the training rows alone.
        lower_by: see `plateau`.
        least_gain: what counts as better, as a share of the best loss.
    """

    epochs: int = 50
    rate: float = 0.001
    batch: int = 1_024
    patience: int = 5
    plateau: int = 2
    lower_by: float = 0.3
    least_gain: float = 5e-4


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to: mean losses, nats."""

    number: int
    train_loss: float
    validation_loss: float
    rate: float


def fit(
    variables: list[Any],
    optimizer: Adam,
    train: Callable[[int], float],
    validate: Callable[[], float],
    schedule: Schedule,
    stage: Stage,
) -> list[Epoch]:
    """Train until it no longer helps, and put the best weights back.

    Args:
        variables: the weights that `train` changes.
        optimizer: whose rate is lowered.
        train: runs one epoch (of the given number), returns its mean loss.
        validate: loss on the validation part.

    Raises:
        FloatingPointError: a loss is not finite; the weights are lost.
    """
    epochs: list[Epoch] = []
    best, best_weights, since_best = np.inf, [v.numpy() for v in variables], 0
    for number in range(schedule.epochs):
        rate = float(optimizer.rate.numpy())
        epoch = Epoch(number, train(number), validate(), rate)
        if not np.isfinite([epoch.train_loss, epoch.validation_loss]).all():
            raise FloatingPointError(f"the loss of epoch {number} is not finite: {epoch}")
        epochs.append(epoch)
        stage.advance(1, note=f"validation loss {epoch.validation_loss:.4f}")
        if epoch.validation_loss < best * (1 - schedule.least_gain):
            best, best_weights, since_best = epoch.validation_loss, _copy(variables), 0
            continue
        since_best += 1
        if since_best >= schedule.patience:
            break
        if since_best % schedule.plateau == 0:
            optimizer.rate.assign(rate * schedule.lower_by)
            _restore(variables, best_weights)
    _restore(variables, best_weights)
    log.info("fitted", epochs=len(epochs), best_validation_loss=round(best, 5))
    return epochs


def _restore(variables: list[Any], weights: list[Any]) -> None:
    for variable, value in zip(variables, weights, strict=True):
        variable.assign(value)


def _copy(variables: list[Any]) -> list[Any]:
    return [variable.numpy() for variable in variables]
