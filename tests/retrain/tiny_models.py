"""The smallest pair that a model server can load; it answers with its own version."""

from typing import Any

import grpc
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from contracts.settings import Settings
from retrain.model_config import MODELS


class _Tiny(tf.Module):  # type: ignore[misc] # TensorFlow is untyped
    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = version

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "x")])  # type: ignore[untyped-decorator]
    def serve(self, x: Any) -> Any:
        return {"version": tf.fill(tf.shape(x), tf.constant(self.version, tf.int64))}


def export(settings: Settings, version: int) -> None:
    """Export a pair whose answer to anything is its version."""
    for name in MODELS:
        module = _Tiny(version)
        path = settings.models_dir / name / str(version)
        tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})


def break_model(settings: Settings, name: str, version: int) -> None:
    """Damage an exported model."""
    path = settings.models_dir / name / str(version) / "saved_model.pb"
    path.write_bytes(b"not a graph")


def answer(settings: Settings, name: str, label: str) -> int | str:
    """The version that answers under a label, or the name of the error's status."""
    request = PredictRequest()
    request.model_spec.name = name
    request.model_spec.version_label = label
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([7], tf.int64))
    with grpc.insecure_channel(settings.model_server) as channel:
        try:
            reply = PredictionServiceStub(channel).Predict(request, timeout=5)
        except grpc.RpcError as error:
            return str(error.code().name)
    return int(tf.make_ndarray(reply.outputs["version"])[0])
