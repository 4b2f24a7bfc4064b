"""Whether a role is up."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse
from prometheus_client import CollectorRegistry, start_http_server

from contracts.settings import Settings
from placestream.stack.ports import LOCALHOST, free_port
from placestream.stack.readiness import role_is_ready


@pytest.fixture
def health_service() -> Iterator[tuple[int, health.HealthServicer]]:
    """A gRPC server with only the health service, as `serve` has it."""
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"{LOCALHOST}:0")
    server.start()
    yield port, servicer
    server.stop(None).wait()


def test_the_service_is_ready_when_its_health_says_so(
    health_service: tuple[int, health.HealthServicer],
) -> None:
    """Listening is not enough: it may still load its catalogue."""
    port, servicer = health_service
    ready = role_is_ready("serve", Settings(_env_file=None, serve_port=port))
    servicer.set("", HealthCheckResponse.NOT_SERVING)
    assert not ready()
    servicer.set("", HealthCheckResponse.SERVING)
    assert ready()


@pytest.mark.parametrize(
    ("role", "setting"),
    [("stream", "stream_metrics_port"), ("retrain", "retrain_metrics_port")],
)
def test_others_are_ready_when_their_metrics_can_be_read(role: str, setting: str) -> None:
    """Prometheus would see them, too."""
    port = free_port()
    ready = role_is_ready(role, Settings.model_validate({setting: port}))
    assert not ready()
    server, thread = start_http_server(port, LOCALHOST, CollectorRegistry())
    try:
        assert ready()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_model_server_is_ready_when_it_listens(
    health_service: tuple[int, health.HealthServicer],
) -> None:
    """It may have no models yet."""
    port, _ = health_service
    address = f"{LOCALHOST}:{port}"
    assert role_is_ready("model-server", Settings(_env_file=None, model_server=address))()
    nobody = f"{LOCALHOST}:{free_port()}"
    assert not role_is_ready("model-server", Settings(_env_file=None, model_server=nobody))()


def test_an_unknown_role_is_an_error() -> None:
    """Not one that is never ready."""
    with pytest.raises(KeyError):
        role_is_ready("cook", Settings(_env_file=None))
