"""A network that scores the places of a request against each other, and its training.

Each column enters twice: as its quantile (piecewise linear between quantiles of the training
rows, as boosted trees see it) and on its own scale. The loss is the softmax over a choice set,
corrected for how the set was drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.fitting import Epoch
from models.networks import Dense, embedding, gather_dense
from models.optimizer import Adam
from models.progress import Stage
from models.row_stream import stream
from models.rows import Columns, Rows, groups, length, steps, take, total
from models.set_drawing import NOT_THERE as NOT_THERE

CLIP = 4.0
CATEGORY_WIDTH = 8
#: Rows that scales are taken from.
SAMPLED = 100_000
_JUDGED_AT_ONCE = 512
#: Rows are filled up to a multiple of this where a graph is compiled anew for each number of them.
_FILLED = 256
#: Sets and places in them, int64[n] each.
Cells = tuple[NDArray[np.int64], NDArray[np.int64]]


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
        # Six times the pieces, held to 0 to 1: a relu6 passes over them once, a clip twice.
        pieces = [
            tf.nn.relu6((x - low) * (6.0 / step))
            for low, step in zip(self.low.T, self.step.T, strict=True)
        ]
        quantile = tf.add_n(pieces) / (3.0 * self.KNOTS) - 1.0
        plain = tf.clip_by_value((x - self.mean) * self.scale, -CLIP, CLIP)
        return tf.concat([quantile, plain], axis=1)

    def fused(self, x: Any) -> Any:
        """The same of half[n, F], compiled: 2 ms instead of 8 for the rows of a training's step."""
        filled = tf.pad(x, [[0, -tf.shape(x)[0] % _FILLED], [0, 0]])
        return _fused(self)(filled)[: tf.shape(x)[0]]


def _fused(scales: Scales) -> Any:
    """One pass over memory (XLA) where each operation makes its own."""
    return tf.function(lambda x: scales(tf.cast(x, tf.float32)), jit_compile=True, autograph=False)


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
        return self.score(self.scales(x), category)

    def read(self, x: Any) -> Any:
        """What `score` takes of half[n, F], in a training."""
        return self.scales.fused(x)

    def score(self, scaled: Any, category: Any) -> Any:
        """float[n, 2 F], as scaled, and int[n] -> float[n]."""
        first, *others = self._layers
        # Two products, since none learns what the columns should have been: in one with the
        # category, the gradient would be worked out for all of them.
        width = 2 * len(self.scales.mean)
        kind = tf.matmul(gather_dense(self._category, category), first.kernel[width:])
        hidden = tf.nn.relu(tf.matmul(scaled, first.kernel[:width]) + kind + first.bias)
        for layer in others:
            hidden = tf.nn.relu(layer(hidden))
        return self._last(hidden)[:, 0]


def _equal_weight(sets: Columns) -> NDArray[np.float32]:
    return np.ones(length(sets), np.float32)


@dataclass(frozen=True)
class View:
    """How a network sees choice sets: b of them as columns, and the cells that count.

    Cells are n pairs of a set and a place in it, int64[n] each.

    Attributes:
        x: what the network reads, float[n, F].
        category: int32[n].
        weight: what each set counts, float32[b].
    """

    x: Callable[[Columns, Cells], NDArray[np.floating]]
    category: Callable[[Columns, Cells], NDArray[np.int32]]
    weight: Callable[[Columns], NDArray[np.float32]] = _equal_weight


def scales_of(learn: Rows, view: View, rng: np.random.Generator) -> Scales:
    """Scales of the columns, from a sample of the places that count and of the chosen ones."""
    counts = [_there(sets["log_expected"]) for sets in groups(learn.only("log_expected"))]
    edges = np.r_[0, np.cumsum([int(there.sum()) for there in counts])]
    drawn = rng.choice(edges[-1], min(SAMPLED, int(edges[-1])), replace=False)
    every, rest = max(total(learn) // SAMPLED, 1), 0
    rows: NDArray[np.floating] | None = None
    chosen = []
    for sets, there, first, end in zip(groups(learn), counts, edges, edges[1:], strict=False):
        mine = np.flatnonzero((drawn >= first) & (drawn < end))
        request, place = np.nonzero(there)
        at = drawn[mine] - first
        found = view.x(sets, (request[at], place[at]))
        rows = np.empty((len(drawn), found.shape[1]), found.dtype) if rows is None else rows
        rows[mine] = found
        some = np.arange(rest, len(there), every)
        rest = (rest - len(there)) % every
        chosen.append(view.x(sets, (some, np.zeros_like(some))))
    assert rows is not None
    return Scales.of(rows, np.concatenate(chosen))


def inputs_of(sets: Columns, view: View) -> Columns:
    """What a step reads of some choice sets: rows of the places that count, and where they stand.

    A third of the places are padding, or stand there twice: they cost nothing.
    """
    request, place = np.nonzero(_there(sets["log_expected"]))
    return {
        "rows": view.x(sets, (request, place)),
        "kind": view.category(sets, (request, place)),
        "cells": np.stack([request, place], axis=1).astype(np.int32),
        "expected": sets["log_expected"],
        "of": view.weight(sets),
    }


def train_networks(
    networks: Sequence[Any],
    learn: Rows,
    judge: Columns,
    view: View,
    schedule: Schedule,
    seed: int,
    stage: Stage,
) -> list[Epoch]:
    """Train on choice sets, column 0 of which was chosen.

    Networks that are trained together see the same sets in the same order, read once for all.

    Args:
        networks: modules like `Network`, which `read` the same; are changed.
        learn: sets to learn from. Has the column `log_expected`, float32[SET], and what the view
            looks at.
        judge: sets to judge by; may be none.
        view: how the networks see them.
        schedule: how long and how fast.
        seed: of the order.
        stage: told after each epoch.

    Returns:
        Epochs, with means of the networks' losses.

    Raises:
        FloatingPointError: a loss is not finite.
    """
    batches = stream(
        learn,
        schedule.batch,
        np.random.default_rng(seed),
        epochs=schedule.epochs,
        whole=True,
        make=lambda sets: inputs_of(sets, view),
    )
    shapes = list(batches.element_spec.values())
    step, judged, rate = _steps(networks, schedule.rate, shapes)
    parts = np.array_split(np.arange(length(judge)), max(length(judge) // _JUDGED_AT_ONCE, 1))
    held = [_tensors(inputs_of(take(judge, part), view)) for part in parts if len(part)]
    coming = iter(batches)
    each, epochs, done = steps(total(learn), schedule.batch, whole=True), [], 0
    warm_up = max(1, min(schedule.warm_up, each * schedule.epochs // 10))
    for number in range(schedule.epochs):
        lost = 0.0
        for _ in range(each):
            progress = done / (each * schedule.epochs)
            warm = min(1.0, (done + 1) / warm_up)
            rate.assign(schedule.rate * warm * 0.5 * (1 + np.cos(np.pi * progress)))
            lost += float(step(**next(coming)))
            done += 1
        losses = [float(judged(**part)) for part in held]
        validation = float(np.mean(losses)) if losses else lost / each
        epoch = Epoch(number, lost / each, validation, float(rate.numpy()))
        if not np.isfinite([epoch.train_loss, epoch.validation_loss]).all():
            raise FloatingPointError(f"the loss of epoch {number} is not finite: {epoch}")
        epochs.append(epoch)
        stage.advance(1, note=f"validation loss {validation:.4f}")
    return epochs


def _steps(networks: Sequence[Any], rate: float, shapes: list[Any]) -> tuple[Any, Any, Any]:
    """Graphs of a step and of judging, each giving the mean loss, and the learning rate.

    Args:
        networks: of a training.
        rate: to start with.
        shapes: of what `inputs_of` makes, in its order.
    """
    variables = [variable for network in networks for variable in network.trainable_variables]
    optimizer = Adam(variables, rate)

    def losses(rows: Any, kind: Any, *sets: Any) -> list[Any]:
        read = networks[0].read(rows)
        return [_loss(network.score(read, kind), *sets) for network in networks]

    def step(rows: Any, kind: Any, cells: Any, expected: Any, of: Any) -> Any:
        with tf.GradientTape() as tape:
            # No weight is in two of them: of the sum each gets the gradient of its own loss.
            total_loss = tf.add_n(losses(rows, kind, cells, expected, of))
        optimizer.apply(tape.gradient(total_loss, variables))
        return total_loss / len(networks)

    def judged(rows: Any, kind: Any, cells: Any, expected: Any, of: Any) -> Any:
        return tf.add_n(losses(rows, kind, cells, expected, of)) / len(networks)

    graphs = [tf.function(f, input_signature=shapes, autograph=False) for f in (step, judged)]
    return *graphs, optimizer.rate


def _loss(score: Any, cells: Any, expected: Any, of: Any) -> Any:
    """Softmax over each set, corrected for how it was drawn; mean by what the sets count."""
    logits = tf.tensor_scatter_nd_update(-expected, cells, score - tf.gather_nd(expected, cells))
    lost = tf.reduce_logsumexp(logits, axis=1) - logits[:, 0]
    return tf.reduce_sum(lost * of) / tf.reduce_sum(of)


def _there(log_expected: NDArray[np.float32]) -> NDArray[np.bool_]:
    # A NaN counts, so that it is found.
    there: NDArray[np.bool_] = ~(log_expected >= NOT_THERE)
    return there


def _tensors(columns: Columns) -> dict[str, Any]:
    return {name: tf.constant(column) for name, column in columns.items()}
