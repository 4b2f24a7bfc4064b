"""The server as a whole: waiting for its configuration, ports, draining, signals."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc

from contracts.settings import Settings
from inference.model_server.config import BadConfigFile
from inference.model_server.server import ModelServer
from placestream.stack.ports import free_port
from tests.inference.model_server.conftest import (
    Api,
    model_config,
    product_request,
    reload_request,
    running,
    values,
    wait_until,
    write_config,
)
from tests.inference.model_server.test_lifecycle import Holder

Publish = Callable[[int], Path]


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """What is logged meanwhile."""
    with structlog.testing.capture_logs() as entries:
        yield entries


def test_waits_for_its_configuration(
    start: Any, settings: Settings, base_path: Path, publish: Publish, logged: list[Any]
) -> None:
    """A file that is not there is named in the log and waited for, as often as it takes."""
    publish(2)
    _, api = start()
    wait_until(lambda: any(e["event"] == "waiting_for_model_config" for e in logged))
    (entry,) = [e for e in logged if e["event"] == "waiting_for_model_config"]
    assert entry["path"] == str(settings.model_config_file)
    with pytest.raises(grpc.RpcError) as caught:
        api.predict(product_request(1))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as caught:
        api.predict(product_request(1, version_label="stable"))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "Model labels does not init yet.stable"
    settings.model_config_file.write_text("model_config_list { nonsense")
    wait_until(lambda: any(e["event"] == "bad_model_config" for e in logged))
    write_config(settings.model_config_file, model_config(base_path))
    api.wait_for({2: "AVAILABLE"})


def test_a_reload_is_a_configuration_too(
    start: Any, settings: Settings, base_path: Path, publish: Publish
) -> None:
    """The file that appears after a reload is old news and does not undo it."""
    publish(2)
    publish(3)
    server, api = start()
    api.reload(model_config(base_path, specific=(3,)))
    write_config(settings.model_config_file, model_config(base_path, specific=(2,)))
    wait_until(lambda: not server._config_waiter.is_alive())
    assert values(api.predict(product_request(1))) == [3]


def test_the_file_is_not_read_again(
    start: Any, settings: Settings, base_path: Path, publish: Publish
) -> None:
    """Only a reload changes the configuration, so that a half-written rollout changes nothing."""
    publish(2)
    publish(3)
    server, api = start(model_config(base_path, specific=(2,)))
    api.wait_for({2: "AVAILABLE"})
    write_config(settings.model_config_file, model_config(base_path, specific=(3,)))
    server._core._poll()
    server._core._poll()
    assert api.states() == {2: "AVAILABLE"}


@pytest.mark.parametrize(
    "text",
    ["model_config_list { config { nam: 3 } }", 'custom_model_config { type_url: "x" }'],
)
def test_a_bad_file_at_start_is_an_error(settings: Settings, text: str) -> None:
    """It names the file."""
    settings.model_config_file.write_text(text)
    with pytest.raises(BadConfigFile, match=str(settings.model_config_file)):
        ModelServer(settings).start()


def test_a_taken_port_is_an_error(start: Any, settings: Settings) -> None:
    """A second server does not share the port in silence, neither gRPC's nor REST's."""
    server, _ = start(rest_port=0)
    taken = settings.model_copy(update={"model_server": f"127.0.0.1:{server.grpc_port}"})
    with pytest.raises(RuntimeError):
        ModelServer(taken, rest_port=0).start()
    with pytest.raises(OSError, match="in use"):
        ModelServer(settings, rest_port=server.rest_port).start()


def test_the_threads_of_the_settings_are_tensorflows(
    settings: Settings, base_path: Path, publish: Publish
) -> None:
    """So many inside one operation; between operations none, they run in the caller's thread."""
    publish(2)
    with running(settings.model_copy(update={"model_threads": 3}), model_config(base_path)) as (
        server,
        api,
    ):
        api.wait_for({2: "AVAILABLE"})
        with server._core.lease(product_request(1).model_spec) as lease:
            config = lease.servable._session._config
    assert config.intra_op_parallelism_threads == 3
    assert config.inter_op_parallelism_threads == -1


def test_rest_can_be_off(start: Any) -> None:
    """Port 0 in the settings means no REST."""
    server, _ = start()
    assert server.rest_port == 0


def test_stop_lets_requests_in_flight_end(settings: Settings, base_path: Path) -> None:
    """The call that runs is answered, then the model is unloaded."""
    module = Holder()
    tf.saved_model.save(module, str(base_path / "1"), signatures=module.hold)
    write_config(settings.model_config_file, model_config(base_path))
    Holder.entered.clear()
    Holder.let_go.clear()
    server = ModelServer(settings)
    server.start()
    api = Api(server.grpc_port)
    api.wait_for({1: "AVAILABLE"})
    answer = api.prediction.Predict.future(product_request(5), timeout=30)
    assert Holder.entered.wait(30)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    Holder.let_go.set()
    assert values(answer.result()) == [5]
    stopping.join()
    assert server._core.statuses("m", 1)[1].state.name == "END"
    api.channel.close()


def test_stop_ends_a_reload_that_waits(start: Any, base_path: Path) -> None:
    """A reload waits for a model without versions; an ending server does not wait with it."""
    server, api = start()
    waiting = api.models.HandleReloadConfigRequest.future(
        reload_request(model_config(base_path)), timeout=60
    )
    wait_until(lambda: server._core.configured)
    server.stop()
    assert waiting.exception().code() is grpc.StatusCode.UNAVAILABLE


def test_a_reload_ends_with_its_caller(start: Any, base_path: Path, publish: Publish) -> None:
    """Who waits no longer than a moment is told so; the configuration holds all the same."""
    _, api = start()
    with pytest.raises(grpc.RpcError) as caught:
        api.models.HandleReloadConfigRequest(reload_request(model_config(base_path)), timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    publish(2)
    api.wait_for({2: "AVAILABLE"})


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_run_serves_until_a_signal(
    settings: Settings, base_path: Path, publish: Publish, number: signal.Signals
) -> None:
    """As a process: it serves, and ends with status 0 when told to."""
    publish(2)
    write_config(settings.model_config_file, model_config(base_path))
    port = free_port()
    environment = {
        **os.environ,
        "PLACESTREAM_MODEL_SERVER": f"127.0.0.1:{port}",
        "PLACESTREAM_MODEL_SERVER_REST_PORT": "0",
        "PLACESTREAM_MODEL_CONFIG_FILE": str(settings.model_config_file),
    }
    code = (
        "from contracts.settings import Settings\n"
        "from inference.model_server.server import run\n"
        "run(Settings())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as process:
        api = Api(port)
        try:
            grpc.channel_ready_future(api.channel).result(timeout=120)
            api.wait_for({2: "AVAILABLE"})
            request = product_request(1)
            assert values(api.prediction.Predict(request, timeout=120, wait_for_ready=True)) == [2]
        finally:
            api.channel.close()
            process.send_signal(number)
        assert process.wait(30) == 0


def health(api: Api, service: str) -> str:
    """What the server says of a service."""
    request = health_pb2.HealthCheckRequest(service=service)
    status = health_pb2_grpc.HealthStub(api.channel).Check(request, timeout=20).status
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))


@pytest.mark.parametrize("service", ["", "PredictionService", "ModelService"])
def test_health_tells_when_calls_may_come(
    start: Any, base_path: Path, publish: Publish, service: str
) -> None:
    """Not before the models of the configuration are loaded, and no more once it is to end."""
    server, api = start(model_config(base_path, labels={"stable": 2}))
    assert health(api, service) == "NOT_SERVING"
    publish(2)
    wait_until(lambda: health(api, service) == "SERVING")
    assert values(api.predict(product_request(1, version_label="stable"))) == [2]
    server.give_notice()
    assert health(api, service) == "NOT_SERVING"
    assert values(api.predict(product_request(1))) == [2]
