"""A running model server, tiny SavedModels, and a plain gRPC client of the official stubs."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

from contracts.settings import Settings
from inference.model_server.server import ModelServer

# No SavedModel; longer than the bytes that the C++ parser looks ahead, or the real error depends on
# how much.
GARBAGE = b"\xffthis is no saved model, " * 3


class Multiplier(tf.Module):  # type: ignore[misc]
    """Multiplies by its weight; a test gives each version its number, so answers tell it."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = tf.Variable(weight, dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def product(self, x: Any) -> dict[str, Any]:
        """Serve x * weight, and twice that."""
        return {"y": x * self.weight, "twice": x * self.weight * 2.0}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def total(self, x: Any) -> dict[str, Any]:
        """Serve x + weight."""
        return {"sum": x + self.weight}


class Api:
    """The two gRPC services of a server, by official stubs."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, request: Any, timeout_s: float = 20) -> Any:
        """Call Predict."""
        return self.prediction.Predict(request, timeout=timeout_s)

    def states(self, model: str = "m") -> dict[int, str]:
        """State by version; empty for an unknown model."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        try:
            response = self.models.GetModelStatus(request, timeout=20)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return {}
            raise
        names = get_model_status_pb2.ModelVersionStatus.State.Name
        return {entry.version: names(entry.state) for entry in response.model_version_status}

    def error_of(self, version: int, model: str = "m") -> tuple[int, str]:
        """Code and message of the status that a version has."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        request.model_spec.version.value = version
        (entry,) = self.models.GetModelStatus(request, timeout=20).model_version_status
        return entry.status.error_code, entry.status.error_message

    def wait_for(self, states: dict[int, str], model: str = "m") -> None:
        """Wait until the versions' states are exactly these."""
        wait_until(lambda: self.states(model) == states, lambda: str(self.states(model)))

    def reload(self, *models: Any, metric_names: tuple[str, ...] = ()) -> Any:
        """Call HandleReloadConfigRequest with these models."""
        request = reload_request(*models)
        request.metric_names.extend(metric_names)
        return self.models.HandleReloadConfigRequest(request, timeout=30)


def wait_until(holds: Callable[[], bool], seen: Callable[[], str] = str) -> None:
    """Wait for a condition; fail with what was seen last if it never holds."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, f"waited in vain; last seen: {seen()}"
        time.sleep(0.01)


def reload_request(*models: Any) -> Any:
    """A ReloadConfigRequest with these models."""
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.config.extend(models)
    return request


def product_request(*x: float, model: str = "m", **spec: Any) -> Any:
    """A PredictRequest to a Multiplier."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    if "version" in spec:
        request.model_spec.version.value = spec.pop("version")
    for name, value in spec.items():
        setattr(request.model_spec, name, value)
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array(x, np.float32)))
    return request


def values(response: Any, output: str = "y") -> list[float]:
    """An output's values as TensorFlow reads them."""
    return [float(value) for value in tf.make_ndarray(response.outputs[output])]


def model_config(
    base_path: Path,
    name: str = "m",
    *,
    specific: tuple[int, ...] = (),
    latest: int = 0,
    every: bool = False,
    labels: dict[str, int] | None = None,
) -> Any:
    """A ModelConfig with a version policy, or none."""
    config = model_server_config_pb2.ModelConfig(
        name=name, base_path=str(base_path), model_platform="tensorflow"
    )
    if specific:
        config.model_version_policy.specific.versions.extend(specific)
    if latest:
        config.model_version_policy.latest.num_versions = latest
    if every:
        config.model_version_policy.all.SetInParent()
    for label, version in (labels or {}).items():
        config.version_labels[label] = version
    return config


def write_config(path: Path, *models: Any) -> None:
    """Write a ModelServerConfig as text, atomically as the rollout does."""
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.extend(models)
    part = path.with_suffix(".part")
    part.write_text(text_format.MessageToString(config))
    part.rename(path)


@pytest.fixture(scope="session")
def multiplier(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Exports of Multiplier by weight, each written once."""
    root = tmp_path_factory.mktemp("multipliers")

    def export(weight: int) -> Path:
        path = root / str(weight)
        if not path.exists():
            module = Multiplier(weight)
            signatures = {"serving_default": module.product, "total": module.total}
            tf.saved_model.save(module, str(path), signatures=signatures)
        return path

    return export


def server_settings(directory: Path) -> Settings:
    """Free ports, a configuration file that is not there yet, fast polling."""
    return Settings(
        model_server="127.0.0.1:0",
        model_server_rest_port=0,
        model_config_file=directory / "models.config",
        model_poll_s=0.05,
    )


@contextmanager
def running(settings: Settings, *models: Any, **options: Any) -> Iterator[tuple[ModelServer, Api]]:
    """A server with these models, and its API."""
    if models:
        write_config(settings.model_config_file, *models)
    with ModelServer(settings, **options) as server:
        api = Api(server.grpc_port)
        yield server, api
        api.channel.close()


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    """The base path of model "m"; no versions yet."""
    path = tmp_path / "models" / "m"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def publish(base_path: Path, multiplier: Callable[[int], Path]) -> Callable[[int], Path]:
    """Puts a version of "m" in place whose weight is its number, as the exporter does: at once."""

    def put(version: int) -> Path:
        part = base_path / f".part-{version}"
        shutil.copytree(multiplier(version), part)
        return part.rename(base_path / str(version))

    return put


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a server of one's own."""
    return server_settings(tmp_path)


@pytest.fixture
def start(settings: Settings) -> Iterator[Callable[..., tuple[ModelServer, Api]]]:
    """Starts a server with models and returns it with its API; stops it at the end."""
    with ExitStack() as stack:
        yield lambda *models, **options: stack.enter_context(running(settings, *models, **options))


@pytest.fixture(scope="module")
def two_versions(
    tmp_path_factory: pytest.TempPathFactory, multiplier: Callable[[int], Path]
) -> Iterator[Api]:
    """A server for tests that only ask: versions 2 and 3 of "m", label "stable" on 2."""
    root = tmp_path_factory.mktemp("served")
    for version in (2, 3):
        shutil.copytree(multiplier(version), root / "m" / str(version))
    model = model_config(root / "m", every=True, labels={"stable": 2})
    with running(server_settings(root), model) as (_, api):
        api.wait_for({3: "AVAILABLE", 2: "AVAILABLE"})
        yield api
