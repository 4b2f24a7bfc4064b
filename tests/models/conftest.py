"""A small simulated city, and a pair of models trained on it once a session."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.settings import Settings
from models.export import Exportable, export, exportables
from models.train import TrainedPair, train_pair
from online_features.archive import read_catalogue, read_context
from online_features.catalogue import Catalogue
from online_features.context import ContextLog
from online_features.training_log import TrainingLog
from placestream.simulation import City, Plan
from placestream.simulation.to_archive import write_archive

ENDING_S = 1_750_000_000.0


@dataclass(frozen=True)
class Data:
    """An archive as training reads it."""

    archive_dir: Path
    log: TrainingLog
    catalogue: Catalogue
    context: ContextLog


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Two weeks of 150 people in a city of 200 places."""
    archive_dir = tmp_path_factory.mktemp("city")
    write_archive(City(Plan(users=150, places=200, days=14), ending_s=ENDING_S), archive_dir)
    return Data(
        archive_dir,
        TrainingLog.read(archive_dir),
        read_catalogue(archive_dir),
        read_context(archive_dir),
    )


@pytest.fixture(scope="session")
def training(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a short training."""
    models_dir = tmp_path_factory.mktemp("models")
    return Settings(
        _env_file=None,
        archive_dir=data.archive_dir,
        models_dir=models_dir,
        train_epochs=4,
        candidates=50,
    )


@pytest.fixture(scope="session")
def pair(data: Data, training: Settings) -> TrainedPair:
    """A pair trained on the city."""
    return train_pair(data.log, data.catalogue, data.context, training)


def exportable(pair: TrainedPair) -> tuple[Exportable, Exportable]:
    """Both models of a pair, ready to be written."""
    calls = (pair.candidate_calls, pair.ranker_calls)
    return exportables(pair.candidates, pair.ranker, *calls, pair.holdout.catalogue)


@pytest.fixture(scope="session")
def exported(pair: TrainedPair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with version 1 of the pair; not to be written to."""
    models_dir = tmp_path_factory.mktemp("exported")
    assert export(exportable(pair), pair.card, models_dir) == 1
    return models_dir
