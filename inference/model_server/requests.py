"""The requests of the API, whichever way they come in: gRPC and REST both end here.

Source: prediction_service_impl.cc, get_model_status_impl.cc, get_model_metadata_impl.cc.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import numpy as np
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

from inference.model_server import classify as examples
from inference.model_server import predict as tensors
from inference.model_server.core import ServerCore
from inference.model_server.errors import from_exception, invalid_argument
from inference.model_server.metrics import Metrics
from inference.model_server.servable import Servable
from inference.model_server.states import VersionStatus

SIGNATURE_DEF: Final = "signature_def"
# The real server tells its two runtimes apart; ours is a session, as its TF1 runtime is.
_RUNTIME: Final = "TF1"

Answer = Callable[[Servable, Any, int | None, tensors.Timed], Any]


class Requests:
    """Answers requests with the models that a core holds, and counts them.

    Every method takes a request message of `tensorflow_serving.apis` and returns its response
    message, or raises ServingError.

    Args:
        core: the models.
        metrics: where requests are counted.
        tensor_content: whether Predict answers with `tensor_content` or with typed fields.
    """

    def __init__(self, core: ServerCore, metrics: Metrics, tensor_content: bool = True) -> None:
        self._core = core
        self._metrics = metrics
        self._predict: Answer = partial(tensors.predict, typed=not tensor_content)

    def predict(self, request: Any) -> Any:
        """Tensors in, tensors out."""
        return self._infer("Predict", self._predict, request)

    def classify(self, request: Any) -> Any:
        """Examples in, classes out."""
        return self._infer("Classify", examples.classify, request)

    def regress(self, request: Any) -> Any:
        """Examples in, values out."""
        return self._infer("Regress", examples.regress, request)

    def multi_inference(self, request: Any) -> Any:
        """Examples in, several signatures' results out.

        Of these the real server measures no latency; it counts the examples of these alone.
        """
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()

        def counting(run: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
            values = run()
            count = examples.count(request.input)
            self._metrics.example_counts.observe(count, spec.name)
            self._metrics.example_total.add(spec.name, by=count)
            return values

        with self._core.lease(spec) as lease:
            return examples.multi_inference(lease.servable, request, lease.version, counting)

    def metadata(self, request: Any) -> Any:
        """The signatures of a version (`GetModelMetadata`)."""
        spec = _spec(request)
        if not request.metadata_field:
            raise invalid_argument(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise invalid_argument(f"Metadata field {field} is not supported")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        signatures = get_model_metadata_pb2.SignatureDefMap()
        with self._core.lease(spec) as lease:
            for name, signature in lease.servable.signatures.items():
                signatures.signature_def[name].CopyFrom(signature)
            response.model_spec.version.value = lease.version
        response.model_spec.name = spec.name
        response.metadata[SIGNATURE_DEF].Pack(signatures)
        return response

    def status(self, request: Any) -> Any:
        """The states of a model's versions (`GetModelStatus`)."""
        spec = _spec(request)
        version = spec.version.value if spec.WhichOneof("version_choice") == "version" else None
        response = get_model_status_pb2.GetModelStatusResponse()
        for number, status in self._core.statuses(spec.name, version).items():
            _fill_status(response.model_version_status.add(version=number), status)
        return response

    def signature_inputs(self, spec: Any) -> dict[str, Any]:
        """A signature's `TensorInfo`s by input; REST needs them to read JSON."""
        name = spec.signature_name or tensors.DEFAULT_SIGNATURE
        with self._core.lease(spec) as lease:
            if name not in lease.servable.signatures:
                raise invalid_argument(
                    f'Serving signature name: "{name}" not found in signature def'
                )
            return dict(lease.servable.signatures[name].inputs)

    def _infer(self, api: str, answer: Answer, request: Any) -> Any:
        spec = _spec(request)
        with self._core.lease(spec) as lease:
            return answer(lease.servable, request, lease.version, self._timed(spec.name, api))

    def _timed(self, model: str, api: str) -> tensors.Timed:
        def timed(run: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
            started = time.perf_counter()
            values = run()
            elapsed_us = (time.perf_counter() - started) * 1e6
            self._metrics.runtime_latency.observe(elapsed_us, model, api, _RUNTIME)
            return values

        return timed


@contextmanager
def counted(
    metrics: Metrics, api: str, entrypoint: str, model: Callable[[], str]
) -> Iterator[None]:
    """Count a request by the status that its caller sees, and its latency if it succeeded.

    Args:
        metrics: where.
        api: Predict, Classify...
        entrypoint: GRPC or REST.
        model: the model's name; asked at the end, when REST knows it.
    """
    started = time.perf_counter()
    try:
        yield
    except Exception as error:
        metrics.request_count.add(model(), from_exception(error).code.name)
        raise
    elapsed_us = (time.perf_counter() - started) * 1e6
    metrics.request_latency.observe(elapsed_us, model(), api, entrypoint)
    metrics.request_count.add(model(), "OK")


def _spec(request: Any) -> Any:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    return request.model_spec


def _fill_status(entry: Any, status: VersionStatus) -> None:
    entry.state = int(status.state)
    # An error code of 0 is OK; touching it makes the field present, as the real server's is.
    entry.status.SetInParent()
    if status.error is not None:
        entry.status.error_code = status.error.number
        entry.status.error_message = status.error.message
