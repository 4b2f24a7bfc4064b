"""HandleReloadConfigRequest and version labels: the rollout's steps, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

from tests.inference.model_server.conftest import (
    GARBAGE,
    Api,
    model_config,
    product_request,
    values,
)

Publish = Callable[[int], Path]


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str | None]:
    """Status and message with which a call is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def ask_stable(api: Api) -> list[float]:
    """What the label "stable" answers for 1: the number of its version."""
    return values(api.predict(product_request(1, version_label="stable")))


def test_rollout_without_a_gap(start: Any, base_path: Path, publish: Publish) -> None:
    """Load N+1 beside N, move the label once it is available, then unload N."""
    publish(2)
    _, api = start(model_config(base_path, specific=(2,), labels={"stable": 2}))
    api.wait_for({2: "AVAILABLE"})
    assert ask_stable(api) == [2]
    publish(3)
    assert api.states() == {2: "AVAILABLE"}
    api.reload(model_config(base_path, specific=(2, 3), labels={"stable": 2}))
    api.wait_for({3: "AVAILABLE", 2: "AVAILABLE"})
    assert ask_stable(api) == [2]
    api.reload(model_config(base_path, specific=(2, 3), labels={"stable": 3}))
    assert ask_stable(api) == [3]
    api.reload(model_config(base_path, specific=(3,), labels={"stable": 3}))
    api.wait_for({3: "AVAILABLE", 2: "END"})
    assert ask_stable(api) == [3]
    api.reload(model_config(base_path, specific=(2, 3), labels={"stable": 3}))
    api.wait_for({3: "AVAILABLE", 2: "AVAILABLE"})


def test_a_label_moves_only_to_an_available_version(
    start: Any, base_path: Path, publish: Publish
) -> None:
    """The refusal is FAILED_PRECONDITION, and label and versions stay as they were."""
    publish(2)
    _, api = start(model_config(base_path, specific=(2,), labels={"stable": 2}))
    api.wait_for({2: "AVAILABLE"})
    publish(3)
    moved = model_config(base_path, specific=(3,), labels={"stable": 3})
    assert refusal(lambda: api.reload(moved)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "Request to assign label to version 3 of model m, which is not currently available for "
        "inference",
    )
    assert ask_stable(api) == [2]
    assert api.states() == {2: "AVAILABLE"}


@pytest.mark.parametrize("allowed", [True, False])
def test_new_labels_of_unavailable_versions(
    start: Any, base_path: Path, publish: Publish, allowed: bool
) -> None:
    """A label that is new may wait for its version, if the server is told to allow it."""
    publish(2)
    _, api = start(model_config(base_path), allow_version_labels_for_unavailable_models=allowed)
    api.wait_for({2: "AVAILABLE"})
    early = model_config(base_path, specific=(2, 3), labels={"canary": 3})
    if not allowed:
        status, _ = refusal(lambda: api.reload(early))
        assert status is grpc.StatusCode.FAILED_PRECONDITION
        return
    api.reload(early)
    status, message = refusal(lambda: api.predict(product_request(1, version_label="canary")))
    assert (status, message) == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Specific(m, 3)",
    )
    publish(3)
    api.wait_for({3: "AVAILABLE", 2: "AVAILABLE"})
    assert values(api.predict(product_request(1, version_label="canary"))) == [3]


def test_models_are_added_and_dropped(start: Any, base_path: Path, publish: Publish) -> None:
    """A reload returns when its new models serve; models it leaves out are unloaded."""
    publish(2)
    _, api = start(model_config(base_path))
    api.wait_for({2: "AVAILABLE"})
    api.reload(model_config(base_path), model_config(base_path, name="n"))
    assert values(api.predict(product_request(4, model="n"))) == [8]
    api.reload(model_config(base_path, name="n"))
    api.wait_for({2: "END"})
    assert values(api.predict(product_request(4, model="n"))) == [8]
    assert refusal(lambda: api.predict(product_request(1))) == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Latest(m)",
    )


def test_a_new_model_that_cannot_load_fails_the_reload(
    start: Any, base_path: Path, publish: Publish
) -> None:
    """The caller learns which version failed and why."""
    publish(2)
    _, api = start(model_config(base_path))
    bad = base_path.with_name("bad")
    (bad / "5").mkdir(parents=True)
    (bad / "5" / "saved_model.pb").write_bytes(GARBAGE)
    assert refusal(lambda: api.reload(model_config(base_path), model_config(bad, name="bad"))) == (
        grpc.StatusCode.UNKNOWN,
        "1 model(s) did not become available: {{{name: bad version: 5} due to error: "
        f"DATA_LOSS: Can't parse {bad}/5/saved_model.pb as binary proto}}, }}",
    )
    api.wait_for({2: "AVAILABLE"})


def test_refuses_bad_configurations(start: Any, base_path: Path, publish: Publish) -> None:
    """A name twice, a relative path, a platform missing, unknown or changed: nothing changes."""
    publish(2)
    good = model_config(base_path)
    _, api = start(good)
    api.wait_for({2: "AVAILABLE"})
    relative = model_config(Path("models/m"))
    unknown = model_config(base_path, name="n")
    unknown.model_platform = "torch"
    missing = model_config(base_path, name="n")
    missing.model_platform = ""
    changed = model_config(base_path)
    changed.model_platform = "torch"
    cases = {
        "Illegal to list model m multiple times in config list": [good, good],
        "Expected model m to have an absolute path or URI; got base_path()=models/m": [relative],
        "Model n requests unsupported platform torch": [good, unknown],
        "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
        "ModelServerConfig::model_platform, model name is n": [good, missing],
        "Illegal to change a model's platform. For model m platform was tensorflow and new "
        "platform requested is torch": [changed],
    }
    for message, models in cases.items():
        got = refusal(lambda models=models: api.reload(*models))  # type: ignore[misc]
        assert got == (grpc.StatusCode.INVALID_ARGUMENT, message)
    assert api.states() == {2: "AVAILABLE"}


def test_refuses_a_custom_config(start: Any) -> None:
    """Only lists of models can be reloaded."""
    _, api = start()
    request = model_management_pb2.ReloadConfigRequest(
        config=model_server_config_pb2.ModelServerConfig()
    )
    assert refusal(lambda: api.models.HandleReloadConfigRequest(request)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList "
        "is currently supported",
    )


def test_reports_how_metrics_grew(start: Any, base_path: Path, publish: Publish) -> None:
    """A reload answers OK and by how much the metrics it names went up."""
    path = str(publish(2))
    server, api = start()
    name = "/tensorflow/cc/saved_model/load_attempt_count"
    response = api.reload(model_config(base_path), metric_names=(name, "/no/such"))
    assert response.status.error_code == 0
    assert {m.name: m.int64_value_increase for m in response.metric} == {name: 1, "/no/such": 0}
    assert server.metrics.load_attempts.value(path, "success") == 1
