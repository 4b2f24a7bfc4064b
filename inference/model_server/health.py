"""`grpc.health.v1`: whether this server can be given calls, for clients of several servers.

The real server has it with `--enable_grpc_healthcheck_service`, for these services, and opens its
port when the first models are there (server.cc). Ours opens it at once, and so says NOT_SERVING
until then.
"""

from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICES: Final = ("", "PredictionService", "ModelService")


class Health:
    """The health of one server: not serving, serving, and at last not serving for good."""

    def __init__(self) -> None:
        # Watchers must not hold the threads that calls are worked on with.
        self._servicer: Any = health.HealthServicer(experimental_non_blocking=True)
        self._tell(health_pb2.HealthCheckResponse.NOT_SERVING)

    def add_to(self, server: grpc.Server) -> None:
        """Answer for this server."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def serving(self) -> None:
        """The models of the first configuration are there."""
        self._tell(health_pb2.HealthCheckResponse.SERVING)

    def ending(self) -> None:
        """Send me no more calls; what is said later no longer counts."""
        self._servicer.enter_graceful_shutdown()

    def _tell(self, status: "health_pb2.HealthCheckResponse.ServingStatus") -> None:
        for service in SERVICES:
            self._servicer.set(service, status)
