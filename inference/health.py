"""`grpc.health.v1` of the recommendation service, for balancers, probes and clients.

Not grpcio-health-checking's servicer: its `Watch` writes while it holds the lock that every change
of the status needs, so one watcher that reads nothing would keep a server from becoming ready and
from draining. Protocol: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

import asyncio
from typing import Any, Final

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

Status = health_pb2.HealthCheckResponse
#: Who may watch at a time; whoever comes then is told to ask (`Check`) instead. A watcher costs
#: some kilobytes, and needs no token.
MOST_WATCHERS: Final = 1_000


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # is not typed
    """What is said of each service; of those that are not named, NOT_FOUND or SERVICE_UNKNOWN.

    Args:
        services: all there are; not serving at first.
    """

    def __init__(self, services: tuple[str, ...]) -> None:
        self._status = dict.fromkeys(services, Status.NOT_SERVING)
        self._changed = asyncio.Event()
        self._watchers = 0
        self._ended = self._left = False

    def serving(self) -> None:
        """All services can be given calls, unless they were ended."""
        if not self._ended:
            self._tell(Status.SERVING)

    def ending(self) -> None:
        """Send no more calls; this is not taken back."""
        self._ended = True
        self._tell(Status.NOT_SERVING)

    def leave(self) -> None:
        """Let go of whoever watches: they would hold up the end of the server."""
        self._left = True
        self._wake()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> health_pb2.HealthCheckResponse:
        """How it is now."""
        status = self._status.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r}")
        return Status(status=status)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> None:
        """How it is now, and how it is each time that it has changed."""
        if self._watchers >= MOST_WATCHERS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watch already")
        self._watchers += 1
        told = None
        try:
            while not self._left:
                changed = self._changed
                status = self._status.get(request.service, Status.SERVICE_UNKNOWN)
                if status != told:
                    await context.write(Status(status=status))
                    told = status
                else:
                    await changed.wait()
        finally:
            self._watchers -= 1

    def _tell(self, status: "health_pb2.HealthCheckResponse.ServingStatus") -> None:
        self._status = dict.fromkeys(self._status, status)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
