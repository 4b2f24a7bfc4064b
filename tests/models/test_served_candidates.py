"""Trained candidate models behind a real model server, asked by the pipeline for a dense city."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from contracts.events import Location, PlaceDocument
from contracts.settings import Settings
from inference.answer import Answer
from inference.deadline import Budget
from inference.model_client import ModelClient, ModelUnavailable, Prediction
from inference.model_contract import CheckedModels
from inference.model_server.server import ModelServer
from inference.pipeline import Pipeline
from inference.query import Query
from models.candidates import CandidateModel, ServedTwoTower
from models.export import export
from models.scoring import CANDIDATES, RANKER
from models.table_candidates import TableCandidates
from models.train import TrainedPair, train_pair
from online_features.archive import read_catalogue
from online_features.catalogue import Catalogue
from online_features.crowds import Crowds
from placestream.stack.ports import LOCALHOST
from retrain.model_config import Serving, write
from tests.inference.fakes import NOON_S, FakeStore, events
from tests.inference.waiting import eventually
from tests.models.conftest import Data, exportable

NEAR, RANKED = 50_000, 200


@pytest.fixture(scope="module")
def dense(data: Data) -> Catalogue:
    """The city of the training, with 55,000 places more within two kilometres of its middle."""
    catalogue, rng = read_catalogue(data.archive_dir), np.random.default_rng(3)
    lat, lng = np.nanmedian(catalogue.lat), np.nanmedian(catalogue.lng)
    spots = np.array([lat, lng]) + rng.uniform(-0.01, 0.01, (55_000, 2))
    for i, (north, east) in enumerate(spots.tolist()):
        catalogue.upsert(PlaceDocument(place_id=f"more-{i}", location=Location(north, east)))
    return catalogue


@dataclass
class Noting:
    """Models that are asked over gRPC; what each was asked and said stays."""

    models: CheckedModels
    inputs: dict[str, Mapping[str, NDArray[Any]]] = field(default_factory=dict)
    said: dict[str, Prediction] = field(default_factory=dict)

    async def predict(
        self, model: str, inputs: Mapping[str, NDArray[Any]], *asked: Any, **named: Any
    ) -> Prediction:
        self.inputs[model] = inputs
        self.said[model] = await self.models.predict(model, inputs, *asked, **named)
        return self.said[model]


@dataclass(frozen=True)
class Served:
    """A model in service, and the same in this process."""

    module: CandidateModel
    settings: Settings
    port: int

    async def ask(self, catalogue: Catalogue, store: FakeStore) -> tuple[Answer, Noting]:
        """What somebody in the middle of the city is told."""
        client = ModelClient(f"{LOCALHOST}:{self.port}", self.settings.model_label)
        models = Noting(CheckedModels(client, time.monotonic))
        pipeline = Pipeline(
            self.settings,
            catalogue,
            Crowds(),
            store,
            models,
            clock=lambda: NOON_S,
            monotonic=time.monotonic,
            new_seed=lambda: 1,
        )
        lat, lng = np.nanmedian(catalogue.lat[:200]), np.nanmedian(catalogue.lng[:200])
        query = Query("u", float(lat), float(lng), limit=10, request_id="r")
        try:
            for model in (CANDIDATES, RANKER):
                await eventually(partial(_is_loaded, client, model))
            return await pipeline.recommend(query, Budget.of(30.0, 30.0, time.monotonic)), models
        finally:
            await client.close()

    def scores(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """What the module says, with no server between."""
        told = self.module.serve(**{name: tf.constant(value) for name, value in inputs.items()})
        scores: NDArray[np.float32] = told["scores"].numpy()[0]
        return scores


async def _is_loaded(client: ModelClient, model: str) -> bool:
    try:
        return (await client.status(model)).get(1) == "AVAILABLE"
    except ModelUnavailable:  # it loads, and has no time for us
        return False


@pytest.fixture(scope="module", params=[TableCandidates, ServedTwoTower])
def served(
    request: pytest.FixtureRequest,
    data: Data,
    training: Settings,
    pair: TrainedPair,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """Either model, trained on the city, exported, and loaded by a model server."""
    root: Path = tmp_path_factory.mktemp("served")
    if request.param is ServedTwoTower:
        plain = {"candidate_model": "two-tower", "train_epochs": 1}
        pair = train_pair(data.log, data.catalogue, data.context, training.model_copy(update=plain))
    assert type(pair.candidates) is request.param
    settings = Settings(
        _env_file=None,
        models_dir=root,
        model_config_file=root / "models.config",
        model_server=f"{LOCALHOST}:0",
        model_server_rest_port=0,
        serve_patience_ms=30_000,
        near_places=NEAR,
        candidates=RANKED,
    )
    write(settings, Serving({settings.model_label: export(exportable(pair), pair.card, root)}))
    with ModelServer(settings) as server:
        yield Served(pair.candidates, settings, server.grpc_port)


async def test_the_best_of_fifty_thousand_go_on_to_the_ranker(
    served: Served, dense: Catalogue
) -> None:
    """All within reach are scored, as the model scores them here, and the best 200 stay."""
    liked = dense.place_ids(np.arange(4))
    store = FakeStore(events(*(("u", place, "visit", 3_600.0 * 24) for place in liked)))
    answer, models = await served.ask(dense, store)
    assert answer.level_name == "none"
    assert answer.model_versions == {"candidates": 1, "ranker": 1}
    asked = models.inputs["candidates"]
    scores = models.said["candidates"].outputs["scores"][0]
    assert asked["place_ids"].shape == (1, NEAR)
    np.testing.assert_allclose(scores, served.scores(asked), rtol=1e-4, atol=1e-4)
    kept = np.isin(asked["place_ids"][0], models.inputs["ranker"]["place_id"])
    assert kept.sum() == RANKED
    assert scores[kept].min() >= scores[~kept].max()


async def test_what_was_just_visited_counts(served: Served, dense: Catalogue) -> None:
    """The user's side is that of the features of this moment, not that of the training."""
    here, there = dense.place_ids(np.arange(2))
    known = []
    for visits in ((here,), (there, here)):
        happened = (("u", place, "visit", 7_200.0 * (i + 1)) for i, place in enumerate(visits))
        _, models = await served.ask(dense, FakeStore(events(*happened)))
        at = np.flatnonzero(
            models.inputs["candidates"]["place_ids"][0] == dense.hash[1:2].view(np.int64)
        )
        known.append(models.said["candidates"].outputs["scores"][0][at])
    assert known[1] > known[0]
