"""The map's columns: what is shown of a catalogue, and when it is made anew."""

import json

from contracts.events import PlaceDocument
from online_features.catalogue import Catalogue
from placestream.console.places import CityMap
from tests.inference.fakes import place


def catalogue() -> Catalogue:
    """An open place, one with no position, and one that has closed."""
    places = Catalogue()
    places.upsert(place("open", 100, name="Café Zoë", category="cafe"))
    places.upsert(PlaceDocument(place_id="nowhere"))
    places.upsert(place("closed", 200))
    places.close("closed")
    return places


def test_only_what_is_somewhere_and_open_is_drawn() -> None:
    """All columns are of the same places, in one order."""
    told = json.loads(CityMap(catalogue()).body())
    assert told["ids"] == ["open"]
    assert told["names"] == ["Café Zoë"]
    assert told["categories"][told["category"][0]] == "cafe"
    assert len(told["lat"]) == len(told["lng"]) == 1


def test_a_change_is_another_map() -> None:
    """A place that comes or closes; without a change the same bytes are given again."""
    places = catalogue()
    city = CityMap(places)
    first, tag = city.body(), city.tag
    assert city.body() is first
    places.upsert(place("new", 300))
    assert city.tag != tag
    assert json.loads(city.body())["ids"] == ["open", "new"]
    tag = city.tag
    places.close("open")
    assert city.tag != tag
    assert json.loads(city.body())["ids"] == ["new"]
