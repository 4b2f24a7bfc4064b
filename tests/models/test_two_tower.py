"""The two towers: parts against plain numpy, and what a history does to the scores."""

from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf

from contracts.ids import as_int64
from contracts.signatures import CROWD
from models.candidates import ServedTwoTower
from models.dataset import NEAR_EACH
from models.fitting import Schedule
from models.progress import SILENT
from models.training_rows import NO_EVENT, Choices
from models.two_tower import Places, TwoTower, weight_at
from models.two_tower_training import SHARED, _Batch, _columns, _Data, _loss, train_two_tower
from online_features.catalogue import Catalogue
from online_features.columns import VISIT
from online_features.geo import distance_m
from online_features.history import HISTORY
from tests.models.logs import catalogue_of

PLACES = 60


@dataclass(frozen=True)
class World:
    """Users of two kinds, each with half of the places; all places lie close together."""

    catalogue: Catalogue
    choices: Choices


def _choices(catalogue: Catalogue, rng: np.random.Generator, n: int) -> Choices:
    kind = rng.integers(0, 2, n)
    past = rng.integers(0, PLACES // 2, (n, HISTORY)) + kind[:, None] * (PLACES // 2)
    row = np.where(np.arange(HISTORY) < 6, past, NO_EVENT).astype(np.int32)
    place = (rng.integers(0, PLACES // 2, n) + kind * (PLACES // 2)).astype(np.int32)
    lat, lng = np.full(n, 40.0), np.full(n, -74.0)
    return Choices(
        history_row=row,
        history_age_s=np.where(row >= 0, rng.uniform(1e3, 1e6, row.shape), 0).astype(np.float32),
        history_kind=np.full(row.shape, VISIT, np.int8),
        place=place,
        distance_m=distance_m(lat, lng, catalogue.lat[place], catalogue.lng[place]).astype("f4"),
        lat=lat,
        lng=lng,
        near=rng.integers(0, PLACES, (n, NEAR_EACH)).astype(np.int32),
        near_reach_m=np.full(n, 1e6, np.float32),
    )


@pytest.fixture(scope="module")
def world() -> World:
    rng = np.random.default_rng(0)
    spots = {f"p{i}": (40 + rng.normal(0, 0.01), -74 + rng.normal(0, 0.01)) for i in range(PLACES)}
    catalogue = catalogue_of(spots)
    return World(catalogue, _choices(catalogue, rng, 1_900))


def _train(world: World, seed: int = 1, epochs: int = 6) -> ServedTwoTower:
    train, held = world.choices.take(slice(0, 1_600)), world.choices.take(slice(1_600, None))
    schedule = Schedule(epochs=epochs, batch=256, rate=0.01)
    with SILENT.stage("test", None) as stage:
        model, _ = train_two_tower(world.catalogue, train, held, PLACES, schedule, seed, stage)
    return ServedTwoTower(model)


@pytest.fixture(scope="module")
def model(world: World) -> ServedTwoTower:
    return _train(world)


def _data(choices: Choices, places: Places) -> _Data:
    read = _columns(vars(choices), places)
    return _Data({name: tf.constant(column) for name, column in read.items()}, places)


def _scores(
    model: ServedTwoTower, world: World, history: list[int], metres: float = 1_000.0
) -> np.ndarray:
    """Scores of all places at one distance, for one user who visited these rows an hour apart."""
    ids = np.zeros(HISTORY, np.uint64)
    ids[: len(history)] = world.catalogue.hash[history]
    age_s = np.where(ids != 0, 3_600.0 * (1 + np.arange(HISTORY)), 0).astype(np.float32)
    scores = model.serve(
        tf.constant(as_int64(ids)[None]),
        tf.constant(age_s[None]),
        tf.fill([1, HISTORY], np.int64(VISIT)),
        tf.constant(as_int64(world.catalogue.hash)[None]),
        tf.fill([1, PLACES], np.float32(metres)),
        tf.zeros([1], tf.int64),
        tf.zeros([1, PLACES, len(CROWD)], tf.uint8),
    )["scores"]
    return np.asarray(scores.numpy()[0])


def test_weights_at_places_are_sums_over_equal_ids() -> None:
    """Against comparing every pair, with repeated ids and places that are nowhere."""
    rng = np.random.default_rng(1)
    ids, places = rng.integers(0, 12, (5, HISTORY)), rng.integers(0, 15, (5, 40))
    weights = rng.random((5, HISTORY)).astype(np.float32)
    expected = (weights[:, None, :] * (places[:, :, None] == ids[:, None, :])).sum(axis=2)
    found = weight_at(tf.constant(ids), tf.constant(weights), tf.constant(places))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_history_draws_scores_towards_its_kind(model: ServedTwoTower, world: World) -> None:
    """Who visited four places of one half is offered others of that half, not known ones alone."""
    half = PLACES // 2
    scores = _scores(model, world, [0, 1, 2, 3])
    assert scores[4:half].mean() > scores[half:].mean() + 0.5
    scores = _scores(model, world, [half, half + 1, half + 2])
    assert scores[half + 3 :].mean() > scores[:half].mean() + 0.5


def test_no_history_is_no_obstacle(model: ServedTwoTower, world: World) -> None:
    """A new user gets finite scores, the same for all new users."""
    scores = _scores(model, world, [])
    assert np.isfinite(scores).all()
    assert scores.std() > 0


def test_a_place_unknown_to_the_catalogue_is_scored_alike(
    model: ServedTwoTower, world: World
) -> None:
    """Opened after the training: its id is in no table, its score that of an unknown place."""
    ids = tf.constant([[123, 456]], tf.int64)
    none = tf.zeros([1, HISTORY], tf.int64)
    age_s = tf.zeros([1, HISTORY])
    metres, moment_s = tf.fill([1, 2], 500.0), tf.zeros([1], tf.int64)
    crowd = tf.zeros([1, 2, len(CROWD)], tf.uint8)
    scores = model.serve(none, age_s, none, ids, metres, moment_s, crowd)["scores"].numpy()[0]
    assert np.isfinite(scores).all()
    assert scores[0] == scores[1]


def test_a_visit_to_an_unknown_place_still_makes_it_known(model: ServedTwoTower) -> None:
    """The term for known places goes by id, not by what the training knew."""
    history = np.zeros((1, HISTORY), np.int64)
    history[0, 0] = 123
    age_s = np.zeros((1, HISTORY), np.float32)
    age_s[0, 0] = 3_600
    kind = tf.fill([1, HISTORY], np.int64(VISIT))
    ids, metres = tf.constant([[123, 456]], tf.int64), tf.fill([1, 2], 500.0)
    inputs = (tf.constant(history), age_s, kind, ids, metres, tf.zeros([1], tf.int64))
    crowd = tf.zeros([1, 2, len(CROWD)], tf.uint8)
    been, other = model.serve(*inputs, crowd)["scores"].numpy()[0]
    assert been > other


@pytest.mark.slow
def test_training_repeats_by_its_seed(model: ServedTwoTower, world: World) -> None:
    """Bit for bit, also the rows that are updated lazily."""
    first = _scores(model, world, [1, 2])
    np.testing.assert_array_equal(first, _scores(_train(world), world, [1, 2]))
    assert (first != _scores(_train(world, seed=2, epochs=1), world, [1, 2])).any()


def test_the_stream_trains_as_one_gather_of_all_choices_does(world: World) -> None:
    """The first step's loss, from tensors that hold everything, in the order of the seed."""
    train, held = world.choices.take(slice(0, 1_600)), world.choices.take(slice(1_600, None))
    with SILENT.stage("test", None) as stage:
        schedule = Schedule(epochs=1, batch=1_600, rate=0.01)
        _, (epoch,) = train_two_tower(world.catalogue, train, held, PLACES, schedule, 5, stage)
    rng = np.random.default_rng(5)
    places = Places.of(world.catalogue, train)
    counts = np.bincount(train.place, minlength=PLACES) + 0.1
    known = np.bincount(places.row[:PLACES], counts, minlength=places.vocabulary.rows)
    popularity = np.log(np.maximum(known, 0.1) / counts.mean()).astype(np.float32)
    model = TwoTower(places, popularity, rng)
    rng.permutation(len(held))
    rng.choice(train.place, SHARED)
    order = tf.constant(rng.permutation(len(train)).astype(np.int32))
    data, log_share = _data(train, places), tf.constant(np.log(counts / counts.sum()), tf.float32)
    shared = tf.gather(data.place, order[:SHARED])
    loss = _loss(model, data, order, shared, log_share, PLACES, tf.constant(5))
    assert epoch.train_loss == pytest.approx(float(loss), rel=1e-5)


def test_what_is_served_is_what_was_trained(world: World) -> None:
    """The baked place side and the training's own scores agree."""
    choices = world.choices.take(slice(0, 5))
    places = Places.of(world.catalogue, world.choices)
    trained = TwoTower(
        places, np.zeros(places.vocabulary.rows, np.float32), np.random.default_rng(2)
    )
    batch = _Batch(trained, _data(choices, places), tf.range(5), None)
    everywhere = tf.tile(tf.range(PLACES)[None], [5, 1])
    metres = batch.distance_m(everywhere)
    expected = batch.scores(everywhere, metres, 0).numpy()
    hashes = np.r_[world.catalogue.hash, np.uint64(0)]
    ids = as_int64(hashes[np.where(choices.history_row < 0, PLACES, choices.history_row)])
    served = ServedTwoTower(trained).serve(
        tf.constant(ids),
        tf.constant(choices.history_age_s),
        tf.constant(choices.history_kind.astype(np.int64)),
        tf.constant(as_int64(np.tile(world.catalogue.hash, (5, 1)))),
        metres,
        tf.zeros([5], tf.int64),
        tf.zeros([5, PLACES, len(CROWD)], tf.uint8),
    )["scores"]
    np.testing.assert_allclose(served, expected, rtol=1e-4, atol=1e-4)


def test_vectors_are_those_of_the_place_side(world: World) -> None:
    """Of embedding and category; an unknown place has none, though scores give it a shared one."""
    places = Places.of(world.catalogue, world.choices)
    rows = places.vocabulary.rows
    trained = TwoTower(places, np.zeros(rows, np.float32), np.random.default_rng(2))
    asked = tf.constant(as_int64(np.r_[world.catalogue.hash[[3, 0]], np.uint64(99)]))
    vectors = ServedTwoTower(trained).vectors(asked)["vectors"].numpy()
    expected = trained.vectors(places.row[[3, 0]], places.category[[3, 0]]).numpy()
    np.testing.assert_allclose(vectors[:2], expected, rtol=1e-6)
    assert (vectors[2] == 0).all()


def test_distances_in_training_are_those_on_the_sphere(world: World) -> None:
    """Flat-earth distances around the city's middle, within half a per cent."""
    choices = world.choices.take(slice(0, 1))
    places = Places.of(world.catalogue, world.choices)
    model = TwoTower(places, np.zeros(places.vocabulary.rows, np.float32), np.random.default_rng(2))
    batch = _Batch(model, _data(choices, places), tf.range(1), None)
    found = batch.distance_m(tf.range(PLACES)[None]).numpy()[0]
    exact = distance_m(40.0, -74.0, world.catalogue.lat, world.catalogue.lng)
    np.testing.assert_allclose(found, exact, rtol=5e-3, atol=1)
