"""A guarded gRPC server of methods that answer `ok`, its clients, and a clock that a test moves."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from inference.access.clients import ClientEntry, ClientList, NewToken, TokenEntry
from inference.access.guard import interceptors
from inference.access.tls import add_port
from inference.metrics import Metrics
from inference.service import SERVICE, tolerant
from placestream.stack.ports import LOCALHOST

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
RECOMMEND, FEATURES = f"/{SERVICE}/Recommend", f"/{SERVICE}/GetFeatures"
BATCH, FEEDBACK = f"/{SERVICE}/BatchRecommend", f"/{SERVICE}/Feedback"
BACKEND, OPS, OLD = NewToken.made(), NewToken.made(), NewToken.made()
CLIENTS = ClientList(
    [
        ClientEntry("backend", ["recommend"], [TokenEntry(BACKEND.sha256)], ["backend.example"]),
        ClientEntry("ops", ["debug"], [TokenEntry(OPS.sha256)]),
        ClientEntry(
            "old", ["recommend"], [TokenEntry(OLD.sha256, expires=NOW + timedelta(seconds=60))]
        ),
    ]
)


class Clock:
    """A clock that a test moves; the one for both Unix time and what only grows."""

    now_s = NOW.timestamp()

    def __call__(self) -> float:
        return self.now_s


class Guarded:
    """A server behind the guard, whose methods answer `ok`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path, self.clock, self.metrics = path, clock, Metrics()
        self.port = 0
        self.calls = 0
        self._server: Any = None

    async def start(self, **settings: Any) -> None:
        used = Settings(_env_file=None, serve_clients_file=self.path, serve_port=0, **settings)
        guards = interceptors(used, self.metrics, clock=self.clock, monotonic=self.clock)
        self._server = grpc.aio.server(interceptors=guards)

        async def answer(_request: Any, _context: object) -> bytes:
            self.calls += 1
            return b"ok"

        handler: Any = answer
        handlers: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(handler)
            for name in ("Recommend", "GetFeatures")
        }
        parsed: dict[str, Any] = {
            "BatchRecommend": pb.BatchRecommendRequest,
            "Feedback": pb.FeedbackRequest,
        }
        handlers |= {
            name: grpc.unary_unary_rpc_method_handler(handler, request_deserializer=tolerant(kind))
            for name, kind in parsed.items()
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, handlers),)
        )
        health = health_aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health, self._server)
        await health.set("", health_pb2.HealthCheckResponse.SERVING)
        reflection.enable_server_reflection((SERVICE,), self._server)
        self.port = add_port(self._server, used)
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)

    def channel(self, credentials: grpc.ChannelCredentials | None = None) -> grpc.aio.Channel:
        address = f"{LOCALHOST}:{self.port}"
        if credentials is None:
            return grpc.aio.insecure_channel(address)
        return grpc.aio.secure_channel(address, credentials)

    def blocking_channel(self, credentials: grpc.ChannelCredentials | None = None) -> grpc.Channel:
        address = f"{LOCALHOST}:{self.port}"
        if credentials is None:
            return grpc.insecure_channel(address)
        return grpc.secure_channel(address, credentials)

    async def call(
        self,
        method: str,
        *metadata: tuple[str, str | bytes],
        credentials: Any = None,
        request: bytes = b"",
    ) -> grpc.aio.AioRpcError | None:
        """Call a method; returns the error, if that is the answer."""
        async with self.channel(credentials) as channel:
            call: Any = channel.unary_unary(method)
            try:
                assert await call(request, metadata=metadata, timeout=10) == b"ok"
            except grpc.aio.AioRpcError as error:
                return error
        return None

    def counted(self, client: str, outcome: str) -> float | None:
        labels = {"client": client, "outcome": outcome}
        return self.metrics.registry.get_sample_value("placestream_access_total", labels)


Serve = Callable[..., Awaitable[Guarded]]


def bearer(token: NewToken) -> tuple[str, str]:
    """What a client sends."""
    return ("authorization", f"Bearer {token.token}")


def told(error: grpc.aio.AioRpcError | None) -> tuple[str, str]:
    """Status code and reason of a refusal."""
    assert error is not None
    info = error_details_pb2.ErrorInfo()
    rpc_status.from_call(error).details[0].Unpack(info)
    assert info.domain == "placestream"
    return error.code().name, info.reason


def batch(size: int) -> bytes:
    """So many requests in one."""
    return pb.BatchRecommendRequest(requests=[pb.RecommendRequest()] * size).SerializeToString()
