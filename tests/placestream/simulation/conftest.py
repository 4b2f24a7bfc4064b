"""A small city that several tests look at; none changes it."""

import pytest

from placestream.simulation import City, Plan

#: 2024-06-10 06:13:20 UTC, a Monday night in Larkhaven.
ENDING_S = 1_718_000_000


@pytest.fixture(scope="package")
def city() -> City:
    """Ten days of 300 people among 400 places."""
    return City(Plan(users=300, places=400, days=10), ending_s=ENDING_S, seed=5)
