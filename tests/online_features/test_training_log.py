"""What a training reads of an archive: the same events in the same order, as numbers."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from contracts.ids import id64
from models.row_store import RowStore
from online_features.archive import read_interactions
from online_features.archive_schema import INTERACTIONS
from online_features.columns import EventColumns
from online_features.training_log import BYTES_EACH, TrainingLog
from streams.archive import by_day, write_whole
from tests.online_features.test_archive import _rows
from tests.placestream.backfill.archives import write_history


def test_it_is_the_log_without_its_texts(tmp_path: Path) -> None:
    """Late, repeated and twice archived events among them."""
    write_history(tmp_path, 3, 500, 12)
    log, numbers = read_interactions(tmp_path), TrainingLog.read(tmp_path)
    for name in EventColumns.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(numbers, name), getattr(log, name))
    assert sum(column.itemsize for column in vars(numbers).values()) == BYTES_EACH


def test_an_answer_is_named_by_its_hash(tmp_path: Path) -> None:
    """0 where none is named, whatever file and day the events lie in."""
    names = [None, "r", "s", "", "r", *[None] * 30, "t"]
    users = ["a"] * len(names)
    for part, folder in by_day(_rows(0, users, names), tmp_path / INTERACTIONS):
        write_whole(part, folder)
    expected = [id64(name) if name else 0 for name in names]
    assert TrainingLog.read(tmp_path).request.tolist() == expected


def test_a_long_one_lies_in_files(tmp_path: Path) -> None:
    """None of its columns holds memory of its own, and all say what they say in memory."""
    table = _rows(0, [f"u{i}" for i in range(90)], [None] * 90)
    for at in (np.arange(90), np.arange(20, 60)):  # some lie in two files
        for part, folder in by_day(table.take(pa.array(at)), tmp_path / INTERACTIONS):
            write_whole(part, folder)
    store = RowStore(tmp_path / "models", 130 * BYTES_EACH - 1)
    mapped, held = TrainingLog.read(tmp_path, store.arrays), TrainingLog.read(tmp_path)
    for name, column in vars(mapped).items():
        assert not column.flags.owndata
        assert _mapped(column), name
        np.testing.assert_array_equal(column, getattr(held, name))
    assert len(mapped) == 90
    roomy = RowStore(tmp_path / "models", 130 * BYTES_EACH)
    assert not any(map(_mapped, vars(TrainingLog.read(tmp_path, roomy.arrays)).values()))


def _mapped(column: np.ndarray) -> bool:
    base: object = column
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return False


def test_nothing_archived_is_a_log_without_rows(tmp_path: Path) -> None:
    """As on the first start; also where nothing may be in memory."""
    assert len(TrainingLog.read(tmp_path)) == 0
    assert len(TrainingLog.read(tmp_path, RowStore(tmp_path / "models", 0).arrays)) == 0
