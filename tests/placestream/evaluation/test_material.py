"""One file in three shapes that agree."""

import numpy as np

from contracts.ids import id64
from online_features.columns import VISIT
from placestream.evaluation.material import Material, catalogue_of
from tests.models.quality.towns import drawn_town


def test_visits_events_and_catalogue_speak_of_the_same(material: Material) -> None:
    """Check-in by check-in: user, place, moment, position."""
    visits, events, catalogue = material.visits, material.events, material.catalogue
    assert len(visits) == len(events) == len(drawn_town())
    assert np.array_equal(events.user, material.users[visits.user])
    assert np.array_equal(catalogue.rows_of(events.place), visits.place)
    assert np.array_equal(events.time_s, visits.time_s)
    assert np.array_equal(catalogue.lat[visits.place], events.lat)
    assert set(events.kind.tolist()) == {VISIT}


def test_places_are_as_the_file_says(material: Material) -> None:
    """Id, category and a time zone from the longitude."""
    catalogue, row = material.catalogue, material.catalogue.row_of("v7")
    assert catalogue.hash[row] == id64("v7")
    assert catalogue.categories[catalogue.category[row]] == "Park"
    assert catalogue.local_time(row, 1_300_000_000.0).utcoffset() is not None


def test_other_visits_make_other_events(material: Material) -> None:
    """As many as before, at the places that are said."""
    visits = material.visits.take(np.arange(len(material.visits))[::-1])
    changed = material.with_visits(visits)
    assert np.array_equal(changed.catalogue.rows_of(changed.events.place), visits.place)


def test_a_second_update_of_a_place_adds_to_the_first() -> None:
    """As the stream merges them."""
    stamp = "2024-01-15T10:30:00Z"
    catalogue = catalogue_of(
        [
            {"place_id": 1, "updates": {"name": "A", "category": "Bar"}, "timestamp": stamp},
            {"place_id": 1, "updates": {"name": "B"}, "timestamp": stamp},
        ]
    )
    assert (list(catalogue.names), len(catalogue)) == (["B"], 1)
    assert catalogue.categories[catalogue.category[0]] == "Bar"
