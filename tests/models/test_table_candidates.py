"""The candidate model from tables: its cheap first look, and what it makes of people and places."""

import numpy as np
import pytest
import tensorflow as tf

from contracts.ids import as_int64, id64
from models import table_candidates
from models.choice_sets import ChoiceSets
from models.listwise import Network, Scales
from models.parts import COARSE, PARTS, WIDTH, Look, Parts
from models.table_candidates import BELOW, Coarse, PastParts, TableCandidates
from models.tables import Geography, Tables
from models.train import TrainedPair
from online_features.columns import VISIT
from online_features.history import HISTORY
from tests.models.conftest import Data
from tests.models.drawn_sets import drawn_sets
from tests.models.test_tables import _tables

PLACES = ["a", "b", "c", "new"]


def _inputs(history: list[str]) -> dict[str, tf.Tensor]:
    ids, age_s = np.zeros((1, HISTORY), np.uint64), np.zeros((1, HISTORY), np.float32)
    ids[0, : len(history)] = [id64(place) for place in history]
    age_s[0, : len(history)] = 3_600.0 * (1 + np.arange(len(history)))
    return {
        "history_ids": tf.constant(as_int64(ids)),
        "history_age_s": tf.constant(age_s),
        "history_kind": tf.fill([1, HISTORY], np.int64(VISIT)),
        "place_ids": tf.constant(as_int64(np.array([[id64(p) for p in PLACES]], np.uint64))),
        "distance_m": tf.constant([[100.0, 900.0, 5_000.0, 300.0]]),
        "crowd": tf.constant(np.arange(16).reshape(1, 4, 4).astype(np.uint8)),
    }


def test_the_first_look_is_a_weighted_sum_of_parts() -> None:
    """For places that the tables know, exactly; summed in another order."""
    parts, inputs = Parts(_tables()), _inputs(["a", "b", "a"])
    weight = np.random.default_rng(1).normal(size=len(COARSE)).astype(np.float32)
    past = [inputs[f"history_{name}"] for name in ("ids", "age_s", "kind")]
    look = Look(parts, past[0], past[1], past[2], tf.constant([0], tf.int64))
    ids, metres, crowd = (inputs[name] for name in ("place_ids", "distance_m", "crowd"))
    every = look(ids, parts.rows(ids), metres, crowd).numpy()[0]
    expected = every[:, [PARTS.index(name) for name in COARSE]] @ weight
    found = look.coarse(parts.rows(ids), metres, crowd, tf.constant(weight)).numpy()[0]
    np.testing.assert_allclose(found[:3], expected[:3], rtol=1e-4, atol=1e-4)
    assert np.isfinite(found).all()


def test_only_the_best_of_the_first_look_reach_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With room for two, the others stay below them, in the order of the first look."""
    rng, parts = np.random.default_rng(1), Parts(_tables())
    x = rng.normal(size=(100, WIDTH))
    coarse = Coarse()
    coarse.weight.assign(np.eye(len(COARSE), 1, -COARSE.index("metres_near")).astype(np.float32))
    network = Network(Scales.of(x, x), parts.categories, (4,), rng)
    model = TableCandidates(parts, network, coarse, np.eye(3, 2, dtype=np.float32))
    call = _inputs(["b"]) | {"moment_s": tf.constant([0], tf.int64)}
    whole = model.serve(**call)["scores"].numpy()[0]
    assert (whole > -BELOW / 2).all()
    monkeypatch.setattr(table_candidates, "FINE", 2)
    scores = model.serve(**call)["scores"].numpy()[0]
    np.testing.assert_allclose(scores[[0, 3]], whole[[0, 3]], rtol=1e-5)
    assert scores[2] < scores[1] < -BELOW / 2
    # Each place's own vector, and none for the one that no table knows.
    vectors = model.vectors(call["place_ids"][0])["vectors"].numpy()
    np.testing.assert_array_equal(vectors, [[1, 0], [0, 1], [0, 0], [0, 0]])


def test_a_batch_is_answered_as_each_of_its_requests_alone() -> None:
    """Histories of different lengths, of places that no table knows, and none at all."""
    rng, parts = np.random.default_rng(2), Parts(_tables())
    x, coarse = rng.normal(size=(100, WIDTH)), Coarse()
    coarse.weight.assign(rng.normal(size=(len(COARSE), 1)).astype(np.float32))
    network = Network(Scales.of(x, x), parts.categories, (4,), rng)
    model = TableCandidates(parts, network, coarse, np.eye(3, 2, dtype=np.float32))
    moments = [0, 7 * 3_600, 5 * 86_400 + 60]
    calls = [
        _inputs(past) | {"moment_s": tf.constant([moment], tf.int64)}
        for past, moment in zip((["a", "b", "a"], [], ["new"]), moments, strict=True)
    ]
    alone = [model.serve(**call) for call in calls]
    together = model.serve(**{name: tf.concat([c[name] for c in calls], 0) for name in calls[0]})
    for name, values in together.items():
        for i, one in enumerate(alone):
            np.testing.assert_allclose(values[i], one[name][0], rtol=1e-4, atol=1e-4)


def test_known_places_come_first_and_strangers_get_an_order(pair: TrainedPair) -> None:
    """Of a trained model: where a user was often ranks above the median of the places near."""
    (call, *_) = pair.candidate_calls
    ids = call["place_ids"]
    often = dict(call)
    often["history_ids"] = np.where(np.arange(HISTORY) < 20, ids[0, -1], 0)[None].astype(np.int64)
    often["history_age_s"] = np.where(np.arange(HISTORY) < 20, 86_400.0, 0)[None].astype("f4")
    often["history_kind"] = np.full((1, HISTORY), VISIT, np.int64)
    stranger = often | {"history_ids": np.zeros((1, HISTORY), np.int64)}
    known, unknown = (
        pair.candidates.serve(**{n: tf.constant(v) for n, v in c.items()})["scores"].numpy()[0]
        for c in (often, stranger)
    )
    assert (known > known[-1]).sum() < 0.1 * len(known)
    assert np.isfinite(unknown).all()
    assert unknown.std() > 0


@pytest.fixture(scope="module")
def sets(data: Data) -> ChoiceSets:
    """A hundred and twenty sets."""
    return drawn_sets(data, 120)


def _parts(data: Data, sets: ChoiceSets, blocks: int) -> tuple[np.ndarray, PastParts]:
    """Their parts, made block by block; the first hundred teach."""
    past = PastParts(data.log, data.catalogue, sets.moments.before, 100)
    pieces = [sets.take(at) for at in np.array_split(np.arange(len(sets)), blocks)]
    return np.concatenate([past.of(piece) for piece in pieces]), past


def test_parts_of_a_set_know_nothing_of_its_fold(data: Data, sets: ChoiceSets) -> None:
    """As read from tables of the log up to the first set of the fold: five of twenty, and one."""
    found, _ = _parts(data, sets, 1)
    geography = Geography.of(data.catalogue)
    for first in range(0, 120, 20):
        log = data.log.take(slice(0, int(sets.moments.before[first])))
        parts = Parts(Tables.learn(log, data.catalogue, geography))
        rows = sets.places[first : first + 20]
        visits = parts.visits(np.where(rows < 0, parts.places, rows)).numpy()
        column = found[first : first + 20, :, PARTS.index("visits")]
        np.testing.assert_array_equal(column, visits.astype(np.float16))


def test_parts_do_not_depend_on_the_pieces_they_are_made_in(data: Data, sets: ChoiceSets) -> None:
    """And their graph is made once for all folds: each anew would take seconds."""
    whole, past = _parts(data, sets, 1)
    pieces, _ = _parts(data, sets, 7)
    np.testing.assert_allclose(pieces, whole, atol=2e-3)
    assert past._call.experimental_get_tracing_count() == 1
