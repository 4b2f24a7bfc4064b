"""The messages of TF Serving's protocol that the client speaks, without TensorFlow's runtime.

`tensorflow_serving.apis` imports the whole of TensorFlow: 3.6 s and 570 MB that the gRPC service
would carry for a handful of messages. Protobuf puts field numbers on the wire, not names of
messages, so the few we need are declared here by number and type (a test compares each with
the official descriptors). They live in a pool of their own and cannot collide with TensorFlow's
where both are loaded. An enum travels as a varint, so `int32` stands for it.

Source: tensorflow_serving/apis/{model,predict,get_model_status,get_model_metadata}.proto,
tensorflow/core/framework/{tensor,tensor_shape}.proto, tensorflow/core/protobuf/meta_graph.proto.
"""

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE: Final = "placestream.serving_messages"
_Field = descriptor_pb2.FieldDescriptorProto

PREDICT: Final = "/tensorflow.serving.PredictionService/Predict"
GET_MODEL_METADATA: Final = "/tensorflow.serving.PredictionService/GetModelMetadata"
GET_MODEL_STATUS: Final = "/tensorflow.serving.ModelService/GetModelStatus"

# message -> field -> (number, type); "[]" marks a repeated field, "{}" a map from string.
FIELDS: Final[dict[str, dict[str, tuple[int, str]]]] = {
    "Dim": {"size": (1, "int64")},
    "TensorShapeProto": {"dim": (2, "Dim[]"), "unknown_rank": (3, "bool")},
    "TensorProto": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "TensorShapeProto"),
        "tensor_content": (4, "bytes"),
        "half_val": (13, "int32[]"),
        "float_val": (5, "float[]"),
        "double_val": (6, "double[]"),
        "int_val": (7, "int32[]"),
        "string_val": (8, "bytes[]"),
        "int64_val": (10, "int64[]"),
        "bool_val": (11, "bool[]"),
        "uint32_val": (16, "uint32[]"),
        "uint64_val": (17, "uint64[]"),
    },
    "Int64Value": {"value": (1, "int64")},
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, "Int64Value"),
        "version_label": (4, "string"),
        "signature_name": (3, "string"),
    },
    "PredictRequest": {
        "model_spec": (1, "ModelSpec"),
        "inputs": (2, "TensorProto{}"),
        "output_filter": (3, "string[]"),
    },
    "PredictResponse": {"model_spec": (2, "ModelSpec"), "outputs": (1, "TensorProto{}")},
    "StatusProto": {"error_code": (1, "int32"), "error_message": (2, "string")},
    "ModelVersionStatus": {
        "version": (1, "int64"),
        "state": (2, "int32"),
        "status": (3, "StatusProto"),
    },
    "GetModelStatusRequest": {"model_spec": (1, "ModelSpec")},
    "GetModelStatusResponse": {"model_version_status": (1, "ModelVersionStatus[]")},
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "GetModelMetadataRequest": {"model_spec": (1, "ModelSpec"), "metadata_field": (2, "string[]")},
    "GetModelMetadataResponse": {"model_spec": (1, "ModelSpec"), "metadata": (2, "Any{}")},
    "TensorInfo": {"tensor_shape": (3, "TensorShapeProto")},
    "SignatureDef": {"inputs": (1, "TensorInfo{}")},
    "SignatureDefMap": {"signature_def": (1, "SignatureDef{}")},
}

MODEL_STATES: Final = {
    0: "UNKNOWN",
    10: "START",
    20: "LOADING",
    30: "AVAILABLE",
    40: "UNLOADING",
    50: "END",
}
"""`ModelVersionStatus.State` by its number."""


def _describe(name: str, number: int, declared: str) -> descriptor_pb2.FieldDescriptorProto:
    kind = declared.rstrip("[]")
    repeated = declared.endswith("[]")
    field = _Field(
        name=name,
        number=number,
        label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL,
    )
    if kind in FIELDS:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
    else:
        field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")
    return field


def _map_field(
    message: descriptor_pb2.DescriptorProto, name: str, number: int, value: str
) -> descriptor_pb2.FieldDescriptorProto:
    """Add a map's entry message, as protoc does, and return the field that repeats it."""
    camel = "".join(part.capitalize() for part in name.split("_"))
    entry = message.nested_type.add(name=f"{camel}Entry")
    entry.options.map_entry = True
    entry.field.extend([_describe("key", 1, "string"), _describe("value", 2, value)])
    return _Field(
        name=name,
        number=number,
        label=_Field.LABEL_REPEATED,
        type=_Field.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.{message.name}.{entry.name}",
    )


def _classes() -> Iterator[tuple[str, Any]]:
    file = descriptor_pb2.FileDescriptorProto(
        name="placestream/serving_messages.proto", package=_PACKAGE, syntax="proto3"
    )
    for message_name, fields in FIELDS.items():
        message = file.message_type.add(name=message_name)
        for name, (number, declared) in fields.items():
            is_map = declared.endswith("{}")
            message.field.append(
                _map_field(message, name, number, declared[:-2])
                if is_map
                else _describe(name, number, declared)
            )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    for message_name in FIELDS:
        descriptor = pool.FindMessageTypeByName(f"{_PACKAGE}.{message_name}")
        yield message_name, message_factory.GetMessageClass(descriptor)


_BY_NAME: Final[dict[str, Any]] = dict(_classes())


def message_class(name: str) -> Any:
    """The class of a message in `FIELDS`."""
    return _BY_NAME[name]


TensorProto: Final = message_class("TensorProto")
PredictRequest: Final = message_class("PredictRequest")
PredictResponse: Final = message_class("PredictResponse")
GetModelStatusRequest: Final = message_class("GetModelStatusRequest")
GetModelStatusResponse: Final = message_class("GetModelStatusResponse")
GetModelMetadataRequest: Final = message_class("GetModelMetadataRequest")
GetModelMetadataResponse: Final = message_class("GetModelMetadataResponse")
SignatureDefMap: Final = message_class("SignatureDefMap")
