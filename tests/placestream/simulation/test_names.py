"""Names are distinct, however many there are."""

import numpy as np

from placestream.simulation.categories import CATEGORIES
from placestream.simulation.names import neighbourhood_names, place_names


def test_place_names_are_distinct_and_filled() -> None:
    """Far more places than combinations of words still get names of their own."""
    patterns = [c.patterns for c in CATEGORIES] * 200
    names = place_names(patterns, np.random.default_rng(1))
    assert len(set(names)) == len(patterns)
    assert not any("{" in name for name in names)


def test_neighbourhood_names_are_distinct() -> None:
    """More neighbourhoods than words too."""
    assert len(set(neighbourhood_names(350))) == 350
