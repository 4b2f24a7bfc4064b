"""The stream that drift is measured on: its shifts are what they are called, its calm is calm."""

import numpy as np
import pytest

from benchmarks.drift import Load, Stream
from benchmarks.drift_world import COLUMNS, DRIFTS, World, is_weekend, shift_of
from contracts.settings import Settings
from models.reference import BINS, bins_of, quantile_edges


@pytest.fixture(scope="module")
def stream() -> Stream:
    """Two days of two thousand answers, and windows to fit."""
    settings = Settings(_env_file=None, drift_window_answers=1_000, drift_min_answers=500)
    return Stream(1, Load(a_day=2_000, days=2, reference=1_600), settings)


def test_a_shift_has_the_psi_that_it_is_called_by() -> None:
    """Counted on drawn rows, on bins of equal shares."""
    rng = np.random.default_rng(1)
    world = World.of(1)
    answers = world.answers(world.times(19_000, 10_000, 1, rng), rng)
    column = answers.values[:, 0]
    edges = quantile_edges(column)[None]
    p, q = (
        np.bincount(bins_of(rows[:, None], edges)[0], minlength=BINS + 1)[1:] / len(rows)
        for rows in (column + shift_of(0.25), column)
    )
    assert ((p - q) * np.log(p / q)).sum() == pytest.approx(0.25, rel=0.1)


def test_saturday_begins_the_weekend() -> None:
    """1970-01-03 was one, and the Monday after it none."""
    assert is_weekend(np.array([1, 2, 3, 4]) * 86_400.0).tolist() == [False, True, True, False]


def test_calm_asks_for_nothing_and_a_vanished_column_does(stream: Stream) -> None:
    """The same detectors and triggers on both."""
    calm = stream.calm()
    assert calm.asked == []
    assert calm.looks > 0
    delay = stream.delay(DRIFTS["vanished to missing"])
    assert delay is not None
    assert delay <= 1_000


@pytest.mark.parametrize("name", DRIFTS)
def test_a_drift_changes_columns_and_nothing_else(name: str) -> None:
    """Rows keep their number and place; what began long ago has changed something."""
    rng = np.random.default_rng(2)
    world = World.of(2)
    answers = world.answers(world.times(19_000, 50, 1, rng), rng)
    before = answers.values.copy()
    values = DRIFTS[name](answers, np.full(50, 20 * 86_400.0))
    changed = (values != before).any(axis=0)
    assert values.shape == before.shape
    assert (answers.values == before).all()
    assert 0 < changed.sum() < len(COLUMNS) / 2
