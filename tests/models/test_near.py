"""Neighbours against all distances, sorted."""

import numpy as np
import pytest

from models.near import Neighbours
from online_features.geo import distance_m
from tests.models.logs import catalogue_of


def _random_places(rng: np.random.Generator, n: int) -> dict[str, tuple[float, float]]:
    return {f"p{i}": (40 + rng.normal(0, 0.1), -74 + rng.normal(0, 0.1)) for i in range(n)}


def test_neighbours_are_the_nearest_of_all() -> None:
    """Points on whole cells, so that the cell's centre is the point; over 300 places."""
    rng = np.random.default_rng(4)
    catalogue = catalogue_of(_random_places(rng, 300))
    lat = 40 + rng.integers(-90, 90, 50) / 1_000
    lng = -74 + rng.integers(-90, 90, 50) / 1_000
    found = Neighbours.of(catalogue, lat, lng, 7)
    metres = distance_m(lat[:, None], lng[:, None], catalogue.lat, catalogue.lng)
    np.testing.assert_array_equal(found.rows[found.cell], np.argsort(metres, axis=1)[:, :7])
    seventh = np.sort(metres, axis=1)[:, 6]
    np.testing.assert_allclose(found.reach_m[found.cell], seventh, rtol=1e-4)


def test_closed_places_are_nobodys_neighbours_and_few_places_are_enough() -> None:
    """Of three places one is closed: two neighbours, although ten were asked for."""
    catalogue = catalogue_of({"a": (40, -74), "b": (40.1, -74), "c": (40.2, -74)})
    catalogue.close("a")
    found = Neighbours.of(catalogue, np.array([40.0]), np.array([-74.0]), 10)
    assert found.rows.tolist() == [[1, 2]]


def test_draws_are_neighbours_of_their_own_point() -> None:
    """Every neighbour is drawn, and no other place."""
    catalogue = catalogue_of(_random_places(np.random.default_rng(4), 100))
    found = Neighbours.of(catalogue, np.array([40.0, 40.1]), np.array([-74.0, -74.1]), 5)
    drawn = found.draw(np.array([1]), 200, np.random.default_rng(0))
    assert drawn.shape == (1, 200)
    assert set(drawn[0].tolist()) == set(found.rows[found.cell[1]].tolist())


def test_a_catalogue_without_places_is_refused() -> None:
    """There is nothing to be near to."""
    with pytest.raises(ValueError, match="no open place"):
        Neighbours.of(catalogue_of({}), np.array([40.0]), np.array([-74.0]), 5)
