"""Places as vectors: what their products are, and whom they bring together."""

import numpy as np
import pytest

from models.place_vectors import WIDTH, place_vectors
from tests.models.logs import catalogue_of, log_of

SPOT = (40.0, -74.0)


def _cosines(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


def test_products_are_the_cosines_of_visitors_where_all_directions_are_kept() -> None:
    """a by u and v, b by u, twice, c by w; what was only viewed has no vector."""
    catalogue = catalogue_of(dict.fromkeys("abcd", SPOT))
    happened = [("u", "a"), ("v", "a"), ("u", "b"), ("u", "b"), ("w", "c")]
    rows = [(*who, "visit", i) for i, who in enumerate(happened)]
    vectors = place_vectors(log_of([*rows, ("v", "d", "view", 9)]), catalogue, 1)
    assert vectors.shape == (4, WIDTH)
    assert vectors.dtype == np.float32
    half = 1 / np.sqrt(2)  # one visitor in common, of two and of one
    expected = [[1, half, 0, 0], [half, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=1e-6)


@pytest.mark.parametrize("places", [{}, dict.fromkeys("ab", SPOT)])
def test_nothing_is_told_where_nobody_has_been(places: dict[str, tuple[float, float]]) -> None:
    """A city that opens, and none."""
    log = log_of([("u", "elsewhere", "visit", 0)])
    vectors = place_vectors(log, catalogue_of(places), 1)
    np.testing.assert_array_equal(vectors, np.zeros((len(places), WIDTH)))


def test_places_that_share_a_taste_are_alike_without_a_visitor_in_common() -> None:
    """Thirty kinds of ten people, each of whom visits three of their kind's eight places."""
    rng = np.random.default_rng(0)
    catalogue = catalogue_of({f"p{i}": SPOT for i in range(240)})
    been = np.zeros((300, 240), bool)
    for user in range(300):
        been[user, (user % 30) * 8 + rng.choice(8, 3, replace=False)] = True
    who, where = (at.tolist() for at in np.nonzero(been))
    rows = [(f"u{u}", f"p{p}", "visit", i) for i, (u, p) in enumerate(zip(who, where, strict=True))]
    seen = np.flatnonzero(been.any(axis=0))
    cosines = _cosines(place_vectors(log_of(rows), catalogue, 1)[seen])
    together = been[:, seen].T.astype(int) @ been[:, seen].astype(int)
    apart, one_kind = together == 0, seen[:, None] // 8 == seen // 8
    assert (apart & one_kind).sum() > 300
    assert np.median(cosines[apart & one_kind]) > 0.8
    assert np.median(abs(cosines[~one_kind])) < 0.05  # nobody goes to both
    # From other first directions: the thirty are found again, and two more that mean little.
    again = _cosines(place_vectors(log_of(rows), catalogue, 2)[seen])
    assert np.corrcoef(cosines.ravel(), again.ravel())[0, 1] > 0.9
