"""Places around a simulated city."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks.asking import questions
from benchmarks.surroundings import Surroundings, centre, what
from placestream.simulation.city import City
from placestream.simulation.plan import Plan

VENUES = "venue_id,lat,lng\na,40.7,-74.0\nb,40.8,-73.9\nc,40.9,-73.0\n"


@pytest.fixture(scope="module")
def city() -> City:
    return City(Plan(users=5, places=10, days=1), ending_s=1_700_000_000)


@pytest.mark.parametrize("name", ["venues.csv", "venues.csv.gz"])
def test_places_of_a_file_lie_where_it_says(city: City, tmp_path: Path, name: str) -> None:
    """Under its ids, plain or compressed; the city is laid into their middle."""
    file = tmp_path / name
    file.write_bytes(gzip.compress(VENUES.encode()) if name.endswith("gz") else VENUES.encode())
    assert what(str(file)) == file
    assert centre(file) == (40.8, -73.9)
    around = Surroundings.of(file, city, seed=1)
    assert len(around) == 3
    assert around.lat.tolist() == [40.7, 40.8, 40.9]
    assert [place.place_id for place in around._places] == ["a", "b", "c"]
    assert all(place.category for place in around._places)


def test_so_many_places_near_those_of_the_city(city: City) -> None:
    """Within a kilometre or so, and each with an id of its own."""
    assert what("25") == 25
    assert centre(25) is None
    around = Surroundings.of(25, city, seed=1)
    assert len({place.place_id for place in around._places}) == 25
    assert np.abs(around.lat - city.places.lat[np.arange(25) % 10]).max() < 0.02


def test_people_ask_near_them(city: City, tmp_path: Path) -> None:
    """Not near the places of the city, which are elsewhere here."""
    file = tmp_path / "venues.csv"
    file.write_text(VENUES)
    around = Surroundings.of(file, city, seed=1)
    asked = questions(city, 20, np.random.default_rng(1), around)
    assert all(40.6 < request.location.lat < 41 for request in asked)
    assert {round(request.location.lat, 1) for request in asked} == {40.7, 40.8, 40.9}


def test_another_file_is_refused(city: City, tmp_path: Path) -> None:
    """The column that it lacks is named."""
    file = tmp_path / "venues.csv"
    file.write_text("id,lat,lng\na,1,2\n")
    with pytest.raises(KeyError, match="venue_id"):
        Surroundings.of(file, city, seed=1)
