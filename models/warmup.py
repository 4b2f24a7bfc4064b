"""Warm-up records: what TensorFlow Serving asks a new version before it calls it available."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

#: Where TensorFlow Serving looks, within a version's directory.
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"


def prediction_log(
    model: str, inputs: Mapping[str, NDArray[Any]], signature: str = "serving_default"
) -> Any:
    """One call of a signature as a `PredictionLog`; tensors travel as `tensor_content`."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(np.ascontiguousarray(values)))
    return prediction_log_pb2.PredictionLog(
        predict_log=prediction_log_pb2.PredictLog(request=request)
    )


def write_warmup(
    directory: Path, model: str, calls: Mapping[str, Sequence[Mapping[str, NDArray[Any]]]]
) -> None:
    """Write the calls of each signature, by input name, as records beside the model."""
    path = directory / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, asked in calls.items():
            for inputs in asked:
                writer.write(prediction_log(model, inputs, signature).SerializeToString())
