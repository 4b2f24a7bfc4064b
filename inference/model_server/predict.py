"""Predict: a request's tensors through a signature, and the answer (predict_util.cc)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import grpc
import numpy as np
from tensorflow_serving.apis import predict_pb2

from inference.model_server.errors import ServingError, failed_precondition, invalid_argument
from inference.model_server.servable import Servable, SignatureDef
from inference.tensor_codec import BadTensor, decode, encode

DEFAULT_SIGNATURE: Final = "serving_default"

Timed = Callable[[Callable[[], list[np.ndarray]]], list[np.ndarray]]
"""Runs the model and measures it."""


def untimed(run: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
    """Run the model and measure nothing."""
    return run()


def predict(
    servable: Servable,
    request: Any,
    version: int | None,
    timed: Timed = untimed,
    *,
    typed: bool = False,
) -> Any:
    """Answer a `PredictRequest` with a `PredictResponse`.

    Args:
        servable: the model's version that was resolved.
        request: inputs and output filter by the signature's aliases.
        version: named in the answer.
        timed: wraps the computation alone.
        typed: see `tensor_codec.encode`.

    Raises:
        ServingError: FAILED_PRECONDITION for an unknown signature, INVALID_ARGUMENT for wrong
            inputs or outputs, or what TensorFlow says of the values.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise failed_precondition(f'Serving signature key "{name}" not found.')
    _check_inputs(signature, request.inputs)
    feeds = _feeds(signature, request.inputs)
    aliases = _wanted(signature, request.output_filter)
    # Two aliases may name one tensor; it is fetched once.
    tensors = sorted({signature.outputs[alias].name for alias in aliases})
    values = dict(zip(tensors, timed(lambda: servable.run(feeds, tensors)), strict=True))
    response = predict_pb2.PredictResponse()
    for alias in aliases:
        _answer(alias, values[signature.outputs[alias].name], response, typed)
    fill_model_spec(response.model_spec, request.model_spec.name, name, version)
    return response


def fill_model_spec(spec: Any, model: str, signature: str, version: int | None) -> None:
    """Say in an answer which model, signature and version computed it (MakeModelSpec)."""
    spec.name = model
    spec.signature_name = signature
    if version is not None:
        spec.version.value = version


def _joined(names: Iterable[str]) -> str:
    return ",".join(sorted(names))


def _check_inputs(signature: SignatureDef, inputs: Mapping[str, Any]) -> None:
    got, wanted = len(inputs), len(signature.inputs)
    if got > wanted or (got < wanted and not signature.defaults):
        sent, known = set(inputs), set(signature.inputs)
        raise invalid_argument(
            f"input size does not match signature: {got}!={wanted} "
            f"len({{{_joined(sent)}}}) != len({{{_joined(known)}}}). "
            f"Sent extra: {{{_joined(sent - known)}}}. "
            f"Missing but required: {{{_joined(known - sent)}}}."
        )


def _feeds(signature: SignatureDef, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The graph's placeholders with the request's values (tensorflow/cc/saved_model/util.cc)."""
    feeds: dict[str, np.ndarray] = {}
    used: list[str] = []
    for alias in sorted(signature.inputs):
        tensor_name = signature.inputs[alias].name
        if alias in inputs:
            used.append(alias)
            proto = inputs[alias]
        elif alias in signature.defaults:
            proto = signature.defaults[alias]
        else:
            raise invalid_argument(
                f"Signature input alias: {alias}(feed name: {tensor_name}) not found in request "
                "and no default value provided. Inputs expected to be in the request "
                f"{{{_joined(inputs)}}}, or default input alias set: {_joined(signature.defaults)}"
            )
        try:
            feeds[tensor_name] = decode(proto)
        except BadTensor as error:
            raise invalid_argument(f"tensor parsing error: {alias}") from error
    if inputs and len(used) != len(inputs):
        raise invalid_argument(
            f"Inputs contains invalid name. Used request inputs: {_joined(used)}, "
            f"request input: {_joined(inputs)}"
        )
    return feeds


def _wanted(signature: SignatureDef, output_filter: Iterable[str]) -> list[str]:
    aliases: list[str] = []
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in "
                f"the set {{{_joined(signature.outputs)}}}."
            )
        if alias in aliases:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        aliases.append(alias)
    return aliases or sorted(signature.outputs)


def _answer(alias: str, value: np.ndarray, response: Any, typed: bool) -> None:
    try:
        encode(np.asarray(value), response.outputs[alias], typed=typed)
    except BadTensor as error:
        raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"output {alias}: {error}") from error
