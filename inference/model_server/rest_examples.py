"""Bodies of `:classify` and `:regress`: JSON objects to `tf.Example`s, and results to JSON.

Source: json_tensor.cc.
"""

from typing import Any, Final

import numpy as np

from inference.model_server.errors import ServingError, invalid_argument
from inference.model_server.json_debug import debug_string
from inference.model_server.json_values import (
    decode_base64,
    is_base64,
    json_type,
    to_bytes,
)

_CONTEXT: Final = "context"
_EXAMPLES: Final = "examples"
_INT64: Final = np.iinfo(np.int64)


def fill_examples(document: dict[str, Any], request_input: Any) -> None:
    """Fill a request's `Input` from a body's examples and their shared context.

    Raises:
        ServingError: INVALID_ARGUMENT; the body is not of that form.
    """
    if _CONTEXT in document:
        listed = request_input.example_list_with_context
        _fill_example(document[_CONTEXT], listed.context)
    else:
        listed = request_input.example_list
    examples = document.get(_EXAMPLES)
    if _EXAMPLES not in document:
        raise _format_error(
            document, f"When method is classify, key '{_EXAMPLES}' is expected and was not found"
        )
    if not isinstance(examples, list):
        raise _format_error(document, f"Expecting '{_EXAMPLES}' value to be an list/array")
    if not examples:
        raise _format_error(document, f"'{_EXAMPLES}' value is an empty array")
    for value in examples:
        _fill_example(value, listed.examples.add())


def classification_answer(response: Any) -> dict[str, Any]:
    """Turn a `ClassificationResponse` into its body: per example, pairs of label and score."""
    return {
        "results": [
            [[entry.label, _number(entry.score)] for entry in classifications.classes]
            for classifications in response.result.classifications
        ]
    }


def regression_answer(response: Any) -> dict[str, Any]:
    """Turn a `RegressionResponse` into its body: a value for each example."""
    return {"results": [_number(entry.value) for entry in response.result.regressions]}


def _number(value: float) -> float:
    """The shortest digits that give the float32 back."""
    return float(str(np.float32(value)))


def _format_error(document: Any, problem: str) -> ServingError:
    return invalid_argument(f"JSON Value: {debug_string(document)} {problem}")


def _fill_example(value: Any, example: Any) -> None:
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {json_type(value)}")
    for name, content in value.items():
        feature = example.features.feature[name]
        for item in content if isinstance(content, list) else [content]:
            _add_value(item, name, feature)


def _add_value(value: Any, name: str, feature: Any) -> None:
    """Append a value. First its JSON type is judged, then its kind of list, then itself."""
    kind = _kind(value, name)
    current = feature.WhichOneof("kind")
    if current not in (None, kind):
        raise invalid_argument(
            f"Unexpected element type in feature: {name} expecting type: "
            f"{current.removesuffix('_list')}"
        )
    getattr(feature, kind).value.append(_converted(value, name))


def _kind(value: Any, name: str) -> str:
    """The kind of list that a JSON value belongs in."""
    if isinstance(value, int):
        return "int64_list"
    if isinstance(value, float):
        return "float_list"
    if isinstance(value, str) or is_base64(value):
        return "bytes_list"
    raise invalid_argument(
        f"Feature: {name} has element with unexpected JSON type: {json_type(value)}"
    )


def _converted(value: Any, name: str) -> Any:
    """The value as its list holds it."""
    if isinstance(value, str):
        return to_bytes(value)
    if isinstance(value, dict):
        return decode_base64(value)
    if isinstance(value, float):
        return value
    if not _INT64.min <= value <= _INT64.max:
        raise invalid_argument(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    return int(value)
