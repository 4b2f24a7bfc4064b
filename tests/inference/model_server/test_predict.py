"""Predict over gRPC: what is computed, what the answer says, and how a request is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from contracts.settings import Settings
from tests.inference.model_server.conftest import (
    Api,
    model_config,
    product_request,
    running,
    values,
)
from tests.inference.test_tensor_codec import shaped

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND


@pytest.fixture
def api(two_versions: Api) -> Api:
    """The server that is asked."""
    return two_versions


def refusal(api: Api, request: Any) -> tuple[grpc.StatusCode, str | None]:
    """Status and message with which a request is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        api.predict(request)
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize(
    ("spec", "version"), [({}, 3), ({"version": 2}, 2), ({"version_label": "stable"}, 2)]
)
def test_resolves_latest_version_and_label(api: Api, spec: dict[str, Any], version: int) -> None:
    """No choice means the newest version; a number or a label means that one."""
    response = api.predict(product_request(1, 2.5, **spec))
    assert values(response) == [version, 2.5 * version]
    assert response.model_spec.name == "m"
    assert response.model_spec.version.value == version
    assert response.model_spec.signature_name == "serving_default"


def test_answers_as_tensor_content(api: Api) -> None:
    """All outputs without a filter, each with type, shape and raw bytes."""
    response = api.predict(product_request(1, 2, 3))
    assert set(response.outputs) == {"y", "twice"}
    tensor = response.outputs["twice"]
    assert tensor.dtype == tf.float32.as_datatype_enum
    assert [dim.size for dim in tensor.tensor_shape.dim] == [3]
    assert tensor.tensor_content == np.array([6, 12, 18], np.float32).tobytes()


def test_reads_tensor_content_and_typed_fields(api: Api) -> None:
    """Raw bytes, values one by one, and one value that stands for all."""
    request = product_request(5, 7)
    assert request.inputs["x"].tensor_content
    assert values(api.predict(request)) == [15, 21]
    tensor = request.inputs["x"]
    tensor.ClearField("tensor_content")
    tensor.float_val.extend([5, 7])
    assert values(api.predict(request)) == [15, 21]
    del tensor.float_val[1:]
    assert values(api.predict(request)) == [15, 15]


def test_runs_the_signature_asked_for(api: Api) -> None:
    """Another signature has its own outputs and is named in the answer."""
    response = api.predict(product_request(1, signature_name="total"))
    assert values(response, "sum") == [1 + 3]
    assert response.model_spec.signature_name == "total"


def test_output_filter_selects(api: Api) -> None:
    """Only the outputs asked for are answered."""
    request = product_request(2)
    request.output_filter.append("twice")
    response = api.predict(request)
    assert set(response.outputs) == {"twice"}
    assert values(response, "twice") == [2 * 3 * 2]


def test_refuses_wrong_output_filters(api: Api) -> None:
    """An unknown output and one asked for twice are refused in the real server's words."""
    request = product_request(1)
    request.output_filter.append("nothing")
    assert refusal(api, request) == (
        INVALID,
        "output tensor alias not found in signature: nothing Outputs expected to be in the set "
        "{twice,y}.",
    )
    request.output_filter[:] = ["y", "y"]
    assert refusal(api, request) == (INVALID, "duplicate output tensor alias: y")


@pytest.mark.parametrize(
    ("spec", "status", "message"),
    [
        ({"model": "no"}, NOT_FOUND, "Servable not found for request: Latest(no)"),
        ({"version": 9}, NOT_FOUND, "Servable not found for request: Specific(m, 9)"),
        ({"version_label": "no"}, INVALID, "Unrecognized servable version label: no"),
        ({"model": ""}, INVALID, "ModelSpec has no name specified."),
        (
            {"signature_name": "no"},
            grpc.StatusCode.FAILED_PRECONDITION,
            'Serving signature key "no" not found.',
        ),
    ],
)
def test_refuses_what_it_does_not_have(
    api: Api, spec: dict[str, Any], status: grpc.StatusCode, message: str
) -> None:
    """Missing model, version, label, name and signature: the real status and words."""
    assert refusal(api, product_request(1, **spec)) == (status, message)


def test_refuses_a_request_without_a_model(api: Api) -> None:
    """No ModelSpec at all."""
    assert refusal(api, predict_pb2.PredictRequest()) == (INVALID, "Missing ModelSpec")


def test_refuses_wrong_inputs(api: Api) -> None:
    """Missing, extra, misnamed and unreadable inputs: the real server's words."""
    request = product_request(1)
    tensor = request.inputs["x"]
    request.inputs["z"].CopyFrom(tensor)
    assert refusal(api, request) == (
        INVALID,
        "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. "
        "Missing but required: {}.",
    )
    del request.inputs["x"], request.inputs["z"]
    assert refusal(api, request) == (
        INVALID,
        "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. "
        "Missing but required: {x}.",
    )
    request.inputs["z"].CopyFrom(tf.make_tensor_proto(np.ones(1, np.float32)))
    status, message = refusal(api, request)
    assert status is INVALID
    assert message is not None
    assert message.startswith("Signature input alias: x(feed name: ")
    assert message.endswith(
        ") not found in request and no default value provided. Inputs expected to be in the "
        "request {z}, or default input alias set: "
    )
    request = product_request(1)
    request.inputs["x"].tensor_content = b"123"
    assert refusal(api, request) == (INVALID, "tensor parsing error: x")
    request.inputs["x"].ParseFromString(shaped(*[1] * 65, dtype=1).SerializeToString())
    assert refusal(api, request) == (INVALID, "tensor parsing error: x")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (np.ones(1, np.float64), "double"),
        (np.ones(1, np.int64), "int64"),
        (np.ones(1, np.float16), "half"),
        (np.ones(1, np.bool_), "bool"),
        (np.array(["1"]), "string"),
    ],
)
def test_refuses_a_wrong_type(api: Api, value: np.ndarray, name: str) -> None:
    """A tensor of another type than the graph's: the words of `Session::Run`."""
    request = product_request(1)
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(value))
    message = f"Expects arg[0] to be float but {name} is provided"
    assert refusal(api, request) == (INVALID, message)


class Lookup(tf.Module):  # type: ignore[misc]
    """Tables, strings and two dimensions: what our own models use."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant([2**62, -5], tf.int64), tf.constant([1, 2], tf.int64)
            ),
            default_value=0,
        )

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[
            tf.TensorSpec([None, None], tf.int64, name="ids"),
            tf.TensorSpec([None], tf.string, name="names"),
        ]
    )
    def look_up(self, ids: Any, names: Any) -> dict[str, Any]:
        """Serve rows by id, and names in upper case."""
        return {"rows": self.rows.lookup(ids), "names": tf.strings.upper(names)}


def test_answers_value_by_value_if_told_so(
    settings: Settings, base_path: Path, publish: Callable[[int], Path]
) -> None:
    """TF Serving's own default, for clients that read `float_val` themselves."""
    publish(3)
    typed = settings.model_copy(update={"model_tensor_content": False})
    with running(typed, model_config(base_path)) as (_, api):
        api.wait_for({3: "AVAILABLE"})
        tensor = api.predict(product_request(1, 2)).outputs["y"]
    assert list(tensor.float_val) == [3, 6]
    assert tensor.tensor_content == b""


def test_serves_tables_and_strings(start: Any, base_path: Path) -> None:
    """Tables are initialised on load; strings go both ways; one tensor may be empty."""
    module = Lookup()
    tf.saved_model.save(module, str(base_path / "1"), signatures=module.look_up)
    _, api = start(model_config(base_path))
    api.wait_for({1: "AVAILABLE"})
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    ids = np.array([[2**62, 7, -5]])
    request.inputs["ids"].CopyFrom(tf.make_tensor_proto(ids))
    request.inputs["names"].CopyFrom(tf.make_tensor_proto([b"cafe", b""]))
    response = api.predict(request)
    assert tf.make_ndarray(response.outputs["rows"]).tolist() == [[1, 0, 2]]
    assert tf.make_ndarray(response.outputs["names"]).tolist() == [b"CAFE", b""]
    ids_as_ints = tf.make_tensor_proto(np.ones((1, 1), np.int32))
    both = predict_pb2.PredictRequest()
    both.CopyFrom(request)
    both.inputs["names"].CopyFrom(ids_as_ints)
    message = "Expects arg[1] to be string but int32 is provided"
    assert refusal(api, both) == (INVALID, message)
    names = request.inputs["names"]
    names.ClearField("string_val")
    names.tensor_content = b"\x02\x01abc"
    response = api.predict(request)
    assert tf.make_ndarray(response.outputs["names"]).tolist() == [b"AB", b"C"]
    names.tensor_content = b"\x09\x01abc"
    assert refusal(api, request) == (INVALID, "tensor parsing error: names")
    names.CopyFrom(tf.make_tensor_proto([b"cafe", b""]))
    request.inputs["ids"].CopyFrom(tf.make_tensor_proto(ids[:, :0]))
    assert tf.make_ndarray(api.predict(request).outputs["rows"]).shape == (1, 0)
