"""Classify, Regress and MultiInference: signatures that read serialized `tf.Example`s.

Whether a signature fits is judged by its inputs and outputs, not by its method's name, as the real
server does unless told otherwise. Source: classifier.cc, regressor.cc, multi_inference.cc.
"""

from collections.abc import Sequence
from typing import Any, Final

import grpc
import numpy as np
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from inference.model_server.errors import ServingError, invalid_argument
from inference.model_server.predict import DEFAULT_SIGNATURE, Timed, fill_model_spec, untimed
from inference.model_server.servable import Servable, SignatureDef

INPUTS: Final = "inputs"
CLASSES: Final = "classes"
SCORES: Final = "scores"
OUTPUTS: Final = "outputs"
CLASSIFY_METHOD: Final = "tensorflow/serving/classify"
REGRESS_METHOD: Final = "tensorflow/serving/regress"


def classify(servable: Servable, request: Any, version: int | None, timed: Timed = untimed) -> Any:
    """Answer a `ClassificationRequest`.

    Raises:
        ServingError: INVALID_ARGUMENT; the signature is no classification, or the input is empty.
    """
    signature = _signature(servable, request.model_spec)
    _check_classification(signature)
    response = classification_pb2.ClassificationResponse()
    fill_model_spec(
        response.model_spec,
        request.model_spec.name,
        request.model_spec.signature_name or DEFAULT_SIGNATURE,
        version,
    )
    values, examples = _run(servable, [signature], request.input, timed)
    _fill_classifications(signature, values, examples, response.result)
    return response


def regress(servable: Servable, request: Any, version: int | None, timed: Timed = untimed) -> Any:
    """Answer a `RegressionRequest`.

    Raises:
        ServingError: INVALID_ARGUMENT; the signature is no regression, or the input is empty.
    """
    signature = _signature(servable, request.model_spec)
    _check_regression(signature)
    response = regression_pb2.RegressionResponse()
    fill_model_spec(
        response.model_spec,
        request.model_spec.name,
        request.model_spec.signature_name or DEFAULT_SIGNATURE,
        version,
    )
    values, examples = _run(servable, [signature], request.input, timed)
    _fill_regressions(signature, values, examples, response.result)
    return response


def multi_inference(
    servable: Servable, request: Any, version: int | None, timed: Timed = untimed
) -> Any:
    """Answer a `MultiInferenceRequest`: several such signatures of one model in one run.

    Raises:
        ServingError: INVALID_ARGUMENT or UNIMPLEMENTED; a task is not as it must be.
    """
    signatures = _task_signatures(servable, request.tasks)
    values, examples = _run(servable, list(signatures.values()), request.input, timed)
    response = inference_pb2.MultiInferenceResponse()
    for task, (name, signature) in zip(request.tasks, signatures.items(), strict=True):
        result = response.results.add()
        if task.method_name == CLASSIFY_METHOD:
            _fill_classifications(signature, values, examples, result.classification_result)
        else:
            _fill_regressions(signature, values, examples, result.regression_result)
        fill_model_spec(result.model_spec, task.model_spec.name, name, version)
    return response


def _task_signatures(servable: Servable, tasks: Sequence[Any]) -> dict[str, SignatureDef]:
    signatures: dict[str, SignatureDef] = {}
    for task in tasks:
        if not task.model_spec.name:
            raise invalid_argument("Found ModelSpec with an empty model name.")
        if task.model_spec.name != tasks[0].model_spec.name:
            raise invalid_argument(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in signatures:
            raise invalid_argument(f"Duplicate evaluation of signature: {name}")
        signature = servable.signatures.get(name)
        if signature is None:
            raise invalid_argument(f"Requested signature not found in model graph: {name}")
        if task.method_name == CLASSIFY_METHOD:
            _check_classification(signature)
        elif task.method_name == REGRESS_METHOD:
            _check_regression(signature)
        else:
            raise ServingError(
                grpc.StatusCode.UNIMPLEMENTED,
                f"Unsupported signature method_name: {task.method_name}",
            )
        signatures[name] = signature
    return signatures


def _signature(servable: Servable, spec: Any) -> SignatureDef:
    name = spec.signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise invalid_argument(f"No signature was found with the name: {name}")
    return signature


def _check_classification(signature: SignatureDef) -> None:
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid_argument(
            f"Expected one or two output Tensors, found {len(signature.outputs)}"
        )
    if INPUTS not in signature.inputs:
        raise invalid_argument(f"No classification inputs found in SignatureDef: {signature}")
    if CLASSES not in signature.outputs and SCORES not in signature.outputs:
        raise invalid_argument(
            "Expected classification signature outputs to contain at least one of "
            f'"{CLASSES}" or "{SCORES}". Signature was: {signature}'
        )


def _check_regression(signature: SignatureDef) -> None:
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    if INPUTS not in signature.inputs:
        raise invalid_argument(f"No regression inputs found in SignatureDef: {signature}")
    if OUTPUTS not in signature.outputs:
        raise invalid_argument(f"No regression outputs found in SignatureDef: {signature}")


def count(request_input: Any) -> int:
    """How many examples an `Input` has."""
    return len(_listed(request_input).examples)


def _listed(request_input: Any) -> Any:
    """Whichever list the request has: that with a shared context, or the plain one."""
    kind = request_input.WhichOneof("kind")
    return getattr(request_input, kind or "example_list")


def _serialized_examples(request_input: Any) -> np.ndarray:
    """The request's examples as bytes; a shared context is merged in by joining the bytes."""
    listed = _listed(request_input)
    has_context = request_input.WhichOneof("kind") == "example_list_with_context"
    context = listed.context.SerializeToString() if has_context else b""
    if not listed.examples:
        raise invalid_argument("Input is empty.")
    return np.array([context + e.SerializeToString() for e in listed.examples], dtype=object)


def _run(
    servable: Servable, signatures: Sequence[SignatureDef], request_input: Any, timed: Timed
) -> tuple[dict[str, np.ndarray], int]:
    """Run signatures together; returns values by tensor name and the number of examples."""
    examples = _serialized_examples(request_input)
    feeds = dict.fromkeys(sorted({s.inputs[INPUTS].name for s in signatures}), examples)
    known = (CLASSES, SCORES, OUTPUTS)
    tensors = sorted({s.outputs[a].name for s in signatures for a in known if a in s.outputs})
    results = timed(lambda: servable.run(feeds, tensors))
    return dict(zip(tensors, results, strict=True)), len(examples)


def _output(
    signature: SignatureDef, alias: str, values: dict[str, np.ndarray]
) -> np.ndarray | None:
    return values[signature.outputs[alias].name] if alias in signature.outputs else None


def _fill_classifications(
    signature: SignatureDef, values: dict[str, np.ndarray], examples: int, result: Any
) -> None:
    classes = _output(signature, CLASSES, values)
    scores = _output(signature, SCORES, values)
    _check_output(CLASSES, classes, np.dtype(object), "DT_STRING", examples)
    _check_output(SCORES, scores, np.dtype(np.float32), "DT_FLOAT", examples)
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise invalid_argument(
            "Tensors class and score should match in dim_size(1). Got "
            f"{classes.shape[1]} vs. {scores.shape[1]}"
        )
    for row in range(examples):
        classifications = result.classifications.add()
        width = next(v.shape[1] for v in (classes, scores) if v is not None)
        for column in range(width):
            entry = classifications.classes.add()
            if classes is not None:
                entry.label = classes[row, column].decode("utf-8", "replace")
            if scores is not None:
                entry.score = scores[row, column]


def _check_output(
    alias: str, value: np.ndarray | None, dtype: np.dtype[Any], dtype_name: str, examples: int
) -> None:
    if value is None:
        return
    if value.ndim != 2:
        raise invalid_argument(
            f"Expected Tensor shape: [batch_size num_classes] but got {_shape(value)}"
        )
    if value.dtype != dtype:
        raise invalid_argument(f"Expected {alias} Tensor of {dtype_name}. Got: {value.dtype}")
    if value.shape[0] != examples:
        raise invalid_argument(
            f"Expected {alias} output batch size of {examples}. Got: {value.shape[0]}"
        )


def _fill_regressions(
    signature: SignatureDef, values: dict[str, np.ndarray], examples: int, result: Any
) -> None:
    value = values[signature.outputs[OUTPUTS].name]
    if not (value.ndim == 1 or (value.ndim == 2 and value.shape[1] == 1)):
        raise invalid_argument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{_shape(value)}"
        )
    if value.shape[0] != examples:
        raise invalid_argument(
            f"Input batch size did not match output batch size: {examples} vs. {value.shape[0]}"
        )
    if value.dtype != np.float32:
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {value.dtype}")
    for number in value.reshape(-1):
        result.regressions.add(value=number)


def _shape(value: np.ndarray) -> str:
    return "[" + ",".join(str(size) for size in value.shape) + "]"
