"""Warm-up: recorded requests that a version answers before it becomes available.

The first run of a graph optimises it, which takes far longer than any deadline; no caller should
meet it. Source: saved_model_warmup.cc, saved_model_warmup_util.cc.
"""

from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from inference.model_server.classify import classify, multi_inference, regress
from inference.model_server.errors import ServingError, from_exception, invalid_argument
from inference.model_server.predict import predict
from inference.model_server.runtime import tf
from inference.model_server.servable import Servable

REQUESTS_FILE: Final = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS: Final = 1_000

_RUN: Final = {
    "predict_log": predict,
    "classify_log": classify,
    "regress_log": regress,
    "multi_inference_log": multi_inference,
}


def warm_up(servable: Servable) -> int:
    """Replay the version's warm-up records (a TFRecord file of `PredictionLog`), if it has any.

    Returns:
        How many records were run.

    Raises:
        ServingError: a record cannot be read or its request fails; the version must not be served.
    """
    path = servable.path / REQUESTS_FILE
    if not path.is_file():
        return 0
    records = 0
    try:
        for record in tf.compat.v1.io.tf_record_iterator(str(path)):
            records += 1
            if records > MAX_RECORDS:
                raise invalid_argument(
                    f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}"
                )
            _replay(servable, record, path)
    except tf.errors.DataLossError as error:
        raise ServingError(
            grpc.StatusCode.DATA_LOSS,
            f"{error.message}. Please verify your warmup data is in TFRecord format.",
        ) from error
    except tf.errors.OpError as error:
        raise from_exception(error) from error
    return records


def _replay(servable: Servable, record: bytes, path: Path) -> None:
    log: Any = prediction_log_pb2.PredictionLog()
    try:
        log.ParseFromString(record)
    except DecodeError as error:
        raise invalid_argument(f"Failed to parse warmup record from {path}") from error
    kind = log.WhichOneof("log_type")
    if kind is None:
        return
    run = _RUN.get(kind)
    if run is None:
        # The real server's message has the field's number: it prints an enum of C++.
        number = log.DESCRIPTOR.fields_by_name[kind].number
        raise ServingError(
            grpc.StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}"
        )
    run(servable, getattr(log, kind).request, None)
