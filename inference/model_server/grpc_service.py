"""PredictionService and ModelService over gRPC.

Source: prediction_service_impl.cc, model_service_impl.cc.
"""

from collections.abc import Callable
from typing import Any, Final

import grpc
import structlog
from tensorflow_serving.apis import (
    model_management_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from inference.model_server.core import ServerCore
from inference.model_server.errors import ServingError, from_exception, invalid_argument
from inference.model_server.metrics import Metrics
from inference.model_server.requests import Requests, counted

log = structlog.get_logger(__name__)

Context = grpc.ServicerContext
_GRPC: Final = "GRPC"


def _answer(answer: Callable[[], Any], context: Context) -> Any:
    """Answer, or end the call with the status of what went wrong."""
    try:
        return answer()
    except Exception as error:
        if not isinstance(error, ServingError):
            log.exception("request_failed")
        failure = from_exception(error)
        context.abort(failure.code, failure.wire_message)


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Inference calls.

    A call that has waited for a thread past its deadline is not computed: nobody reads the answer.
    """

    def __init__(self, requests: Requests, metrics: Metrics) -> None:
        self._requests = requests
        self._metrics = metrics

    def Predict(self, request: Any, context: Context) -> Any:
        """See `Requests.predict`."""
        return self._counted("Predict", self._requests.predict, request, context)

    def Classify(self, request: Any, context: Context) -> Any:
        """See `Requests.classify`."""
        return self._counted("Classify", self._requests.classify, request, context)

    def Regress(self, request: Any, context: Context) -> Any:
        """See `Requests.regress`."""
        return self._counted("Regress", self._requests.regress, request, context)

    def MultiInference(self, request: Any, context: Context) -> Any:
        """See `Requests.multi_inference`; the real server does not count these."""

        def run() -> Any:
            _check_deadline(context)
            return self._requests.multi_inference(request)

        return _answer(run, context)

    def GetModelMetadata(self, request: Any, context: Context) -> Any:
        """See `Requests.metadata`."""
        return _answer(lambda: self._requests.metadata(request), context)

    def _counted(
        self, api: str, answer: Callable[[Any], Any], request: Any, context: Context
    ) -> Any:
        def run() -> Any:
            with counted(self._metrics, api, _GRPC, lambda: str(request.model_spec.name)):
                _check_deadline(context)
                return answer(request)

        return _answer(run, context)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    """States of models, and new configurations."""

    def __init__(self, core: ServerCore, requests: Requests, metrics: Metrics) -> None:
        self._core = core
        self._requests = requests
        self._metrics = metrics

    def GetModelStatus(self, request: Any, context: Context) -> Any:
        """See `Requests.status`."""
        return _answer(lambda: self._requests.status(request), context)

    def HandleReloadConfigRequest(self, request: Any, context: Context) -> Any:
        """Put a configuration in force and wait for the models that it adds."""
        return _answer(lambda: self._reload(request, context), context)

    def _reload(self, request: Any, context: Context) -> Any:
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        before = {name: self._metrics.total(name) for name in request.metric_names}
        reload = self._core.configure(request.config.model_config_list.config)
        self._core.wait_available(reload, give_up=lambda: not context.is_active())
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        for name, value in before.items():
            response.metric.add(name=name, int64_value_increase=self._metrics.total(name) - value)
        return response


def _check_deadline(context: Context) -> None:
    left_s = context.time_remaining()
    if not context.is_active() or (left_s is not None and left_s <= 0):
        raise ServingError(
            grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the request was run"
        )
