"""Wide & deep: what it learns, and what it does with what it never saw."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from contracts.ids import as_int64, id64
from contracts.signatures import PARTS
from models import ranker
from models.evaluation import auc
from models.fitting import Schedule
from models.optimizer import Adam
from models.progress import SILENT
from models.ranker import WIDE_COLUMNS, Inputs, Ranker, predict, train_ranker
from models.row_store import RowStore
from models.rows import Stretches
from models.training_rows import RankerRows
from online_features.request import RANKING_COLUMNS

COLUMNS = len(RANKING_COLUMNS)
CATEGORIES = np.array([id64(name) for name in ("cafe", "bar", "park")], np.uint64)


def _rows(n: int, seed: int) -> RankerRows:
    """Rows whose label follows one plain column, and the distance in cafes only."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, COLUMNS)).astype(np.float32)
    category = rng.choice(CATEGORIES, n)
    distance = features[:, RANKING_COLUMNS.index("distance_log_km")]
    place_rating = features[:, RANKING_COLUMNS.index("rating")]
    logit = 2 * place_rating - 3 * distance * (category == CATEGORIES[0])
    return RankerRows(
        features=features,
        user=rng.choice(np.arange(1, 9).astype(np.uint64), n),
        place=rng.choice(np.arange(11, 31).astype(np.uint64), n),
        category=category,
        label=rng.random(n) < 1 / (1 + np.exp(-logit)),
        expected=np.ones(n, np.float32),
        group=np.arange(n),
        time_s=np.arange(n, dtype=np.float64),
    )


def _train(seed: int = 1, rows: RankerRows | None = None) -> Ranker:
    schedule = Schedule(epochs=5, batch=128, rate=0.005)
    with SILENT.stage("test", None) as stage:
        return train_ranker(rows or _rows(8_000, 0), _rows(500, 1), schedule, seed, stage)[0]


@pytest.fixture(scope="module")
def model() -> Ranker:
    return _train()


def test_it_learns_features_and_a_cross(model: Ranker) -> None:
    """Distance matters in one category only: neither column alone can say it."""
    held = _rows(2_000, 2)
    # All the ranker's other columns are noise here, some eighty of them to a few thousand rows.
    assert auc(held.label, predict(model, held)) > 0.85
    cafes = held.take(held.category == CATEGORIES[0])
    assert auc(cafes.label, predict(model, cafes)) > 0.88


def test_the_stream_trains_as_one_gather_of_all_rows_does() -> None:
    """The same losses as a loop over tensors that hold everything, in the order of the seed."""
    rows, held, batch = _rows(1_000, 0), _rows(200, 1), 300
    schedule = Schedule(epochs=3, batch=batch, rate=0.005)
    with SILENT.stage("test", None) as stage:
        _, epochs = train_ranker(rows, held, schedule, 7, stage)
    rng = np.random.default_rng(7)
    inputs = Inputs.of(rows)
    model = Ranker(inputs, rng)
    variables = list(model.trainable_variables)
    optimizer = Adam(variables, schedule.rate)
    every = {name: tf.constant(column) for name, column in ranker._columns(rows, inputs).items()}
    number = 7
    for epoch in epochs:
        order, losses = rng.permutation(len(rows)), []
        for start in range(0, len(rows), batch):
            at = order[start : start + batch]
            with tf.GradientTape() as tape:
                some = {name: tf.gather(column, at) for name, column in every.items()}
                loss = ranker._loss(model, some, tf.constant(number, tf.int32))
            optimizer.apply(tape.gradient(loss, variables))
            losses.append(float(loss))
            number += 1
        assert epoch.train_loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_rows_beyond_memory_are_mixed_in_pools_and_teach_as_much(tmp_path: Path) -> None:
    """A tenth of the memory that they take: another order, no worse a model."""
    rows = _rows(8_000, 0)
    store = RowStore(tmp_path, rows.features.nbytes // 10)
    assert isinstance(store.mixed({"features": rows.features}), Stretches)
    held = _rows(2_000, 2)
    with SILENT.stage("test", None) as stage:
        how = Schedule(epochs=5, batch=128, rate=0.005)
        model, _ = train_ranker(rows, _rows(500, 1), how, 1, stage, store.mixed)
    assert auc(held.label, predict(model, held)) > 0.85


def test_scales_are_those_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Summed some at a time."""
    monkeypatch.setattr(ranker, "_SUMMED_AT_ONCE", 300)
    features = _rows(1_000, 3).features
    mean, std = ranker._moments(features)
    np.testing.assert_allclose(mean, features.mean(axis=0, dtype=np.float64), rtol=1e-9)
    np.testing.assert_allclose(std, features.std(axis=0, dtype=np.float64), rtol=1e-9)


def test_training_repeats_by_its_seed(model: Ranker) -> None:
    """The same seed gives the same weights to the bit, another one others."""
    again, other = _train(1), _train(2)
    for a, b in zip(model.trainable_variables, again.trainable_variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    held = _rows(100, 2)
    assert (predict(model, held) != predict(other, held)).any()


def test_unknown_ids_share_one_row_each(model: Ranker) -> None:
    """Two users that nobody knows get the same score, as finite as any."""
    held = _rows(50, 2)
    one, other = (
        predict(model, replace(held, user=ids))
        for ids in (np.full(50, 901, np.uint64), np.full(50, 902, np.uint64))
    )
    np.testing.assert_array_equal(one, other)
    assert np.isfinite(one).all()


def test_rare_ids_get_no_row() -> None:
    """A user needs five choices, a place three."""
    rows = _rows(400, 0)
    rows.user[:], rows.place[:] = 7, 8
    rows.user[:4], rows.place[:2] = 99, 98
    rows.label[:] = True
    inputs = Inputs.of(rows)
    assert inputs.users.hashes.tolist() == [7]
    assert inputs.places.hashes.tolist() == [8]


def test_constant_and_wild_features_stay_finite() -> None:
    """A column that never varied in training may take any value when served."""
    rows = _rows(200, 0)
    rows.features[:, 3] = 4.0
    model = Ranker(Inputs.of(rows), np.random.default_rng(0))
    held = _rows(20, 2)
    held.features[:, 3] = 1e9
    held.features[:, 4] = -1e9
    assert np.isfinite(predict(model, held)).all()


def test_the_signature_speaks_of_ids_and_calibration(model: Ranker) -> None:
    """Probability is the sigmoid of the score, the score a * logit + b."""
    held = _rows(30, 2)
    ids = [tf.constant(as_int64(x)) for x in (held.user, held.place, held.category)]
    told = tf.zeros([30, len(PARTS)])  # and does not count
    plain = model.serve(tf.constant(held.features), told, *ids)["score"].numpy()
    model.calibration.assign([0.5, -1.0])
    answer = model.serve(tf.constant(held.features), told + 1.0, *ids)
    model.calibration.assign([1.0, 0.0])
    np.testing.assert_allclose(answer["score"], 0.5 * plain - 1, rtol=1e-5, atol=1e-5)
    sigmoid = 1 / (1 + np.exp(-answer["score"].numpy()))
    np.testing.assert_allclose(answer["probability"], sigmoid, rtol=1e-5)


def test_expected_counts_shift_what_is_learned(model: Ranker) -> None:
    """Rows drawn ten times as often as what they stand for: the odds come out ten times higher."""
    rows = _rows(4_000, 0)
    shifted = _train(rows=replace(rows, expected=np.full(len(rows), 10, np.float32)))
    held = _rows(500, 2)
    gap = float(np.mean(predict(shifted, held) - predict(model, held)))
    assert gap == pytest.approx(np.log(10), abs=0.7)


def test_the_wide_columns_exist() -> None:
    """A renamed feature must not silently drop out of the crosses."""
    assert set(WIDE_COLUMNS) <= set(RANKING_COLUMNS)
