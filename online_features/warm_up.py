"""Compiles, or loads from disk, what a request runs through: no answer has to wait for it."""

import numpy as np

from contracts.events import Location, PlaceDocument
from online_features.catalogue import Catalogue
from online_features.context import situation
from online_features.definitions import PLACE, USER
from online_features.request import ranking_features


def compile_loops() -> None:
    """Look around a place and work out its features, once; seconds where nothing is on disk."""
    catalogue = Catalogue()
    catalogue.upsert(PlaceDocument(place_id="warm-up", location=Location(0.0, 0.0)))
    rows, _ = catalogue.near(0.0, 0.0, 100.0, 1)
    here = situation(0.0, 0.0, 1.0, None, stale_s=1.0)
    ranking_features(USER.empty(1), PLACE.empty(1), rows, here, catalogue)
    catalogue.open_state(rows, np.ones(1))
