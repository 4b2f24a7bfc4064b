"""GetModelStatus and GetModelMetadata over gRPC."""

from typing import Any

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from tests.inference.model_server.conftest import Api


@pytest.fixture
def api(two_versions: Api) -> Api:
    """The server that is asked."""
    return two_versions


def status_request(model: str, version: int | None = None) -> Any:
    """A GetModelStatusRequest."""
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = model
    if version is not None:
        request.model_spec.version.value = version
    return request


def test_status_lists_versions_newest_first(api: Api) -> None:
    """Each with its state and an OK status."""
    response = api.models.GetModelStatus(status_request("m"))
    entries = [(e.version, e.state, e.status.error_code) for e in response.model_version_status]
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert entries == [(3, available, 0), (2, available, 0)]
    assert all(entry.HasField("status") for entry in response.model_version_status)


def test_status_of_one_version(api: Api) -> None:
    """Only the version asked for."""
    response = api.models.GetModelStatus(status_request("m", 2))
    assert [entry.version for entry in response.model_version_status] == [2]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (
            status_request("no"),
            grpc.StatusCode.NOT_FOUND,
            "Could not find any versions of model no",
        ),
        (status_request("m", 9), grpc.StatusCode.NOT_FOUND, "Could not find version 9 of model m"),
        (
            get_model_status_pb2.GetModelStatusRequest(),
            grpc.StatusCode.INVALID_ARGUMENT,
            "Missing ModelSpec",
        ),
    ],
)
def test_status_of_what_is_not_there(
    api: Api, request_: Any, code: grpc.StatusCode, message: str
) -> None:
    """The real server's status and words."""
    with pytest.raises(grpc.RpcError) as caught:
        api.models.GetModelStatus(request_)
    assert (caught.value.code(), caught.value.details()) == (code, message)


def metadata_request(*fields: str, **spec: Any) -> Any:
    """A GetModelMetadataRequest."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = "m"
    for name, value in spec.items():
        setattr(request.model_spec, name, value)
    return request


def test_metadata_gives_the_signatures(api: Api) -> None:
    """Inputs and outputs with types and shapes, of the version that the label means."""
    request = metadata_request("signature_def", version_label="stable")
    response = api.prediction.GetModelMetadata(request)
    assert response.model_spec.version.value == 2
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    signature = signatures.signature_def["serving_default"]
    assert signature.method_name == "tensorflow/serving/predict"
    assert set(signature.outputs) == {"y", "twice"}
    x = signature.inputs["x"]
    assert x.dtype == tf.float32.as_datatype_enum
    assert [dim.size for dim in x.tensor_shape.dim] == [-1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((), "GetModelMetadataRequest must specify at least one metadata_field"),
        (("signature_def", "size"), "Metadata field size is not supported"),
    ],
)
def test_metadata_refuses_other_fields(api: Api, fields: tuple[str, ...], message: str) -> None:
    """Only signature_def exists."""
    with pytest.raises(grpc.RpcError) as caught:
        api.prediction.GetModelMetadata(metadata_request(*fields))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == message
