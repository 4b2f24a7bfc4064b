"""The small programs inside the containers: health checks and the model server's first file."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc
import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    json_format,
    message_factory,
    text_format,
)
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry, start_http_server
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from contracts.settings import Settings
from placestream.stack.ports import free_port
from retrain import model_config
from tests.certificates import Authority
from tests.docker.project import ROOT, interpolated, services

HEALTHCHECK = ROOT / "docker" / "healthcheck.py"
INIT_MODELS = ROOT / "docker" / "tf-serving" / "init-models.sh"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def probe(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the health check as a container does."""
    command = [sys.executable, str(HEALTHCHECK), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def metrics_url() -> Iterator[str]:
    """A role's metrics."""
    server, thread = start_http_server(0, addr="127.0.0.1", registry=CollectorRegistry())
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """A server that answers everything with status 500."""

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on standard error."""

    server = HTTPServer(("127.0.0.1", 0), Refuse)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def health_service() -> Iterator[tuple[str, health.HealthServicer]]:
    """Address and servicer of a real gRPC health service."""
    servicer = health.HealthServicer()
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", servicer
    server.stop(None).wait()


def test_http_probe_of_a_role_that_answers(metrics_url: str) -> None:
    """Metrics that come are health."""
    assert probe("http", metrics_url).returncode == 0


def test_http_probe_of_a_role_that_does_not() -> None:
    """Nobody there, an error status: both are ill health, and say why."""
    answer = probe("http", f"http://127.0.0.1:{free_port()}/metrics")
    assert answer.returncode == 1
    assert "refused" in answer.stderr


def test_http_probe_of_an_error(refusing_port: int) -> None:
    """A status that is no success is ill health."""
    answer = probe("http", f"http://127.0.0.1:{refusing_port}/metrics")
    assert answer.returncode == 1
    assert "500" in answer.stderr


@pytest.mark.parametrize(("status", "code"), [(SERVING, 0), (NOT_SERVING, 1)])
def test_grpc_probe_follows_the_service(
    health_service: tuple[str, health.HealthServicer],
    status: health_pb2.HealthCheckResponse.ServingStatus,
    code: int,
) -> None:
    """Only SERVING is health: a service that waits for its models is up and not yet well."""
    address, servicer = health_service
    servicer.set("", status)
    assert probe("grpc", address).returncode == code


def test_grpc_probe_of_a_service_that_wants_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the caller's settings; the certificate need not hold the address."""
    authority = Authority()
    own, caller = authority.issue("serve", ("serve.example",)), authority.issue("probe")
    servicer = health.HealthServicer()
    servicer.set("", SERVING)
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    credentials = grpc.ssl_server_credentials(
        [(own.key, own.certificate)], authority.certificate, require_client_auth=True
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    certificate, key = caller.write(tmp_path, "caller")
    monkeypatch.setenv("PLACESTREAM_CLIENT_CA_FILE", str(authority.write(tmp_path)))
    assert probe("grpc", f"127.0.0.1:{port}").returncode == 1
    monkeypatch.setenv("PLACESTREAM_CLIENT_TLS_CERTIFICATE", str(certificate))
    monkeypatch.setenv("PLACESTREAM_CLIENT_TLS_KEY", str(key))
    monkeypatch.setenv("PLACESTREAM_CLIENT_TLS_NAME", "serve.example")
    assert probe("grpc", f"127.0.0.1:{port}").returncode == 0
    server.stop(None).wait()


def test_grpc_probe_of_nobody() -> None:
    """No server is ill health, not a traceback."""
    answer = probe("grpc", f"127.0.0.1:{free_port()}")
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("arguments", [(), ("http",), ("smtp", "x"), ("http", "a", "b")])
def test_probe_asked_wrongly(arguments: tuple[str, ...]) -> None:
    """A mistake in the compose file is told from ill health."""
    answer = probe(*arguments)
    assert answer.returncode == 2
    assert answer.stderr.startswith("usage:")


def model_server_probe(port: int) -> int:
    """Exit code of tf-serving's health check, asked of another port."""
    kind, *command = services()["tf-serving"]["healthcheck"]["test"]
    assert kind == "CMD"
    filled = [interpolated(word, {}).replace("/8501", f"/{port}") for word in command]
    return subprocess.run(filled, capture_output=True, check=False).returncode


def test_model_server_probe(metrics_url: str, refusing_port: int) -> None:
    """Bash alone tells status 200 from another status and from nobody."""
    well = int(metrics_url.split(":")[2].split("/")[0])
    assert model_server_probe(well) == 0
    assert model_server_probe(refusing_port) != 0
    assert model_server_probe(free_port()) != 0


def init_models(config: Path) -> str:
    """Run the script that gives TensorFlow Serving its first file."""
    command = ["sh", str(INIT_MODELS), str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_first_file_is_an_empty_list(tmp_path: Path) -> None:
    """It is a list (only a list may follow another), it is empty, and it has bytes."""
    config = tmp_path / "models.config"
    assert "wrote" in init_models(config)
    parsed = text_format.Parse(config.read_text(), ModelServerConfig())
    assert parsed.WhichOneof("config") == "model_config_list"
    assert len(parsed.model_config_list.config) == 0
    assert config.stat().st_size > 0
    assert list(tmp_path.iterdir()) == [config]


def test_first_file_is_read_by_the_rollout(tmp_path: Path) -> None:
    """To the trainer the file means what it means to the server: nothing is served."""
    settings = Settings(model_config_file=tmp_path / "models.config")
    init_models(settings.model_config_file)
    assert model_config.read(settings) == model_config.Serving()


def test_later_file_is_kept(tmp_path: Path) -> None:
    """What the trainer wrote survives a restart of everything."""
    settings = Settings(models_dir=tmp_path, model_config_file=tmp_path / "models.config")
    serving = model_config.Serving({"stable": 3})
    model_config.write(settings, serving)
    assert "kept" in init_models(settings.model_config_file)
    assert model_config.read(settings) == serving


def test_monitoring_config_turns_metrics_on() -> None:
    """MonitoringConfig as the server reads it; its message is not in the Python package."""
    text = (
        'name: "m.proto" package: "m" syntax: "proto3" '
        'message_type { name: "PrometheusConfig" '
        '  field { name: "enable" number: 1 type: TYPE_BOOL label: LABEL_OPTIONAL }'
        '  field { name: "path" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL } } '
        'message_type { name: "MonitoringConfig" '
        '  field { name: "prometheus_config" number: 1 type: TYPE_MESSAGE label: LABEL_OPTIONAL '
        '    type_name: ".m.PrometheusConfig" } }'
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(text, descriptor_pb2.FileDescriptorProto()))
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName("m.MonitoringConfig"))()
    text_format.Parse((ROOT / "docker/tf-serving/monitoring.config").read_text(), message)
    assert json_format.MessageToDict(message) == {
        "prometheusConfig": {"enable": True, "path": "/monitoring/prometheus/metrics"}
    }
