"""A network that scores the places of a request against each other, and its training.

Each column enters twice: as its quantile (piecewise linear between quantiles of the training
rows, as boosted trees see it) and on its own scale. The loss is the softmax over a choice set,
corrected for how the set was drawn.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.fitting import Epoch
from models.networks import Dense, embedding
from models.optimizer import Adam
from models.progress import Stage

#: log of the expected count of what must not count: as if it were there without end.
NOT_THERE = 80.0
CLIP = 4.0
CATEGORY_WIDTH = 8


@dataclass(frozen=True)
class Schedule:
    """A fixed number of epochs; the rate warms up, then falls along a half cosine.

    It warms up over `warm_up` steps, or a tenth of all where those are few.
    """

    epochs: int = 6
    rate: float = 0.002
    batch: int = 64
    warm_up: int = 200


@dataclass(frozen=True)
class Scales:
    """How columns are brought to comparable sizes.

    Attributes:
        low, step: float32[F, KNOTS], where each piece of a quantile begins, and its width.
        mean, scale: float32[F].
    """

    low: NDArray[np.float32]
    step: NDArray[np.float32]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    KNOTS = 6

    @classmethod
    def of(cls, rows: NDArray[np.floating], chosen: NDArray[np.floating]) -> Self:
        """From a sample of rows [n, F], half of the say going to the chosen ones [m, F]."""
        at = np.linspace(0, 1, 200)
        rows, chosen = rows.astype(np.float32), chosen.astype(np.float32)
        both = np.concatenate([np.quantile(rows, at, axis=0), np.quantile(chosen, at, axis=0)])
        edges = np.stack([_edges(column) for column in both.T])
        std = rows.std(axis=0)
        return cls(
            low=edges[:, :-1].astype(np.float32),
            step=np.maximum(np.diff(edges, axis=1), 1e-6).astype(np.float32),
            mean=rows.mean(axis=0).astype(np.float32),
            scale=(1 / np.where(std > 1e-6, std, 1.0)).astype(np.float32),
        )

    def __call__(self, x: Any) -> Any:
        """float[n, F] -> float[n, 2 F]."""
        # Six times the pieces, held to 0 to 1: a relu6 passes over them once, a clip twice. Columns
        # stay innermost: with the pieces there, the same takes four times as long.
        pieces = tf.nn.relu6((x[:, None, :] - self.low.T) * (6.0 / self.step.T))
        quantile = tf.reduce_mean(pieces, axis=1) / 3.0 - 1.0
        plain = tf.clip_by_value((x - self.mean) * self.scale, -CLIP, CLIP)
        return tf.concat([quantile, plain], axis=1)


def _edges(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """KNOTS + 1 rising edges through the distinct quantiles of some values."""
    distinct = np.unique(np.quantile(values, np.linspace(0, 1, Scales.KNOTS + 1)))
    if len(distinct) == 1:
        distinct = np.array([distinct[0] - 0.5, distinct[0] + 0.5])
    at = np.linspace(0, len(distinct) - 1, Scales.KNOTS + 1)
    edges: NDArray[np.float64] = np.interp(at, np.arange(len(distinct)), distinct)
    return edges


class Network(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Scores rows of columns and a category.

    Args:
        scales: of the columns.
        categories: rows of the category table.
        hidden: units of the layers.
        rng: draws the first weights.
    """

    def __init__(
        self, scales: Scales, categories: int, hidden: tuple[int, ...], rng: np.random.Generator
    ) -> None:
        super().__init__()
        self.scales = scales
        self._category = embedding(categories, CATEGORY_WIDTH, rng)
        widths = (2 * len(scales.mean) + CATEGORY_WIDTH, *hidden)
        self._layers = [Dense(n, m, rng) for n, m in zip(widths, hidden, strict=False)]
        self._last = Dense(hidden[-1], 1, rng)
        self._last.kernel.assign(0.1 * self._last.kernel)

    def __call__(self, x: Any, category: Any) -> Any:
        """float[n, F] and int[n] -> float[n]."""
        hidden = tf.concat([self.scales(x), tf.gather(self._category, category)], axis=1)
        for layer in self._layers:
            hidden = tf.nn.relu(layer(hidden))
        return self._last(hidden)[:, 0]


def train_network(
    network: Any,
    x: NDArray[np.floating],
    category: NDArray[np.int32],
    log_expected: NDArray[np.float32],
    held: NDArray[np.bool_],
    schedule: Schedule,
    seed: int,
    stage: Stage,
    weight: NDArray[np.float32] | None = None,
) -> list[Epoch]:
    """Train on choice sets, column 0 of which was chosen.

    Args:
        network: a module like `Network`; is changed.
        x: float[m, SET, F]; category int32[m, SET]; log_expected float32[m, SET].
        held: bool[m], sets to judge by, not to learn from.
        schedule: how long and how fast.
        seed: of the order.
        stage: told after each epoch.
        weight: float32[m], of the sets.

    Raises:
        FloatingPointError: a loss is not finite.
    """
    weights = np.ones(len(x), np.float32) if weight is None else weight
    learn, judge = np.flatnonzero(~held), np.flatnonzero(held)
    rng = np.random.default_rng(seed)
    variables = list(network.trainable_variables)
    optimizer = Adam(variables, schedule.rate)

    def loss_of(rows: Any, kind: Any, cells: Any, expected: Any, of: Any) -> Any:
        score = network(tf.cast(rows, tf.float32), kind)
        logits = tf.tensor_scatter_nd_update(
            -expected, cells, score - tf.gather_nd(expected, cells)
        )
        lost = tf.reduce_logsumexp(logits, axis=1) - logits[:, 0]
        return tf.reduce_sum(lost * of) / tf.reduce_sum(of)

    float32, int32 = tf.float32, tf.int32
    shapes = [
        tf.TensorSpec([None, x.shape[2]], x.dtype),
        tf.TensorSpec([None], int32),
        tf.TensorSpec([None, 2], int32),
        tf.TensorSpec([None, None], float32),
        tf.TensorSpec([None], float32),
    ]

    @tf.function(input_signature=shapes)  # type: ignore[untyped-decorator]
    def step(rows: Any, kind: Any, cells: Any, expected: Any, of: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(rows, kind, cells, expected, of)
        optimizer.apply(tape.gradient(loss, variables))
        return loss

    judged = tf.function(loss_of, input_signature=shapes)

    def batch(at: NDArray[np.int64]) -> tuple[Any, ...]:
        expected = log_expected[at]
        # A third of the places are padding, or stand there twice: they cost nothing.
        request, place = np.nonzero(~(expected >= NOT_THERE))
        cells = np.stack([request, place], axis=1).astype(np.int32)
        flat = at[request] * x.shape[1] + place
        rows, kind = x.reshape(-1, x.shape[2])[flat], category.reshape(-1)[flat]
        return tuple(tf.constant(part) for part in (rows, kind, cells, expected, weights[at]))

    steps, epochs, done = max(len(learn) // schedule.batch, 1), [], 0
    warm_up = max(1, min(schedule.warm_up, steps * schedule.epochs // 10))
    for number in range(schedule.epochs):
        order, total = rng.permutation(learn), 0.0
        for i in range(steps):
            progress = done / (steps * schedule.epochs)
            warm = min(1.0, (done + 1) / warm_up)
            optimizer.rate.assign(schedule.rate * warm * 0.5 * (1 + np.cos(np.pi * progress)))
            at = np.sort(order[i * schedule.batch : (i + 1) * schedule.batch])
            total += float(step(*batch(at)))
            done += 1
        parts = np.array_split(judge, max(len(judge) // 512, 1))
        losses = [float(judged(*batch(part))) for part in parts if len(part)]
        validation = float(np.mean(losses)) if losses else total / steps
        epoch = Epoch(number, total / steps, validation, float(optimizer.rate.numpy()))
        if not np.isfinite([epoch.train_loss, epoch.validation_loss]).all():
            raise FloatingPointError(f"the loss of epoch {number} is not finite: {epoch}")
        epochs.append(epoch)
        stage.advance(1, note=f"validation loss {validation:.4f}")
    return epochs
