"""Where rows are kept: small ones in memory, others in a file that nobody has to clear away."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.row_files import RowFile
from models.row_store import RowStore
from models.rows import Arrays, Columns, Stretches, gathered, shuffled

COUNT = 1_000
ROW_BYTES = 4 * 2 + 8


def _blocks() -> Iterator[Columns]:
    x = np.random.default_rng(1).normal(size=(COUNT, 4)).astype(np.float16)
    for start in range(0, COUNT, 300):
        number = np.arange(start, min(start + 300, COUNT))
        yield {"x": x[number], "number": number}


@pytest.mark.parametrize(("memory_bytes", "kind"), [(10**6, Arrays), (ROW_BYTES * 900, RowFile)])
def test_rows_are_the_same_wherever_they_lie(
    tmp_path: Path, memory_bytes: int, kind: type[Arrays] | type[RowFile]
) -> None:
    """In order, and in parts that begin where a group was cut."""
    rows = RowStore(tmp_path / "new", memory_bytes).keep(_blocks(), COUNT, cut=500)
    assert isinstance(rows, kind)
    for start in (0, 500):
        number = gathered(rows.part(start, COUNT))["number"]
        np.testing.assert_array_equal(number, np.arange(start, COUNT))
    assert gathered(rows)["x"].dtype == np.float16


def test_files_leave_nothing_behind(tmp_path: Path) -> None:
    """While they are read, too, they have no name: a killed training leaves a clean disk."""
    rows = RowStore(tmp_path, 0).keep(_blocks(), COUNT)
    assert list(tmp_path.iterdir()) == []
    assert len(gathered(rows)["number"]) == COUNT


def test_a_pool_is_a_quarter_of_the_memory(tmp_path: Path) -> None:
    """So that with what is read for it and the batches it stays within."""
    memory_bytes = ROW_BYTES * 400
    rows = RowStore(tmp_path, memory_bytes).keep(_blocks(), COUNT)
    assert rows.pool_rows == 100


def test_fewer_rows_than_were_announced_are_no_harm(tmp_path: Path) -> None:
    """Memory was taken for more."""
    rows = RowStore(tmp_path, 10**9).keep(_blocks(), 2 * COUNT)
    batches = list(shuffled(rows, 100, np.random.default_rng(1)))
    assert sorted(np.concatenate([b["number"] for b in batches]).tolist()) == list(range(COUNT))


@pytest.mark.parametrize(("memory_bytes", "mapped"), [(4_000, False), (3_999, True)])
def test_a_large_array_lies_in_a_file_without_a_name(
    tmp_path: Path, memory_bytes: int, mapped: bool
) -> None:
    """It is filled and read like any other."""
    made = RowStore(tmp_path / "new", memory_bytes).array((10, 100), np.float32)
    assert isinstance(made.base, np.memmap) is mapped
    made[:] = np.arange(1_000, dtype=np.float32).reshape(10, 100)
    assert made[9, 99] == 999
    assert made.sum(dtype=np.float64) == 999 * 500
    assert not mapped or list((tmp_path / "new").iterdir()) == []


def test_no_rows_need_no_file(tmp_path: Path) -> None:
    """A file of nothing cannot be mapped."""
    assert RowStore(tmp_path, 0).array((0, 7), np.int8).shape == (0, 7)


def test_arrays_are_mixed_in_pools_where_they_are_large(tmp_path: Path) -> None:
    """Every row comes once an epoch; what fits into memory is one pool."""
    columns: Columns = {"number": np.arange(COUNT), "x": np.zeros((COUNT, 4), np.float16)}
    assert isinstance(RowStore(tmp_path, ROW_BYTES * 2 * COUNT).mixed(columns), Arrays)
    rows = RowStore(tmp_path, ROW_BYTES * COUNT // 2).mixed(columns)
    assert isinstance(rows, Stretches)
    assert sum(rows.sizes) == COUNT
    assert rows.pool_rows < COUNT / 4
    batches = list(shuffled(rows, 64, np.random.default_rng(1)))
    order = np.concatenate([batch["number"] for batch in batches])
    np.testing.assert_array_equal(np.sort(order), np.arange(COUNT))
    assert (np.diff(order) != 1).mean() > 0.9
    np.testing.assert_array_equal(gathered(rows.only("number"))["number"], np.arange(COUNT))
    np.testing.assert_array_equal(gathered(rows.part(7, 500))["number"], np.arange(7, 500))
