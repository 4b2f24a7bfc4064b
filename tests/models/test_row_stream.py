"""The tf.data pipeline of a training: what comes, in which order, and that it ends."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.row_files import RowFile, RowWriter
from models.row_stream import stream
from models.rows import Arrays, Columns, Mapped, shuffled

ROWS: Columns = {
    "x": np.random.default_rng(1).normal(size=(50, 4, 2)).astype(np.float16),
    "id": np.arange(50, dtype=np.uint64) + np.uint64(2**63),
}


@pytest.fixture
def file(tmp_path: Path) -> RowFile:
    """The same rows in a file, seven a group."""
    with RowWriter(tmp_path / "rows.parquet", 7) as writer:
        writer.append(ROWS)
    return RowFile(tmp_path / "rows.parquet")


def _ids(rows: RowFile | Arrays, pool_rows: int, seed: int = 1) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    batches = stream(rows, 16, rng, epochs=2, pool_rows=pool_rows, whole=True)
    return [batch["id"].numpy().tolist() for batch in batches]


def test_it_is_the_shuffled_rows_as_tensors(file: RowFile) -> None:
    """Two epochs of whole batches, of the types that were written."""
    rng = np.random.default_rng(4)
    expected = [b for _ in range(2) for b in shuffled(file, 16, rng, pool_rows=20, whole=True)]
    found = list(stream(file, 16, np.random.default_rng(4), epochs=2, pool_rows=20, whole=True))
    assert len(found) == len(expected) == 6
    for tensors, arrays in zip(found, expected, strict=True):
        assert tensors["x"].dtype == tf.float16
        assert tensors["id"].dtype == tf.uint64
        for name, array in arrays.items():
            np.testing.assert_array_equal(tensors[name].numpy(), array)


def test_memory_and_files_give_the_same_batches(file: RowFile) -> None:
    """As long as the pool holds all rows; a smaller one mixes less, and repeats as well."""
    assert _ids(file, 50) == _ids(Arrays(ROWS), 50)
    assert _ids(file, 20) == _ids(file, 20)
    assert _ids(file, 20) != _ids(file, 20, seed=2)
    first, second = _ids(file, 20)[:3], _ids(file, 20)[3:]
    assert first != second


def test_an_error_while_reading_ends_the_training(file: RowFile) -> None:
    """It is not mistaken for the end of the rows."""

    def broken(group: Columns) -> Columns:
        if (group["id"] == 2**63 + 20).any():
            raise OSError("the disk is gone")
        return group

    batches = stream(Mapped(file, broken), 16, np.random.default_rng(1), epochs=1, pool_rows=8)
    with pytest.raises(tf.errors.OpError, match="the disk is gone"):
        list(batches)
