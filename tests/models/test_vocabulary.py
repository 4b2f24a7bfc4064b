"""Ids become rows; what is not known becomes row 0."""

import numpy as np
import tensorflow as tf

from contracts.ids import as_int64, id64
from models.vocabulary import UNKNOWN_ROW, Vocabulary

IDS = np.array([id64(name) for name in ("a", "b", "b", "c", "c", "c")] + [0], np.uint64)


def test_rare_ids_and_none_have_no_row() -> None:
    """With two occurrences asked for, "a" shares the unknown row, and 0 is never an id."""
    vocabulary = Vocabulary.of(IDS, least=2)
    rows = vocabulary.rows_of(IDS)
    assert vocabulary.rows == 3
    assert rows[0] == rows[-1] == UNKNOWN_ROW
    assert sorted({rows[1], rows[3]}) == [1, 2]


def test_the_graph_finds_the_same_rows() -> None:
    """Half of all hashes are negative as int64: the lookup must not care."""
    hashes = np.array([id64(str(i)) for i in range(200)], np.uint64)
    vocabulary = Vocabulary.of(hashes[:150])
    assert (as_int64(hashes) < 0).any()
    found = vocabulary.table().lookup(tf.constant(as_int64(hashes))).numpy()
    np.testing.assert_array_equal(found, vocabulary.rows_of(hashes))
    assert (found[150:] == UNKNOWN_ROW).all()


def test_an_empty_vocabulary_knows_nothing() -> None:
    """As on a first day without ids."""
    vocabulary = Vocabulary.of(np.zeros(3, np.uint64))
    assert vocabulary.rows == 1
    assert vocabulary.rows_of(IDS.reshape(7, 1)).tolist() == [[UNKNOWN_ROW]] * 7
    looked_up = vocabulary.table().lookup(tf.constant(as_int64(IDS)))
    assert looked_up.numpy().tolist() == [UNKNOWN_ROW] * 7
