"""A service of the real RPCs and stages on a port, with parts that a test can spoil."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.placestream.v1 import recommendation_pb2_grpc as pb_grpc
from contracts.settings import Settings
from inference.answer import Answer
from inference.feedback import Told as Event
from inference.lookup import FeatureLookup
from inference.metrics import Metrics
from inference.pipeline import Pipeline
from inference.query import Query
from inference.service import RecommendationService, add_to_server
from online_features.crowds import Crowds
from tests.inference.fakes import (
    LAT,
    LNG,
    NOON_S,
    FakeModels,
    FakeStore,
    catalogue_of,
    events,
    place,
)

SETTINGS = Settings(
    _env_file=None, serve_deadline_ms=2_000, serve_patience_ms=10_000, redis_timeout_ms=1_000
)


@dataclass
class Noted:
    """Impressions kept in a list."""

    answers: list[tuple[Query, Answer]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)

    def record(self, query: Query, answer: Answer) -> None:
        self.answers.append((query, answer))

    def failed(self, query: Query, variant: str, at_s: float) -> None:
        assert at_s == NOON_S
        self.failures.append((query.user_id, variant))


@dataclass
class Told:
    """Feedback kept in a list; each event lies behind the one before, in partition 1.

    Attributes:
        error: what stands in the way.
    """

    events: list[Event] = field(default_factory=list)
    error: Exception | None = None

    async def send(self, events: Sequence[Event], timeout_s: float) -> list[pb.EventPosition]:
        if self.error is not None:
            raise self.error
        first = len(self.events)
        self.events += events
        return [
            pb.EventPosition(topic="t", partition=1, offset=first + i) for i in range(len(events))
        ]


@dataclass
class Running:
    """A service on a port, and what it leans on."""

    store: FakeStore
    models: FakeModels
    noted: Noted
    told: Told
    metrics: Metrics
    service: RecommendationService
    channel: grpc.aio.Channel
    port: int

    @property
    def stub(self) -> "pb_grpc.RecommendationServiceAsyncStub":
        return pb_grpc.RecommendationServiceStub(self.channel)

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"placestream_{name}", labels)

    async def counted(self, method: str, code: str) -> float | None:
        await asyncio.sleep(0)  # notes are taken after the answer has left
        return self.sample("requests_total", method=method, code=code)


@asynccontextmanager
async def running_service() -> AsyncIterator[Running]:
    """Two places, a known user, and parts that answer."""
    store, models, noted, metrics = FakeStore(), FakeModels(), Noted(), Metrics()
    told = Told()
    store.happened = events(("u", "p0", "visit", 86_400.0), ("u", "p0", "view", 30.0))
    catalogue = catalogue_of(place("p0", 100, name="Café Zoë"), place("p1", 200))
    loop = asyncio.get_running_loop()
    clocks: dict[str, Any] = {"clock": lambda: NOON_S, "monotonic": loop.time}
    service = RecommendationService(
        SETTINGS,
        Pipeline(SETTINGS, catalogue, Crowds(), store, models, **clocks, new_seed=lambda: 1),
        FeatureLookup(SETTINGS, store, **clocks),
        noted,
        told,
        metrics,
        **clocks,
        new_id=lambda: "made",
    )
    service.catalogue_loaded = True
    server = grpc.aio.server()
    add_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Running(store, models, noted, told, metrics, service, channel, port)
    await server.stop(None)


def request(**fields: Any) -> pb.RecommendRequest:
    wanted: dict[str, Any] = {"user_id": "u", "location": pb.LatLng(lat=LAT, lng=LNG), "limit": 2}
    return pb.RecommendRequest(**(wanted | fields))


def details(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """The google.rpc details of an error, by type."""
    status = rpc_status.from_call(error)
    found = {}
    for packed in status.details:
        kind = packed.TypeName().rpartition(".")[2]
        found[kind] = getattr(error_details_pb2, kind)()
        packed.Unpack(found[kind])
    return found
