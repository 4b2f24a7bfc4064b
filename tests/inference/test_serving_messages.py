"""Our few messages are TF Serving's, field by field, and come without TensorFlow."""

import subprocess
import sys
from typing import Any

import pytest
from google.protobuf import any_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.wrappers_pb2 import Int64Value
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2,
    predict_pb2,
    prediction_service_pb2,
    status_pb2,
)

from inference import serving_messages

OFFICIAL: dict[str, Any] = {
    "Dim": tensor_shape_pb2.TensorShapeProto.Dim,
    "TensorShapeProto": tensor_shape_pb2.TensorShapeProto,
    "TensorProto": tensor_pb2.TensorProto,
    "Int64Value": Int64Value,
    "ModelSpec": model_pb2.ModelSpec,
    "PredictRequest": predict_pb2.PredictRequest,
    "PredictResponse": predict_pb2.PredictResponse,
    "StatusProto": status_pb2.StatusProto,
    "ModelVersionStatus": get_model_status_pb2.ModelVersionStatus,
    "GetModelStatusRequest": get_model_status_pb2.GetModelStatusRequest,
    "GetModelStatusResponse": get_model_status_pb2.GetModelStatusResponse,
    "Any": any_pb2.Any,
    "GetModelMetadataRequest": get_model_metadata_pb2.GetModelMetadataRequest,
    "GetModelMetadataResponse": get_model_metadata_pb2.GetModelMetadataResponse,
    "TensorInfo": meta_graph_pb2.TensorInfo,
    "SignatureDef": meta_graph_pb2.SignatureDef,
    "SignatureDefMap": get_model_metadata_pb2.SignatureDefMap,
}
INT32_FOR_ENUM = {FieldDescriptor.TYPE_ENUM: FieldDescriptor.TYPE_INT32}


def test_every_message_is_compared() -> None:
    """None is added without its counterpart."""
    assert set(OFFICIAL) == set(serving_messages.FIELDS)


@pytest.mark.parametrize("name", sorted(OFFICIAL))
def test_fields_have_the_official_numbers_and_types(name: str) -> None:
    """Name, number, wire type, repetition, and whether it is a map."""
    official = OFFICIAL[name].DESCRIPTOR.fields_by_name
    ours = serving_messages.message_class(name).DESCRIPTOR.fields_by_name
    assert set(ours) <= set(official)
    for field_name, field in ours.items():
        wanted = official[field_name]
        assert field.number == wanted.number
        assert field.type == INT32_FOR_ENUM.get(wanted.type, wanted.type)
        assert field.is_repeated == wanted.is_repeated
        if wanted.message_type is not None:
            is_map = wanted.message_type.GetOptions().map_entry
            assert field.message_type.GetOptions().map_entry == is_map


def test_a_request_means_the_same_to_both() -> None:
    """Bytes of one class are read by the other."""
    ours = serving_messages.PredictRequest(output_filter=["y"])
    ours.model_spec.name = "m"
    ours.model_spec.version_label = "stable"
    ours.inputs["x"].dtype = 1
    ours.inputs["x"].tensor_content = b"1234"
    theirs = predict_pb2.PredictRequest.FromString(ours.SerializeToString())
    assert theirs.model_spec.version_label == "stable"
    assert theirs.inputs["x"].tensor_content == b"1234"
    assert serving_messages.PredictRequest.FromString(theirs.SerializeToString()) == ours


def test_states_are_the_official_ones() -> None:
    """Number and name of every state."""
    official = get_model_status_pb2.ModelVersionStatus.State.items()
    assert {number: name for name, number in official} == serving_messages.MODEL_STATES


def path_of(file: Any, service: str, method: str) -> str:
    """A method's path on the wire, by its official descriptor."""
    full_name = file.DESCRIPTOR.services_by_name[service].methods_by_name[method].full_name
    return "/{}/{}".format(*full_name.rsplit(".", 1))


def test_methods_are_the_official_ones() -> None:
    """Paths of the two calls."""
    predict = path_of(prediction_service_pb2, "PredictionService", "Predict")
    status = path_of(model_service_pb2, "ModelService", "GetModelStatus")
    assert (predict, status) == (serving_messages.PREDICT, serving_messages.GET_MODEL_STATUS)


def test_the_client_does_not_load_tensorflow() -> None:
    """It would cost the service seconds and hundreds of megabytes."""
    code = "import sys, inference.model_client; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
