"""The client of the model server: TF Serving's gRPC protocol, asynchronous, numpy in and out.

One channel lives for the process and every call has a deadline (DESIGN, D5). The same code talks
to the embedded server and to `tensorflow/serving`, and to several of them at once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio
import numpy as np

from inference import serving_messages as messages
from inference.tensor_codec import BadTensor, decode, encode

_CHANNEL_OPTIONS: Final[list[tuple[str, Any]]] = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A model server that comes back is used again within a second, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]


# For several servers: calls go round over those that say that they serve (gRPC's proposal A17; who
# does not speak grpc.health.v1 counts as serving), and a call that met an ending one goes to
# another. With one server a second try would only cost the caller time. One that hangs says
# nothing: who failed at half of a second's calls is left out, for longer each time (A50).
_OUTLIERS: Final = {
    "interval": "1s",
    "baseEjectionTime": "2s",
    "maxEjectionTime": "10s",
    "maxEjectionPercent": 50,
    "failurePercentageEjection": {
        "threshold": 50,
        "enforcementPercentage": 100,
        "minimumHosts": 2,
        "requestVolume": 3,
    },
    "childPolicy": [{"round_robin": {}}],
}
_SEVERAL: Final = {
    "loadBalancingConfig": [{"outlier_detection_experimental": _OUTLIERS}],
    "healthCheckConfig": {"serviceName": "PredictionService"},
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 2,
                "initialBackoff": "0.01s",
                "maxBackoff": "0.01s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}
_SIGNATURE_DEF: Final = "signature_def"
#: Stands for any size in the shape that an output must have.
ANY = -1


class ModelError(Exception):
    """A model gave no usable answer; `model` names it."""

    def __init__(self, model: str, message: str) -> None:
        super().__init__(f"{model}: {message}")
        self.model = model
        self.message = message


class ModelUnavailable(ModelError):
    """The call failed; `code` is gRPC's status (DEADLINE_EXCEEDED, NOT_FOUND, UNAVAILABLE...)."""

    def __init__(self, model: str, code: grpc.StatusCode, message: str) -> None:
        super().__init__(model, f"{code.name}: {message}")
        self.code = code


class BadModelAnswer(ModelError):
    """The call succeeded, but an output is missing, of the wrong shape, or not finite."""


@dataclass(frozen=True)
class Prediction:
    """What a model answered.

    Attributes:
        outputs: by name.
        version: that computed them.
        signatures: what else that version can be asked; empty where nobody has looked.
    """

    outputs: dict[str, np.ndarray]
    version: int
    signatures: frozenset[str] = frozenset()


class ModelClient:
    """Asks models by their version label.

    Args:
        target: gRPC address of the model server, `host:port`, or of several,
            `ipv4:HOST:PORT,HOST:PORT`: one of them may then end without a call failing.
        label: version label to ask for; empty asks for the latest version.
    """

    def __init__(self, target: str, label: str) -> None:
        self._target = target
        self._label = label
        self._channel: grpc.aio.Channel | None = None
        self._predict: Any = None
        self._status: Any = None
        self._metadata: Any = None

    def _connect(self) -> None:
        """Open the channel on first use: it belongs to the event loop that is running then."""
        if self._channel is not None:
            return
        options = list(_CHANNEL_OPTIONS)
        if "," in self._target:
            options.append(("grpc.service_config", json.dumps(_SEVERAL)))
        self._channel = grpc.aio.insecure_channel(self._target, options=options)
        self._predict = self._channel.unary_unary(
            messages.PREDICT,
            request_serializer=messages.PredictRequest.SerializeToString,
            response_deserializer=messages.PredictResponse.FromString,
        )
        self._status = self._channel.unary_unary(
            messages.GET_MODEL_STATUS,
            request_serializer=messages.GetModelStatusRequest.SerializeToString,
            response_deserializer=messages.GetModelStatusResponse.FromString,
        )

        self._metadata = self._channel.unary_unary(
            messages.GET_MODEL_METADATA,
            request_serializer=messages.GetModelMetadataRequest.SerializeToString,
            response_deserializer=messages.GetModelMetadataResponse.FromString,
        )

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, tuple[int, ...]],
        timeout_s: float,
        signature: str = "",
    ) -> Prediction:
        """Run a signature.

        Args:
            model: the model's name.
            inputs: by input name, each `[batch, ...]`.
            outputs: names of the outputs wanted, each with the shape that it must have, in
                which `ANY` stands for any size; other outputs are not computed.
            timeout_s: deadline of the call, seconds from now.
            signature: its name; empty: the default one.

        Raises:
            ModelUnavailable: the call failed or ran out of time.
            BadModelAnswer: an output is missing, of the wrong shape, or holds NaN or infinity.
        """
        self._connect()
        request = messages.PredictRequest()
        request.model_spec.name = model
        if self._label:
            request.model_spec.version_label = self._label
        if signature:
            request.model_spec.signature_name = signature
        for name, array in inputs.items():
            encode(array, request.inputs[name])
        request.output_filter.extend(outputs)
        response = await self._call(self._predict, request, model, timeout_s)
        return Prediction(
            outputs={
                name: _checked(model, name, response.outputs, shape)
                for name, shape in outputs.items()
            },
            version=response.model_spec.version.value,
        )

    async def status(self, model: str, timeout_s: float = 1.0) -> dict[int, str]:
        """Return the state of every version that the server knows, such as `{3: "AVAILABLE"}`.

        Empty if the server does not know the model.

        Raises:
            ModelUnavailable: the call failed or ran out of time.
        """
        self._connect()
        request = messages.GetModelStatusRequest()
        request.model_spec.name = model
        try:
            response = await self._call(self._status, request, model, timeout_s)
        except ModelUnavailable as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return {}
            raise
        return {
            entry.version: messages.MODEL_STATES.get(entry.state, str(entry.state))
            for entry in response.model_version_status
        }

    async def signatures(
        self, model: str, version: int, timeout_s: float
    ) -> dict[str, dict[str, tuple[int, ...]]]:
        """Return the shape of each input of each signature of a version; `ANY` where it is open.

        Raises:
            ModelUnavailable: the call failed or ran out of time.
        """
        self._connect()
        request = messages.GetModelMetadataRequest(metadata_field=[_SIGNATURE_DEF])
        request.model_spec.name = model
        request.model_spec.version.value = version
        response = await self._call(self._metadata, request, model, timeout_s)
        packed = response.metadata[_SIGNATURE_DEF].value
        found = messages.SignatureDefMap.FromString(packed).signature_def
        return {
            name: {
                alias: tuple(dim.size for dim in info.tensor_shape.dim)
                for alias, info in signature.inputs.items()
            }
            for name, signature in found.items()
        }

    async def close(self) -> None:
        """Close the channel; calls under way are cancelled."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    async def _call(self, method: Any, request: Any, model: str, timeout_s: float) -> Any:
        try:
            return await method(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise ModelUnavailable(model, error.code(), error.details() or "") from error


def _checked(
    model: str, name: str, outputs: Mapping[str, Any], shape: tuple[int, ...]
) -> np.ndarray:
    if name not in outputs:
        raise BadModelAnswer(model, f"output {name!r} is missing")
    try:
        array = decode(outputs[name])
    except BadTensor as error:
        raise BadModelAnswer(model, f"output {name!r}: {error}") from error
    sizes = zip(array.shape, shape, strict=False)
    if array.ndim != len(shape) or any(wanted not in (got, ANY) for got, wanted in sizes):
        wanted = ["any" if size == ANY else size for size in shape]
        raise BadModelAnswer(model, f"output {name!r} has shape {list(array.shape)}, not {wanted}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadModelAnswer(model, f"output {name!r} holds NaN or infinity")
    return array
