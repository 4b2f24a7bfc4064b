"""Matrix factorisation: the least squares, and its fold-in from a history."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from contracts.ids import as_int64, id64
from contracts.signatures import CROWD
from models import mf
from models.mf import Factorisation, ServedFactorisation, factorise, solve_side
from models.progress import SILENT
from online_features.columns import VISIT
from online_features.history import HISTORY

HOW = Factorisation(factors=2, alpha=3.0, l2=0.5, sweeps=10)
HASHES = np.array([id64(f"p{i}") for i in range(10)], np.uint64)


def _counts(rng: np.random.Generator) -> np.ndarray:
    """Visits of 30 users of two kinds to 10 places, half of them each kind's own."""
    own = np.zeros((30, 10))
    for user, row in enumerate(own):
        row[(user % 2) * 5 + rng.choice(5, 3, replace=False)] = rng.integers(1, 4, 3)
    return own


def test_a_side_is_the_weighted_ridge_regression_of_each_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Against the normal equations written out in full, also when cut into pieces."""
    rng = np.random.default_rng(0)
    counts, fixed = _counts(rng), rng.normal(size=(10, 2))
    counts[7] = 0
    expected = []
    for row in counts:
        confidence = np.diag(1 + HOW.alpha * row)
        system = fixed.T @ confidence @ fixed + HOW.l2 * np.eye(2)
        expected.append(np.linalg.solve(system, fixed.T @ confidence @ (row > 0)))
    for at_once in (10_000, 7):
        monkeypatch.setattr(mf, "_PAIRS_AT_ONCE", at_once)
        found = solve_side(sparse.csr_matrix(counts), fixed, HOW)
        np.testing.assert_allclose(found, expected, atol=1e-10)


def _trained() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    counts = _counts(rng)
    user, place = np.nonzero(counts)
    repeats = counts[user, place].astype(int)
    user, place = np.repeat(user, repeats), np.repeat(place, repeats)
    with SILENT.stage("test", None) as stage:
        return counts, factorise(user, place, 10, HOW, rng, stage)


def _served(factors: np.ndarray, history: list[int], metres: float = 100.0) -> np.ndarray:
    ids = np.zeros((1, HISTORY), np.uint64)
    ids[0, : len(history)] = HASHES[history]
    scores = ServedFactorisation(HASHES, factors, HOW).serve(
        tf.constant(as_int64(ids)),
        tf.zeros([1, HISTORY]),
        tf.fill([1, HISTORY], np.int64(VISIT)),
        tf.constant(as_int64(HASHES)[None]),
        tf.fill([1, 10], np.float32(metres)),
        tf.zeros([1], tf.int64),
        tf.zeros([1, 10, len(CROWD)], tf.uint8),
    )["scores"]
    return np.asarray(scores.numpy()[0])


def test_a_history_is_folded_in_as_a_user_would_have_been_trained() -> None:
    """Scores from the graph equal those of the last half sweep, repeats included."""
    counts, factors = _trained()
    users = solve_side(sparse.csr_matrix(counts), factors.astype(np.float64), HOW)
    for user in (0, 1, 2):
        history = np.repeat(np.arange(10), counts[user].astype(int)).tolist()
        expected = factors @ users[user]
        np.testing.assert_allclose(_served(factors, history), expected, atol=2e-4)


def test_vectors_are_the_factors() -> None:
    """In whichever order places are named; an unknown place has none."""
    _, factors = _trained()
    asked = tf.constant(as_int64(np.r_[HASHES[[4, 2]], np.uint64(99)]))
    vectors = ServedFactorisation(HASHES, factors, HOW).vectors(asked)["vectors"].numpy()
    np.testing.assert_array_equal(vectors, [factors[4], factors[2], [0, 0]])


def test_a_taste_carries_over_to_places_not_visited() -> None:
    """One visit to a place of the first half raises the others of that half."""
    _, factors = _trained()
    scores = _served(factors, [0])
    assert scores[1:5].min() > scores[5:].max()


def test_nobodys_scores_differ_by_distance_alone() -> None:
    """Without a history all is equal, and the nearer place wins the tie."""
    _, factors = _trained()
    near, far = _served(factors, [], 10.0), _served(factors, [], 10_000.0)
    assert np.ptp(near) == 0
    assert (near > far).all()
