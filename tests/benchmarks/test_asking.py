"""The crowd that the service is asked for."""

import numpy as np
import pytest

from benchmarks.asking import STROLL_M, questions
from online_features.geo import distance_m
from placestream.simulation.city import City
from placestream.simulation.plan import Plan


@pytest.fixture(scope="module")
def city() -> City:
    """A small city, its history not played."""
    return City(Plan(users=20, places=30), ending_s=1.7e9)


def test_a_seed_makes_the_crowd(city: City) -> None:
    """The same seed asks the same, another one something else."""
    crowd, again, other = (questions(city, 10, np.random.default_rng(s)) for s in (1, 1, 2))
    assert crowd == again
    assert crowd != other


def test_users_of_the_city_stand_near_its_places(city: City) -> None:
    """Ids are of its users; nobody is five standard deviations away from all places."""
    ids = {str(city.ids.user(row)) for row in range(20)}
    for request in questions(city, 50, np.random.default_rng(1)):
        at = request.location
        assert request.user_id in ids
        nearest_m = distance_m(at.lat, at.lng, city.places.lat, city.places.lng).min()
        assert nearest_m < 5 * STROLL_M
