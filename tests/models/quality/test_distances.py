"""Distances remembered."""

import numpy as np
import pytest

from models.quality import distances
from models.quality.distances import Distances


def test_rows_are_metres_from_each_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places 100 m apart on a meridian, asked twice over, with room for one row only."""
    monkeypatch.setattr(distances, "_KEPT", 1)
    lat = np.array([0.0, 100.0, 300.0]) / 111_195.08
    known = Distances(lat, np.zeros(3))
    for _ in range(2):
        found = known.rows(np.array([2, 0, 2]))
        assert found == pytest.approx(np.array([[300, 200, 0], [0, 100, 300], [300, 200, 0]]), 1e-4)
