"""A whole installation of real parts around the service: models, places, features."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import redis
from confluent_kafka import Producer
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

from contracts.events import PlaceDocument, encode
from contracts.experiment import CANARY
from contracts.ids import id64
from contracts.kafka import producer_config
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.placestream.v1 import recommendation_pb2_grpc as pb_grpc
from contracts.settings import Settings
from online_features.columns import VIEW, VISIT, EventColumns
from online_features.definitions import PLACE, USER
from online_features.feature_set import FeatureSet
from online_features.keys import Keys, ShardKind
from placestream.stack.child import Child
from placestream.stack.environment import environment
from placestream.stack.ports import LOCALHOST
from tests.inference.fakes import LAT, LNG

ROOT = Path(__file__).parents[2]
MODELS = ("candidates", "ranker")
SERVE_MODELS = (
    "from contracts.settings import Settings;"
    "from inference.model_server.server import run; run(Settings(_env_file=None))"
)


def spawn(code: str, settings: Settings, log_file: Path) -> Child:
    """Start Python code of ours as a process that sees these settings."""
    return Child.spawn(
        log_file.stem,
        [sys.executable, "-c", code],
        log_file,
        env=os.environ | environment(settings),
        cwd=ROOT,
    )


class ModelProcess:
    """The embedded model server as a process that tests may kill and start again."""

    def __init__(self, settings: Settings, log_file: Path, code: str = SERVE_MODELS) -> None:
        self.settings = settings
        self._code = code
        self._log_file = log_file
        self._child: Child | None = None
        self._label = 0

    def start(self, version: int = 1) -> None:
        """Serve one version of both models under the label that the service asks for."""
        settings, self._label = self.settings, version
        settings.model_config_file.write_text(text_format.MessageToString(self._config(version)))
        self._child = spawn(
            self._code,
            settings,
            self._log_file,
        )

    def switch(self, version: int) -> None:
        """Load another version beside, and move the label once it is there."""
        with grpc.insecure_channel(self.settings.model_server) as channel:
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            self._reload(stub, self._config(self._label, self._label, version))
            while not all(_is_available(stub, name, version) for name in MODELS):
                time.sleep(0.05)
            self._reload(stub, self._config(version, self._label, version))
        self._label = version

    def send_signal(self, number: int) -> None:
        """Stop it, or let it go on."""
        if self._child is not None:
            self._child.process.send_signal(number)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._child is not None and self._child.alive

    def try_out(self, version: int | None) -> None:
        """Serve another version too, under the label of pairs on trial; None: no longer."""
        beside = {} if version is None else {CANARY: version}
        with grpc.insecure_channel(self.settings.model_server) as channel:
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            if version is not None:
                self._reload(stub, self._config(self._label, version))
                while not all(_is_available(stub, name, version) for name in MODELS):
                    time.sleep(0.05)
            self._reload(stub, self._config(self._label, *beside.values(), **beside))

    def kill(self) -> None:
        """End it as a crash would."""
        if self._child is not None:
            self._child.kill()

    def _reload(self, stub: Any, config: Any) -> None:
        request = model_management_pb2.ReloadConfigRequest(config=config)
        stub.HandleReloadConfigRequest(request, timeout=60)

    def _config(self, label: int, *versions: int, **beside: int) -> Any:
        config = model_server_config_pb2.ModelServerConfig()
        for name in MODELS:
            model = config.model_config_list.config.add(
                name=name,
                base_path=str(self.settings.models_dir / name),
                model_platform="tensorflow",
            )
            model.model_version_policy.specific.versions.extend({*versions, label})
            model.version_labels[self.settings.model_label] = label
            for other, version in beside.items():
                model.version_labels[other] = version
        return config


def _is_available(stub: Any, model: str, version: int) -> bool:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = model
    states = stub.GetModelStatus(request, timeout=60).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    return any(entry.version == version and entry.state == available for entry in states)


def send_places(settings: Settings, *places: PlaceDocument | str) -> None:
    """Write whole places to the compacted topic; a bare id is a tombstone."""
    producer = Producer(producer_config(settings))
    for document in places:
        if isinstance(document, str):
            producer.produce(settings.topics.places.name, None, document)
        else:
            producer.produce(settings.topics.places.name, encode(document), document.place_id)
    assert producer.flush(30) == 0


def store_events(
    client: "redis.Redis", settings: Settings, now_s: float, *happened: tuple[str, str, str, float]
) -> None:
    """Write the states that (user, place, kind, seconds ago) lead to, as the stream would."""
    keys = Keys.of(settings)
    users, places, kinds, ago_s = zip(*happened, strict=True)
    log = EventColumns.of(
        user=[id64(u) for u in users],
        place=[id64(p) for p in places],
        kind=[{"view": VIEW, "visit": VISIT}[k] for k in kinds],
        time_s=[now_s - s for s in ago_s],
    )
    sides: list[tuple[set[str], FeatureSet, ShardKind, NDArray[np.uint64]]] = [
        (set(users), USER, "i", log.user),
        (set(places), PLACE, "b", log.place),
    ]
    for ids, features, kind, column in sides:
        for entity_id in ids:
            its, state = log.take(column == id64(entity_id)), features.empty(1)
            features.fold(state, np.zeros(len(its), np.int64), its)
            client.set(keys.entity(kind, entity_id), features.pack(state)[0])


def store_context(client: "redis.Redis", settings: Settings, region: str, **state: Any) -> None:
    """Write a region's context as the stream would."""
    client.set(Keys.of(settings).entity("c", region), json.dumps(state))


def request(user_id: str = "u", **fields: Any) -> pb.RecommendRequest:
    """A request from where the tests' places are."""
    wanted: dict[str, Any] = {"user_id": user_id, "location": pb.LatLng(lat=LAT, lng=LNG)}
    return pb.RecommendRequest(**(wanted | {"limit": 3} | fields))


class Client:
    """Talks to a service as its callers do; ten seconds for each call, unless told otherwise."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.channel = grpc.aio.insecure_channel(f"{LOCALHOST}:{port}")
        self._stub: Any = pb_grpc.RecommendationServiceStub(self.channel)
        self._health: Any = health_pb2_grpc.HealthStub(self.channel)

    async def recommend(self, timeout_s: float | None = 10, **fields: Any) -> pb.RecommendResponse:
        asked = request(**fields)
        answer: pb.RecommendResponse = await self._stub.Recommend(asked, timeout=timeout_s)
        return answer

    async def ids(self, **fields: Any) -> list[str]:
        return [p.place_id for p in (await self.recommend(**fields)).places]

    async def tell(self, *events: pb.Interaction) -> list[pb.EventPosition]:
        """Give feedback; return where it lies in Kafka."""
        told = pb.FeedbackRequest(events=events)
        said: pb.FeedbackResponse = await self._stub.Feedback(told, timeout=10)
        return [receipt.position for receipt in said.receipts]

    async def features(self, **fields: Any) -> pb.GetFeaturesResponse:
        answer: pb.GetFeaturesResponse = await self._stub.GetFeatures(
            pb.GetFeaturesRequest(**fields), timeout=10
        )
        return answer

    async def health(self, service: str = "") -> str:
        wanted = health_pb2.HealthCheckRequest(service=service)
        status = (await self._health.Check(wanted, timeout=10)).status
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))

    async def level(self, **fields: Any) -> str:
        """Degradation of an answer in a word."""
        level = (await self.recommend(**fields)).degradation
        return pb.Degradation.Name(level).removeprefix("DEGRADATION_")
