"""Bodies of the REST API: JSON to the request messages of the API, and answers to JSON.

A Predict body is in rows (`instances`: one element a row) or in columns (`inputs`: one tensor a
name), and its answer likewise (`predictions`, `outputs`). Source: json_tensor.cc.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal

import numpy as np

from inference.model_server.errors import ServingError, invalid_argument
from inference.model_server.json_debug import debug_string
from inference.model_server.json_values import is_base64, to_array, to_json
from inference.tensor_codec import decode, encode

Format = Literal["row", "columnar"]
TensorInfos = Mapping[str, Any]
"""A signature's `TensorInfo`s by input."""

_SIGNATURE: Final = "signature_name"
_INSTANCES: Final = "instances"
_INPUTS: Final = "inputs"

_LEAST: Final = -(2**63)
_MOST: Final = 2**64 - 1
_MOST_DIGITS: Final = len(str(_MOST))
# The first half of a pair must be followed by the second; the second alone is let through.
_ESCAPED_HIGH: Final = re.compile(r"\\u[dD][89abAB]")
_HIGH: Final = re.compile("[\ud800-\udbff]")


@contextmanager
def reading(body: bytes) -> Iterator[dict[str, Any]]:
    """Parse a body for the block that takes a request out of it.

    What Python or numpy cannot take from JSON is the caller's fault, wherever they meet it: text
    that is no UTF-8, half a surrogate pair in a name, lists in more than 64 lists, or in more
    than Python can follow.

    Raises:
        ServingError: INVALID_ARGUMENT; no JSON, not an object, or nothing that can be read.
    """
    try:
        yield parse_body(body)
    except (ValueError, OverflowError, RecursionError) as error:
        raise invalid_argument(f"JSON Parse error: {error}") from error


def parse_body(body: bytes) -> dict[str, Any]:
    """Parse a body; NaN and infinities are read, what follows the value is not.

    Raises:
        ServingError: INVALID_ARGUMENT; no JSON, or not an object.
        ValueError, RecursionError: see `reading`.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    text = body.decode("utf-8-sig").lstrip()
    try:
        document, _ = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        raise invalid_argument(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    # Python has joined the pairs by now: what is left of them is alone.
    if _ESCAPED_HIGH.search(text) and _HIGH.search(json.dumps(document, ensure_ascii=False)):
        raise invalid_argument("JSON Parse error: The surrogate pair in string is invalid.")
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {debug_string(document)} Is not object")
    return document


def _double(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise invalid_argument("JSON Parse error: Number too big to be stored in double.")
    return value


def _integer(digits: str) -> int | float:
    """What fits 64 bits, with or without a sign; anything longer is a double (RapidJSON)."""
    if len(digits) <= _MOST_DIGITS and _LEAST <= (value := int(digits)) <= _MOST:
        return value
    return _double(digits)


_DECODER: Final = json.JSONDecoder(parse_int=_integer, parse_float=_double)


def fill_signature(document: dict[str, Any], spec: Any) -> None:
    """Take over the signature's name, if the body has one."""
    name = document.get(_SIGNATURE)
    if name is None and _SIGNATURE not in document:
        return
    if not isinstance(name, str):
        raise invalid_argument(
            f"JSON Value: {debug_string(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    spec.signature_name = name


def fill_predict(
    document: dict[str, Any], request: Any, infos_of: Callable[[Any], TensorInfos]
) -> Format:
    """Fill a `PredictRequest` from a body; returns the form that the answer is to have.

    Args:
        document: the body.
        request: its `model_spec` names the model; the signature and the inputs are filled in.
        infos_of: a signature's inputs by `ModelSpec`.

    Raises:
        ServingError: INVALID_ARGUMENT; the body does not fit the signature.
    """
    fill_signature(document, request.model_spec)
    infos = infos_of(request.model_spec)
    if not infos:
        name = request.model_spec.signature_name or "DEFAULT"
        raise invalid_argument(f"Failed to get input map for signature: {name}")
    if _INSTANCES in document and _INPUTS in document:
        raise invalid_argument(
            f"JSON Value: {debug_string(document)} Not formatted correctly expecting only "
            f"one of '{_INPUTS}' or '{_INSTANCES}' keys to exist "
        )
    if _INSTANCES in document:
        arrays = _from_rows(document, infos)
    elif _INPUTS in document:
        arrays = _from_columns(document[_INPUTS], infos)
    else:
        raise invalid_argument("Missing 'inputs' or 'instances' key")
    for name, array in arrays.items():
        encode(array, request.inputs[name])
    return "row" if _INSTANCES in document else "columnar"


def predict_answer(response: Any, form: Format) -> dict[str, Any]:
    """Turn a `PredictResponse` into the body's form.

    Raises:
        ServingError: INVALID_ARGUMENT; rows were asked for and the outputs do not share a batch.
    """
    arrays = {name: decode(response.outputs[name]) for name in sorted(response.outputs)}
    if form == "columnar":
        columns = {name: to_json(array, name) for name, array in arrays.items()}
        return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    batch: int | None = None
    for name, array in arrays.items():
        if not array.shape:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        if batch is not None and array.shape[0] != batch:
            raise invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} "
                f"expecting: {batch}"
            )
        batch = array.shape[0]
    values = {name: to_json(array, name) for name, array in arrays.items()}
    if len(values) == 1:
        return {"predictions": next(iter(values.values()))}
    return {
        "predictions": [{name: values[name][row] for name in values} for row in range(batch or 0)]
    }


def _from_rows(document: dict[str, Any], infos: TensorInfos) -> dict[str, np.ndarray]:
    rows = document[_INSTANCES]
    if not isinstance(rows, list):
        raise invalid_argument(
            f"JSON Value: {debug_string(document)} Expecting '{_INSTANCES}' to be an list/array"
        )
    if not rows:
        raise invalid_argument(
            f"JSON Value: {debug_string(document)} No values in '{_INSTANCES}' array"
        )
    if not isinstance(rows[0], dict) and len(infos) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    named = _is_named(rows[0])
    columns: dict[str, list[np.ndarray]] = {name: [] for name in infos}
    for number, row in enumerate(rows):
        if named != _is_named(row):
            wanted, got = ("object", "list") if named else ("value/list", "object")
            raise invalid_argument(
                f"Expecting {wanted} but got {got} at item {number} of input list"
            )
        _add_row(row if named else {next(iter(infos)): row}, number, named, infos, columns)
    return {name: _stacked(values) for name, values in columns.items()}


def _stacked(rows: list[np.ndarray]) -> np.ndarray:
    """As `np.stack`, but a dimension too many is a ValueError, as everywhere else in numpy."""
    return np.concatenate([row.ravel() for row in rows]).reshape(len(rows), *rows[0].shape)


def _add_row(
    row: dict[str, Any],
    number: int,
    named: bool,
    infos: TensorInfos,
    columns: dict[str, list[np.ndarray]],
) -> None:
    for name, value in row.items():
        try:
            columns_of_name = columns.get(name)
            if columns_of_name is None:
                raise invalid_argument(f"JSON object: does not have named input: {name}")
            array = to_array(value, infos[name].dtype)
            _check_like_first(array, columns_of_name)
            columns_of_name.append(array)
        except ServingError as error:
            key = f" key: {name}" if named else ""
            raise invalid_argument(
                f"Failed to process element: {number}{key} of 'instances' list. Error: {error}"
            ) from error
    if set(row) != set(infos):
        raise invalid_argument(
            f"Failed to process element: {number} of 'instances' list. JSON object: "
            f"{debug_string(row)} keys must be equal to: {','.join(sorted(infos))}"
        )


def _check_like_first(array: np.ndarray, before: list[np.ndarray]) -> None:
    if not before:
        return
    if array.size != before[0].size:
        raise invalid_argument(f"Expecting tensor size: {before[0].size} but got: {array.size}")
    if array.shape != before[0].shape:
        raise invalid_argument(f"Expecting shape {_shape(before[0])} but got: {_shape(array)}")


def _from_columns(value: Any, infos: TensorInfos) -> dict[str, np.ndarray]:
    if not isinstance(value, dict) or is_base64(value):
        if len(infos) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        name = next(iter(infos))
        return {name: to_array(value, infos[name].dtype)}
    arrays = {}
    for name in sorted(infos):
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        arrays[name] = to_array(value[name], infos[name].dtype)
    return arrays


def _is_named(row: Any) -> bool:
    """Whether a row is an object of named inputs, not a bare value."""
    return isinstance(row, dict) and not is_base64(row)


def _shape(array: np.ndarray) -> str:
    return "[" + ",".join(str(size) for size in array.shape) + "]"
