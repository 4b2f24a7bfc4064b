"""Rows on disk: what is read is what was written, to the bit and in groups."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.row_files import RowFile, RowWriter
from models.rows import Columns, gathered, take
from online_features.definitions import USER

COUNT = 1_000


def _columns(seed: int = 1) -> Columns:
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(COUNT, 7, 3)).astype(np.float16)
    half[3, 0] = (np.nan, np.inf, -0.0)
    states = USER.empty(COUNT)
    states["last_visits"]["place"] = rng.integers(1, 2**63, states["last_visits"]["place"].shape)
    return {
        "half": half,
        "id": rng.integers(0, 2**64, COUNT, np.uint64),
        "ids": rng.integers(0, 2**64, (COUNT, 4), np.uint64),
        "small": rng.integers(-4, 4, COUNT).astype(np.int8),
        "flag": rng.random(COUNT) < 0.5,
        "state": states.view(np.dtype((np.void, USER.dtype.itemsize))),
        "single": rng.normal(size=COUNT).astype(np.float16),
    }


def _written(path: Path, columns: Columns, group_rows: int | None, chunk: int = 130) -> RowFile:
    with RowWriter(path, group_rows) as writer:
        for start in range(0, COUNT, chunk):
            writer.append(take(columns, slice(start, start + chunk)))
    return RowFile.open(path)


@pytest.mark.parametrize("group_rows", [64, 400, None])
def test_rows_come_back_to_the_bit(tmp_path: Path, group_rows: int | None) -> None:
    """Types and shapes too, however rows were cut into chunks and groups."""
    columns = _columns()
    back = gathered(_written(tmp_path / "rows.parquet", columns, group_rows))
    assert list(back) == list(columns)
    for name, column in columns.items():
        assert (back[name].dtype, back[name].shape) == (column.dtype, column.shape)
        assert back[name].tobytes() == np.ascontiguousarray(column).tobytes()


def test_groups_are_as_large_as_was_said(tmp_path: Path) -> None:
    """The last is what is left, and any Parquet reader sees the same groups."""
    rows = _written(tmp_path / "rows.parquet", _columns(), 300)
    assert rows.sizes == (300, 300, 300, 100)
    file = pq.ParquetFile(tmp_path / "rows.parquet")
    assert [file.metadata.row_group(g).num_rows for g in range(4)] == [300, 300, 300, 100]
    assert file.read()["small"].to_pylist() == _columns()["small"].tolist()


def test_some_columns_of_some_groups_can_be_read(tmp_path: Path) -> None:
    """A part begins and ends with a group; a cut makes it end where it shall."""
    columns, path = _columns(), tmp_path / "rows.parquet"
    with RowWriter(path, 300) as writer:
        writer.append(take(columns, slice(0, 750)))
        writer.cut()
        writer.append(take(columns, slice(750, None)))
    rows = RowFile.open(path)
    assert rows.sizes == (300, 300, 150, 250)
    held = rows.part(750, 1_000).only("half", "id")
    found = gathered(held)
    assert list(found) == ["half", "id"]
    np.testing.assert_array_equal(found["id"], columns["id"][750:])
    assert rows.part(300, 750).part(0, 300).sizes == (300,)
    with pytest.raises(ValueError, match="not whole groups"):
        rows.part(0, 740)


def test_other_columns_than_the_first_are_refused(tmp_path: Path) -> None:
    """Another shape or type would be read back as nonsense."""
    with RowWriter(tmp_path / "rows.parquet", 10) as writer:
        writer.append({"x": np.zeros((5, 3), np.float16)})
        for other in (np.zeros((5, 4), np.float16), np.zeros((5, 3), np.int16)):
            with pytest.raises(ValueError, match="in a file of"):
                writer.append({"x": other})
        writer.append({"x": np.ones((5, 3), np.float16)})
    assert RowFile.open(tmp_path / "rows.parquet").sizes == (10,)


def test_strided_columns_are_written_as_they_read(tmp_path: Path) -> None:
    """Every second column of a wider array does not lie in one piece."""
    wide = np.arange(60, dtype=np.float32).reshape(10, 6)
    with RowWriter(tmp_path / "rows.parquet") as writer:
        writer.append({"x": wide[:, ::2]})
    np.testing.assert_array_equal(
        gathered(RowFile.open(tmp_path / "rows.parquet"))["x"], wide[:, ::2]
    )
