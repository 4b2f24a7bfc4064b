"""Rows of a training as a tf.data pipeline, which reads and mixes them beside the training."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from models.rows import Columns, Rows, shuffled, take

#: Batches that are ready before they are asked for.
READY = 4


def stream(
    rows: Rows,
    batch: int,
    rng: np.random.Generator,
    *,
    epochs: int,
    whole: bool = False,
    make: Callable[[Columns], Columns] = dict,
) -> tf.data.Dataset:
    """Batches of one epoch after another: dicts of tensors by column, types as made.

    The order depends on the rows, the pool and `rng` alone, which from now on belongs to the
    pipeline: it draws from it in a thread of its own, ahead of what was asked for.

    Args:
        rows: at least one.
        batch, whole: see `models.rows.shuffled`.
        rng: draws the order of all epochs.
        epochs: after so many the pipeline ends.
        make: of the columns of a batch, what the model reads; may have another number of rows.
    """

    def batches() -> Iterator[Columns]:
        for _ in range(epochs):
            yield from map(make, shuffled(rows, batch, rng, whole=whole))

    kinds = {
        name: tf.TensorSpec([None, *column.shape[1:]], tf.as_dtype(column.dtype))
        for name, column in make(take(rows.read(0), slice(0, 1))).items()
    }
    return tf.data.Dataset.from_generator(batches, output_signature=kinds).prefetch(READY)
