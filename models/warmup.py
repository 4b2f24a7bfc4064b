"""Warm-up records: what TensorFlow Serving asks a new version before it calls it available."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from online_features.rings import DAY_S

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


def impersonal(call: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """A real call made to be about nobody, of the same size: for files that outlive an erasure.

    It has no user; a history has as many events as before, at random among the places that were
    asked for, at random times of the last four weeks; of the moment the day is left.

    Args:
        call: inputs of either model, by name.
    """
    made = dict(call)
    rng = np.random.default_rng(0)
    if "user_id" in made:
        made["user_id"] = np.full_like(made["user_id"], _none_of(made["user_id"]))
    if "history_ids" in made:
        there = made["history_ids"] != _none_of(made["history_ids"])
        count = int(there.sum())
        drawn = {
            "history_ids": rng.choice(made["place_ids"].ravel(), count),
            "history_age_s": np.sort(rng.uniform(0, 28 * DAY_S, count)),
            "history_kind": rng.permutation(made["history_kind"][there]),
        }
        for name, values in drawn.items():
            made[name] = made[name].copy()
            made[name][there] = values
        made["moment_s"] = made["moment_s"] // int(DAY_S) * int(DAY_S)
    return made


def _none_of(ids: NDArray[Any]) -> int | bytes:
    """What stands for no id, among hashes or among strings."""
    return b"" if ids.dtype.hasobject else 0


def write_warmup(
    directory: Path, model: str, calls: Mapping[str, Sequence[Mapping[str, NDArray[Any]]]]
) -> None:
    """Write the calls of each signature, by input name, as records beside the model.

    The records are `impersonal`.
    """
    path = directory / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, asked in calls.items():
            for inputs in asked:
                record = prediction_log(model, impersonal(inputs), signature)
                writer.write(record.SerializeToString())
