"""Rows by hash, against a dict."""

import numpy as np

from online_features.row_index import LEAST_NEW, RowIndex


def test_every_hash_has_its_row() -> None:
    """The newest and those in order, one by one and many at once; others have none."""
    rng, index = np.random.default_rng(1), RowIndex()
    hashes = np.unique(rng.integers(1, 2**64, 3 * LEAST_NEW + 100, np.uint64))
    rng.shuffle(hashes)
    known, others = hashes[:-50], hashes[-50:]
    for row, hashed in enumerate(known.tolist()):
        index.put(hashed, row)
    assert index.rows(known).tolist() == list(range(len(known)))
    assert [index.row(h) for h in known.tolist()] == list(range(len(known)))
    assert (index.rows(others.reshape(5, 10)) == -1).all()
    assert [index.row(h) for h in others.tolist()] == [-1] * 50


def test_an_empty_index_knows_nothing() -> None:
    """Neither of one nor of many."""
    assert RowIndex().row(5) == -1
    assert RowIndex().rows(np.array([[5, 6]], np.uint64)).tolist() == [[-1, -1]]
