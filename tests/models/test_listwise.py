"""The listwise network: its scales by hand, and that it learns to order a choice set."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.listwise import (
    NOT_THERE,
    Network,
    Scales,
    Schedule,
    View,
    inputs_of,
    scales_of,
    train_networks,
)
from models.progress import SILENT
from models.row_files import RowFile, RowWriter
from models.rows import Arrays, Columns, Rows, take

SETS, PLACES, COLUMNS = 600, 12, 3


def _sets(seed: int) -> np.ndarray:
    """Sets whose first place is the one with the largest middle column, in a wild scale."""
    x = np.random.default_rng(seed).normal(size=(SETS, PLACES, COLUMNS))
    best = x[:, :, 1].argmax(axis=1)
    x[np.arange(SETS), best], x[:, 0] = x[:, 0].copy(), x[np.arange(SETS), best].copy()
    x[:, :, 1] = np.exp(3 * x[:, :, 1])
    return x.astype(np.float32)


def test_scales_are_quantiles_and_standard_scores() -> None:
    """A column of 0 to 60: its knots lie at the sixths, and the middle is the mean."""
    column = np.arange(61, dtype=np.float32)[:, None]
    scales = Scales.of(column, column)
    found = scales(tf.constant([[0.0], [30.0], [60.0], [1e9]])).numpy()
    np.testing.assert_allclose(found[:, 0], [-1, 0, 1, 1], atol=0.02)
    np.testing.assert_allclose(found[:3, 1], [-30 / column.std(), 0, 30 / column.std()], atol=1e-4)
    assert np.isfinite(found).all()


def test_a_column_without_variety_does_no_harm() -> None:
    """As the weather of a city that never had any."""
    column = np.zeros((50, 1), np.float32)
    found = Scales.of(column, column)(tf.constant([[0.0], [5.0]])).numpy()
    assert np.isfinite(found).all()


VIEW = View(lambda sets, cells: sets["x"][cells], lambda sets, cells: sets["kind"][cells])


def _columns(seed: int) -> Columns:
    shape = (SETS, PLACES)
    return {
        "x": _sets(seed),
        "kind": np.zeros(shape, np.int32),
        "log_expected": np.zeros(shape, np.float32),
    }


def _trained(seed: int = 1, learn: Rows | None = None) -> tuple[Network, list[float]]:
    """Learns from the first 500 sets (or others), judged by the last 100."""
    sets = _columns(3)
    learn = learn or Arrays(take(sets, slice(0, 500)))
    network = Network(scales_of(learn, VIEW, np.random.default_rng(2)), 2, (16,), _rng(seed))
    how, judge = Schedule(epochs=40, batch=32, warm_up=5), take(sets, slice(500, None))
    with SILENT.stage("test", None) as stage:
        epochs = train_networks([network], learn, judge, VIEW, how, seed, stage)
    return network, [epoch.validation_loss for epoch in epochs]


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _file(path: Path, columns: Columns, pool_rows: int) -> RowFile:
    with RowWriter(path, 77) as writer:
        writer.append(columns)
    return RowFile.open(path, pool_rows)


def test_it_learns_which_place_is_chosen() -> None:
    """From log 12 of chance to less than half of it on sets that it did not learn from."""
    network, losses = _trained()
    assert losses[-1] < 0.5 * np.log(PLACES)
    x = _sets(4)
    score = network(tf.constant(x.reshape(-1, COLUMNS)), tf.zeros([SETS * PLACES], tf.int32))
    first = score.numpy().reshape(SETS, PLACES).argmax(axis=1) == 0
    assert first.mean() > 0.8


def test_it_repeats_by_its_seed() -> None:
    """To the last digit."""
    assert _trained()[1] == _trained()[1]


@pytest.mark.slow
def test_files_teach_as_memory_does(tmp_path: Path) -> None:
    """To the last digit, if all sets fit into a pool; else nearly as well, and repeatably."""
    learn = take(_columns(3), slice(0, 500))
    whole, pooled = (_file(tmp_path / f"{n}.parquet", learn, n) for n in (500, 200))
    assert _trained(learn=whole)[1] == _trained()[1]
    losses = _trained(learn=pooled)[1]
    assert losses == _trained(learn=pooled)[1]
    assert losses[-1] < 0.5 * np.log(PLACES)


def test_scales_come_from_places_that_count(tmp_path: Path) -> None:
    """Padding, however wild, has no say; groups of a file give what memory gives."""
    sets = _columns(3)
    plain = scales_of(Arrays(sets), VIEW, _rng(1))
    wild = {name: column.copy() for name, column in sets.items()}
    wild["x"], wild["log_expected"] = np.repeat(wild["x"], 2, axis=1), np.zeros((SETS, 2 * PLACES))
    wild["x"][:, 1::2], wild["log_expected"][:, 1::2] = 1e6, NOT_THERE
    wild["kind"] = np.repeat(wild["kind"], 2, axis=1)
    padded = scales_of(Arrays(wild), VIEW, _rng(1))
    from_file = scales_of(_file(tmp_path / "x.parquet", sets, 100), VIEW, _rng(1))
    for name in ("low", "step", "mean", "scale"):
        np.testing.assert_array_equal(getattr(padded, name), getattr(plain, name))
        np.testing.assert_array_equal(getattr(from_file, name), getattr(plain, name))


def test_scales_of_many_sets_come_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rows as are asked for, from all groups, and about as many chosen ones."""
    monkeypatch.setattr("models.listwise.SAMPLED", 100)
    seen: list[int] = []

    def x(sets: Columns, cells: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        seen.append(len(cells[0]))
        found: np.ndarray = sets["x"][cells]
        return found

    scales_of(Arrays(_columns(3)), View(x, VIEW.category), _rng(1))
    assert seen == [100, 100]


def test_what_is_padding_is_not_read() -> None:
    """Rows of the other places alone, each with its set and position."""
    sets = take(_columns(3), slice(0, 3))
    sets["log_expected"][:] = NOT_THERE
    sets["log_expected"][0, :2], sets["log_expected"][2, 5] = 0.0, 1.5
    found = inputs_of(sets, VIEW)
    assert found["cells"].tolist() == [[0, 0], [0, 1], [2, 5]]
    np.testing.assert_array_equal(found["rows"], sets["x"][[0, 0, 2], [0, 1, 5]])
    assert found["of"].tolist() == [1.0, 1.0, 1.0]


def test_a_diverging_training_is_told() -> None:
    """Not exported with NaN for weights."""
    sets = _columns(3)
    network = Network(Scales.of(sets["x"][:, 0], sets["x"][:, 0]), 2, (4,), _rng(1))
    sets["log_expected"][7] = np.nan
    how, none = Schedule(epochs=1), take(sets, slice(0, 0))
    with SILENT.stage("test", None) as stage, pytest.raises(FloatingPointError, match="finite"):
        train_networks([network], Arrays(sets), none, VIEW, how, 1, stage)
