"""A version in service, and answers of it that have drifted or not."""

import json
import time
from datetime import UTC, datetime

import numpy as np
from prometheus_client import REGISTRY

from contracts.events import Impression, Location, ServedPlace
from contracts.settings import Settings
from models.reference import reference_of
from models.reference_file import write_reference
from models.scoring import CARD
from models.served_answers import Answers
from retrain import model_config
from retrain.model_config import Serving

COLUMNS = ("distance_log_km", "rating", "temperature")
#: Answers of a test span so many seconds.
SPAN_S = 24.0
#: So many are judged at least, and held at most.
LEAST, MOST = 200, 600
START_S = 1_700_000_000.0


def put_in_service(settings: Settings, version: int, mean: float = 0.0) -> None:
    """A version without a graph, and the configuration that names it."""
    export(settings, version, mean)
    model_config.write(settings, Serving({settings.model_label: version}))


def export(settings: Settings, version: int, mean: float = 0.0) -> None:
    """A version without a graph: its card and its reference, as if trained now."""
    rng = np.random.default_rng(version)
    rows = rng.normal(mean, 1, (4_000, len(COLUMNS) + 1)).astype(np.float32)
    every = np.arange(4_001)
    times_s = START_S - 604_800 * rng.random(4_000)
    answers = Answers(rows, every, times_s, every[1:].astype(np.uint64))
    card = {
        "columns": COLUMNS,
        "metrics": {"auc": 0.8},
        "data": {"choices": {"test": 4_000}},
        "trained_at_s": time.time(),
    }
    path = settings.models_dir / "ranker" / str(version) / CARD
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(card))
    reference = reference_of((*COLUMNS, "probability"), answers, rng)
    write_reference(reference, settings.models_dir / "ranker" / str(version))


def impressions(
    version: int, count: int, shift: dict[str, float] | None = None, places: int = 3
) -> list[Impression]:
    """Answers of as many users; columns are shifted by name."""
    rng = np.random.default_rng(99)
    rows = rng.normal(size=(count, places, len(COLUMNS) + 1))
    for name, by in (shift or {}).items():
        rows[:, :, COLUMNS.index(name)] += by
    return [
        Impression(
            request_id=f"r{i}",
            user_id=f"u{i}",
            timestamp=datetime.fromtimestamp(START_S + SPAN_S * i / count, UTC),
            location=Location(0, 0),
            variant="stable",
            degradation="DEGRADATION_NONE",
            models={"candidates": version, "ranker": version},
            feature_set="1",
            places=[
                ServedPlace("p", k, 1.0, float(row[-1]), features=row[:-1].tolist())
                for k, row in enumerate(rows[i])
            ],
        )
        for i in range(count)
    ]


def gauge(name: str, **labels: str) -> float | None:
    """A figure of this process, as Prometheus would read it."""
    return REGISTRY.get_sample_value(name, labels)
