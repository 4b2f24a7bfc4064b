"""Rows of a training as a tf.data pipeline, which reads and mixes them beside the training."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from models.rows import Columns, Rows, shuffled

#: Batches that are ready before they are asked for.
READY = 4


def stream(
    rows: Rows,
    batch: int,
    rng: np.random.Generator,
    *,
    epochs: int,
    pool_rows: int,
    whole: bool = False,
) -> tf.data.Dataset:
    """Batches of one epoch after another: dicts of tensors by column, types as in the rows.

    The order depends on the rows, the pool and `rng` alone, which from now on belongs to the
    pipeline: it draws from it in a thread of its own, ahead of what was asked for.

    Args:
        rows: at least one.
        batch, pool_rows, whole: see `models.rows.shuffled`.
        rng: draws the order of all epochs.
        epochs: after so many the pipeline ends.
    """
    first = rows.read(0)

    def batches() -> Iterator[Columns]:
        for _ in range(epochs):
            yield from shuffled(rows, batch, rng, pool_rows=pool_rows, whole=whole)

    kinds = {
        name: tf.TensorSpec([None, *column.shape[1:]], tf.as_dtype(column.dtype))
        for name, column in first.items()
    }
    return tf.data.Dataset.from_generator(batches, output_signature=kinds).prefetch(READY)
