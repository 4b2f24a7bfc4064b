"""A file of a small town's check-ins, and what it is read into."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.settings import Settings
from contracts.signatures import PARTS
from models.progress import SILENT
from models.quality.requests import Cuts, Requests
from models.scoring import Scorer
from online_features.request import RANKING_COLUMNS
from placestream.evaluation.contestants import fitted
from placestream.evaluation.material import Material
from placestream.simulation.checkins import load_checkins
from tests.models.quality.towns import drawn_town

CATEGORIES = ("Cafe", "Bar", "Gym", "Park")
NEAR = RANKING_COLUMNS.index("distance_log_km")


def write_checkins(path: Path) -> Path:
    """Write the town as a file of check-ins."""
    town = drawn_town()
    lines = ["user_id,venue_id,category,lat,lng,timestamp"]
    for user, place, time_s in zip(town.user, town.place, town.time_s, strict=True):
        moment = datetime.fromtimestamp(int(time_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        where = f"{town.lat[place]:.6f},{town.lng[place]:.6f}"
        lines.append(f"u{user},v{place},{CATEGORIES[place % 4]},{where},{moment}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def checkins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,400 check-ins of 40 people at 60 places."""
    return write_checkins(tmp_path_factory.mktemp("town") / "town_checkins.csv")


@pytest.fixture(scope="session")
def material(checkins: Path) -> Material:
    """The same, read."""
    return Material.of(load_checkins(checkins))


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Of a short training, with a candidate stage that leaves places out."""
    return Settings(_env_file=None, train_epochs=2, candidates=30)


@pytest.fixture(scope="session")
def cuts(material: Material) -> Cuts:
    """80/10/10."""
    return Cuts.of(len(material.visits), (0.8, 0.1, 0.1))


@pytest.fixture(scope="session")
def requests(material: Material, cuts: Cuts) -> Requests:
    """60 of the test tenth."""
    return Requests.of(material.visits, cuts).drawn(60, seed=1)


@pytest.fixture(scope="session")
def scorer(material: Material, cuts: Cuts, settings: Settings) -> Scorer:
    """A pair trained on the town."""
    return fitted(material, cuts, settings, SILENT)


class _Tensor:
    """An output as a tensor gives it."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def numpy(self) -> np.ndarray:
        return self._values


def _nearest_candidates(**inputs: Any) -> dict[str, Any]:
    metres = np.asarray(inputs["distance_m"])
    none = np.zeros((len(metres), 0), np.int32), np.zeros((len(metres), 0, len(PARTS)), "f4")
    return dict(zip(("scores", "best", "parts"), map(_Tensor, (-metres, *none)), strict=True))


def _all_features(**inputs: Any) -> dict[str, Any]:
    """Every column has a say, so that a wrong one shows."""
    features = np.asarray(inputs["features"], np.float64)
    score = (features * np.sin(1.0 + np.arange(features.shape[1]))).sum(axis=1)
    return {"score": _Tensor(score), "probability": _Tensor(score)}


#: Nearest candidates, and a score of all features.
SUM = Scorer(_nearest_candidates, _all_features, {})


def _nearest_first(**inputs: Any) -> dict[str, Any]:
    score = -np.asarray(inputs["features"])[:, NEAR]
    return {"score": _Tensor(score), "probability": _Tensor(score)}


#: Nearest first, in both stages.
NEAREST = replace(SUM, ranker_fn=_nearest_first)
