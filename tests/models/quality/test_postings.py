"""Positions by key as of a moment."""

import numpy as np

from models.quality.postings import Postings


def test_only_positions_below_the_horizon_are_found() -> None:
    """Key 2 stands at 0, 3 and 4: two of them lie before 4, none before 0, all before 9."""
    postings = Postings(np.array([2, 0, 1, 2, 2]), 3)
    rows, positions = postings.before(np.array([2, 2, 2]), np.array([4, 0, 9]))
    assert rows.tolist() == [0, 0, 2, 2, 2]
    assert positions.tolist() == [0, 3, 0, 3, 4]


def test_a_key_without_positions_holds_nothing() -> None:
    """Key 1 never occurs."""
    rows, _ = Postings(np.array([0, 2]), 3).before(np.array([1, 1]), np.array([0, 2]))
    assert not len(rows)


def test_it_equals_a_search_by_hand() -> None:
    """On random keys, key by key and horizon by horizon."""
    rng = np.random.default_rng(1)
    keys = rng.integers(0, 7, 200)
    asked, horizons = rng.integers(0, 7, 50), rng.integers(0, 201, 50)
    rows, positions = Postings(keys, 7).before(asked, horizons)
    for i, (key, horizon) in enumerate(zip(asked, horizons, strict=True)):
        expected = np.flatnonzero(keys[:horizon] == key)
        assert positions[rows == i].tolist() == expected.tolist()
