"""Tables and parts on a city of three places, counted by hand."""

import numpy as np
import pytest
import tensorflow as tf

from contracts.ids import as_int64, id64
from contracts.signatures import CROWD
from models.parts import LEAST, PARTS, Look, Parts
from models.tables import CO_SHRINK, STEP_SHRINK, STEP_TAU_S, Geography, Tables
from online_features.columns import VISIT
from online_features.history import HISTORY
from tests.models.logs import START_S, catalogue_of, log_of

PLACES = {"a": (40.0, -74.0), "b": (40.001, -74.0), "c": (40.2, -74.0)}
LOG: list[tuple[object, ...]] = [
    ("u", "a", "visit", 0),
    ("u", "b", "visit", 3_600),
    ("v", "a", "visit", 4_000),
    ("w", "c", "visit", 5_000),
    ("v", "b", "view", 6_000),
]


def _tables() -> Tables:
    catalogue = catalogue_of(PLACES)
    return Tables.learn(log_of(LOG), catalogue, Geography.of(catalogue))


def test_visits_and_visitors_are_counted() -> None:
    """Views do not count; rows are the catalogue's."""
    tables = _tables()
    np.testing.assert_allclose(np.expm1(tables.visits), [2, 1, 1], rtol=1e-5)
    np.testing.assert_allclose(np.expm1(tables.visitors), [2, 1, 1], rtol=1e-5)


def test_neighbours_are_shrunk_shares() -> None:
    """One user went from a to b within an hour, and nobody else moved."""
    tables = _tables()
    step = np.exp(-3_600 / STEP_TAU_S)
    assert tables.next.row[0, 0] == 1
    assert tables.next.weight[0, 0] == pytest.approx(step / (step + STEP_SHRINK), rel=1e-5)
    assert (tables.next.row[1:] == -1).all()
    assert tables.shared.row[0, 0] == 1
    assert tables.shared.weight[0, 0] == pytest.approx(1 / (np.sqrt(2) + CO_SHRINK), rel=1e-5)


def test_an_empty_log_gives_neutral_tables() -> None:
    """A city that opens: nothing is busier than usual, nothing has neighbours but by distance."""
    catalogue = catalogue_of(PLACES)
    empty = log_of(LOG).take(slice(0, 0))
    tables = Tables.learn(empty, catalogue, Geography.of(catalogue))
    for values in vars(tables).values():
        if isinstance(values, np.ndarray) and values.dtype == np.float32:
            assert np.isfinite(values).all()
    assert (tables.shared.row == -1).all()
    assert tables.close.row[0, 0] == 1


def _parts(tables: Tables, history: list[str], places: list[str]) -> dict[str, np.ndarray]:
    ids, age_s = np.zeros((1, HISTORY), np.uint64), np.zeros((1, HISTORY), np.float32)
    ids[0, : len(history)] = [id64(place) for place in history]
    age_s[0, : len(history)] = 3_600.0 * (1 + np.arange(len(history)))
    parts = Parts(tables)
    place_ids = tf.constant(as_int64(np.array([[id64(place) for place in places]], np.uint64)))
    values = Look(
        parts,
        tf.constant(as_int64(ids)),
        tf.constant(age_s),
        tf.fill([1, HISTORY], np.int64(VISIT)),
        tf.constant([int(START_S)], tf.int64),
    )(
        place_ids,
        parts.rows(place_ids),
        tf.fill([1, len(places)], np.float32(500.0)),
        tf.zeros([1, len(places), len(CROWD)], tf.uint8),
    )
    assert np.isfinite(values.numpy()).all()
    return dict(zip(PARTS, values.numpy()[0].T, strict=True))


def test_parts_sum_the_neighbours_of_the_history() -> None:
    """From a, which leads to b; c has nothing to do with it."""
    tables = _tables()
    got = _parts(tables, ["a"], ["a", "b", "c"])
    weight = tables.next.weight[0, 0]
    np.testing.assert_allclose(np.exp(got["next"]) - LEAST, [0, weight, 0], atol=1e-6)
    weight = tables.shared.weight[0, 0]
    np.testing.assert_allclose(np.exp(got["shared"]) - LEAST, [0, weight, 0], atol=1e-6)
    # A place that was visited twice is one place of the user's.
    again = _parts(tables, ["a", "a"], ["a", "b", "c"])
    np.testing.assert_allclose(again["shared"], got["shared"], rtol=1e-6)
    assert again["here"][0] > got["here"][0] > got["here"][1]


def test_a_place_of_tomorrow_has_neutral_parts_but_its_own() -> None:
    """It is in no table; that the user was there counts all the same."""
    got = _parts(_tables(), ["new"], ["new", "newer"])
    for name in ("visits", "shared", "next", "close", "hour"):
        assert got[name][0] == got[name][1]
    assert got["here"][0] > got["here"][1]
