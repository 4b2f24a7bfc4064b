"""The tf.data pipeline of a training: what comes, in which order, and that it ends."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.row_files import RowFile, RowWriter
from models.row_stream import stream
from models.rows import Arrays, Columns, shuffled

ROWS: Columns = {
    "x": np.random.default_rng(1).normal(size=(50, 4, 2)).astype(np.float16),
    "id": np.arange(50, dtype=np.uint64) + np.uint64(2**63),
}


@pytest.fixture
def file(tmp_path: Path) -> RowFile:
    """The same rows in a file, seven a group."""
    with RowWriter(tmp_path / "rows.parquet", 7) as writer:
        writer.append(ROWS)
    return RowFile.open(tmp_path / "rows.parquet", 20)


def _ids(rows: RowFile | Arrays, seed: int = 1) -> list[list[int]]:
    batches = stream(rows, 16, np.random.default_rng(seed), epochs=2, whole=True)
    return [batch["id"].numpy().tolist() for batch in batches]


def test_it_is_the_shuffled_rows_as_tensors(file: RowFile) -> None:
    """Two epochs of whole batches, of the types that were written."""
    rng = np.random.default_rng(4)
    expected = [b for _ in range(2) for b in shuffled(file, 16, rng, whole=True)]
    found = list(stream(file, 16, np.random.default_rng(4), epochs=2, whole=True))
    assert len(found) == len(expected) == 6
    for tensors, arrays in zip(found, expected, strict=True):
        assert tensors["x"].dtype == tf.float16
        assert tensors["id"].dtype == tf.uint64
        for name, array in arrays.items():
            np.testing.assert_array_equal(tensors[name].numpy(), array)


def test_memory_and_files_give_the_same_batches(file: RowFile) -> None:
    """As long as the pool holds all rows; a smaller one mixes less, and repeats as well."""
    assert _ids(replace(file, pool_rows=50)) == _ids(Arrays(ROWS))
    assert _ids(file) == _ids(file)
    assert _ids(file) != _ids(file, seed=2)
    assert _ids(file)[:3] != _ids(file)[3:]


def test_a_batch_may_be_made_into_another(file: RowFile) -> None:
    """As sets of places become rows of those that count, however many there are."""

    def flat(batch: Columns) -> Columns:
        kept = batch["x"][:, :, 0] > 0
        return {"value": batch["x"][kept].astype(np.float32)}

    (found,) = stream(file, 50, np.random.default_rng(1), epochs=1, make=flat)
    assert found["value"].dtype == tf.float32
    expected = ROWS["x"][ROWS["x"][:, :, 0] > 0]
    assert sorted(found["value"].numpy()[:, 1].tolist()) == sorted(expected[:, 1].tolist())


def test_an_error_while_reading_ends_the_training(file: RowFile) -> None:
    """It is not mistaken for the end of the rows."""

    def broken(batch: Columns) -> Columns:
        if (batch["id"] == 2**63 + 20).any():
            raise OSError("the disk is gone")
        return batch

    batches = stream(file, 16, np.random.default_rng(1), epochs=1, make=broken)
    with pytest.raises(tf.errors.OpError, match="the disk is gone"):
        list(batches)
