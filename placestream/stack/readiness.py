"""Whether a role is up, asked as an orchestrator would ask it."""

import urllib.error
import urllib.request
from collections.abc import Callable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from contracts.settings import Settings
from placestream.stack.ports import LOCALHOST, answers

PROBE_TIMEOUT_S = 2.0


def http_answers(port: int, path: str = "/metrics") -> bool:
    """Whether `GET http://127.0.0.1:port/path` gives 200."""
    url = f"http://{LOCALHOST}:{port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def grpc_serves(address: str) -> bool:
    """Whether the gRPC health check at `host:port` says SERVING."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=PROBE_TIMEOUT_S
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def role_is_ready(role: str, settings: Settings) -> Callable[[], bool]:
    """Return the check for a role.

    `serve` is ready when its health check says so, `model-server` when it listens (it may have
    no models yet), the others when their metrics can be read.

    Raises:
        KeyError: no such role.
    """
    checks: dict[str, Callable[[], bool]] = {
        "stream": lambda: http_answers(settings.stream_metrics_port),
        "serve": lambda: grpc_serves(f"{LOCALHOST}:{settings.serve_port}"),
        "model-server": lambda: answers(int(settings.model_server.rpartition(":")[2])),
        "retrain": lambda: http_answers(settings.retrain_metrics_port),
        "console": lambda: http_answers(settings.console_port, "/healthz"),
    }
    return checks[role]
