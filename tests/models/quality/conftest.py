"""A drawn town, its cuts and its requests."""

import pytest

from models.quality.requests import Cuts, Requests
from models.quality.visits import VisitLog
from tests.models.quality.towns import drawn_town


@pytest.fixture(scope="session")
def town() -> VisitLog:
    """40 people, 60 places, 2,400 visits."""
    return drawn_town()


@pytest.fixture(scope="session")
def cuts(town: VisitLog) -> Cuts:
    """80/10/10."""
    return Cuts.of(len(town), (0.8, 0.1, 0.1))


@pytest.fixture(scope="session")
def requests(town: VisitLog, cuts: Cuts) -> Requests:
    """Those of the test tenth."""
    return Requests.of(town, cuts)
