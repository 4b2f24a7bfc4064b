"""A simulated archive, its profile, and the suite that holds later data to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from online_features.archive import read_catalogue
from online_features.catalogue import Catalogue
from online_features.training_log import TrainingLog
from placestream.simulation import City, Plan
from placestream.simulation.to_archive import write_archive
from retrain.training_data.profile import Profile, profile_of
from retrain.training_data.suite import Check, checks
from retrain.training_data.tables import tables_of
from retrain.training_data.validate import validate

ENDING_S = 1_750_000_000.0
MOST = 100_000


@dataclass(frozen=True)
class Read:
    """An archive as a training reads it, and how it looks."""

    events: TrainingLog
    catalogue: Catalogue

    @property
    def profile(self) -> Profile:
        return profile_of(tables_of(self.events, self.catalogue, MOST))


def read_city(folder: Path, days: int = 10, seed: int = 1) -> Read:
    """Some busy days of 60 people in a city of 250 places, up to `ENDING_S`."""
    plan = Plan(users=60, places=250, days=days, sessions_per_day=4)
    write_archive(City(plan, ending_s=ENDING_S, seed=seed), folder)
    return Read(TrainingLog.read(folder), read_catalogue(folder))


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """What the last good training saw."""
    return read_city(tmp_path_factory.mktemp("checked-city"))


@pytest.fixture(scope="session")
def suite(city: Read) -> tuple[Check, ...]:
    """The whole suite, an hour after the city's last event."""
    return checks(city.profile, now_s=ENDING_S + 3_600, max_age_s=86_400, mean_shift=1.0)


@pytest.fixture
def failed(city: Read) -> Callable[[TrainingLog, Sequence[Check]], list[str]]:
    """Names of the checks that a log does not meet."""

    def run(events: TrainingLog, asked: Sequence[Check]) -> list[str]:
        validation = validate(tables_of(events, city.catalogue, MOST), asked)
        return [failure.check.name for failure in validation.failures]

    return run
