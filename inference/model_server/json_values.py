"""JSON values to the values of one tensor, and a tensor's values to JSON (json_tensor.cc)."""

import base64
import re
from typing import Any, Final

import grpc
import numpy as np
from tensorflow.core.framework import types_pb2

from inference.model_server.data_types import type_name
from inference.model_server.errors import ServingError, invalid_argument
from inference.model_server.json_debug import debug_string
from inference.tensor_codec import STRING, data_type

_BASE64_KEY: Final = "b64"
_SPACE: Final = re.compile(r"[ \t\n\v\f\r]")
# TensorFlow says of a tensor named so that its strings are bytes, not text.
BYTES_SUFFIX: Final = "_bytes"

_FLOATS: Final[dict[int, type[np.generic]]] = {
    types_pb2.DT_FLOAT: np.float32,
    types_pb2.DT_DOUBLE: np.float64,
}
# JSON integers are taken by the real server's reader, which knows these widths: the small types
# are read as an int32.
_INTS: Final[dict[int, tuple[type[np.integer[Any]], type[np.integer[Any]]]]] = {
    types_pb2.DT_INT32: (np.int32, np.int32),
    types_pb2.DT_INT16: (np.int16, np.int32),
    types_pb2.DT_INT8: (np.int8, np.int32),
    types_pb2.DT_UINT8: (np.uint8, np.int32),
    types_pb2.DT_INT64: (np.int64, np.int64),
    types_pb2.DT_UINT32: (np.uint32, np.uint32),
    types_pb2.DT_UINT64: (np.uint64, np.uint64),
}
# Of the others (half, uint16) no value can be written.
_WRITTEN: Final = {*_FLOATS, *_INTS, STRING, types_pb2.DT_BOOL}


def to_array(value: Any, dtype: int) -> np.ndarray:
    """Convert a JSON value, nested lists included, to a tensor.

    Args:
        value: what `json` parsed.
        dtype: the tensor's `DataType`.

    Raises:
        ServingError: INVALID_ARGUMENT; ragged lists or a value of the wrong type. UNIMPLEMENTED;
            a type that JSON cannot carry.
    """
    shape = _shape(value)
    flat: list[Any] = []
    _collect(value, 0, shape, dtype, flat)
    return _array(flat, dtype).reshape(shape)


def to_json(array: np.ndarray, name: str) -> Any:
    """Convert a tensor to what `json` prints; bytes become base64 if the tensor is named so.

    Raises:
        ServingError: INVALID_ARGUMENT; the real server does not write values of this type.
    """
    number = data_type(array.dtype)
    if array.size and number not in _WRITTEN:
        raise invalid_argument(f"Failed to write JSON value for tensor type: {type_name(number)}")
    if array.dtype == object:
        as_bytes = name.endswith(BYTES_SUFFIX)
        flat = np.empty(array.size, object)
        flat[:] = [_text(value, as_bytes) for value in array.flat]
        return flat.reshape(array.shape).tolist()
    if array.dtype.kind == "f":
        # The shortest digits that give this float back, not those of its double: 0.1 stays 0.1.
        return array.astype(str).astype(np.float64).tolist()
    return array.tolist()


def is_base64(value: Any) -> bool:
    """Whether a value is an object that stands for bytes: `{"b64": "..."}`."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get(_BASE64_KEY), str)


def _shape(value: Any) -> tuple[int, ...]:
    """The shape that the first elements have; `_collect` checks the others."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _collect(value: Any, level: int, shape: tuple[int, ...], dtype: int, flat: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid_argument(
                f"JSON Value: {debug_string(value)} found at incorrect level: {level + 1} in the "
                f"JSON DOM. Expected at level: {len(shape)}"
            )
        flat.append(_checked(value, dtype))
        return
    if level >= len(shape):
        raise invalid_argument(
            f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        )
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for item in value:
        _collect(item, level + 1, shape, dtype, flat)


def _checked(value: Any, dtype: int) -> Any:
    """One value, if it is of the tensor's type."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if dtype == STRING:
        if isinstance(value, dict):
            return decode_base64(value)
        fits = isinstance(value, str)
        return to_bytes(value) if fits else _refuse(value, dtype)
    if dtype in _FLOATS:
        fits = is_number
    elif dtype in _INTS:
        limits = np.iinfo(_INTS[dtype][1])
        fits = is_number and isinstance(value, int) and limits.min <= value <= limits.max
    elif dtype == types_pb2.DT_BOOL:
        fits = isinstance(value, bool)
    elif isinstance(value, dict):
        fits = False
    else:
        raise ServingError(
            grpc.StatusCode.UNIMPLEMENTED,
            f"Conversion of JSON Value: {debug_string(value)} to type: {type_name(dtype)}",
        )
    return value if fits else _refuse(value, dtype)


def _refuse(value: Any, dtype: int) -> Any:
    raise invalid_argument(
        f"JSON Value: {debug_string(value)} Type: {json_type(value)} "
        f"is not of expected type: {type_name(dtype)}"
    )


def to_bytes(text: str) -> bytes:
    """A string's bytes: UTF-8, in which half a surrogate pair is written like any character."""
    return text.encode("utf-8", "surrogatepass")


def decode_base64(value: dict[str, Any]) -> bytes:
    """The bytes of an object that stands for bytes.

    Spaces are skipped, and padding may be left out or written as dots (`absl::Base64Unescape`).

    Raises:
        ServingError: INVALID_ARGUMENT; not such an object, or not base64.
    """
    if not is_base64(value):
        raise invalid_argument(
            f"JSON Value: {debug_string(value)} not formatted correctly for base64 data"
        )
    packed = _SPACE.sub("", value[_BASE64_KEY])
    digits = packed.rstrip("=.")
    missing = -len(digits) % 4
    try:
        if len(packed) - len(digits) not in (0, missing):
            raise ValueError("wrong padding")
        return base64.b64decode(digits + "=" * missing, validate=True)
    except ValueError as error:
        raise invalid_argument("Unable to base64 decode") from error


def _array(flat: list[Any], dtype: int) -> np.ndarray:
    if dtype == STRING:
        array = np.empty(len(flat), object)
        array[:] = flat
        return array
    if dtype in _FLOATS:
        # A number beyond float32's range becomes infinity, as it does in C++.
        with np.errstate(over="ignore"):
            return np.array(flat, np.float64).astype(_FLOATS[dtype])
    if dtype in _INTS:
        exact, read_as = _INTS[dtype]
        return np.array(flat, read_as).astype(exact)
    return np.array(flat, np.bool_)


def _text(value: bytes, as_bytes: bool) -> Any:
    if as_bytes:
        return {_BASE64_KEY: base64.b64encode(value).decode()}
    return value.decode("utf-8", "replace")


def json_type(value: Any) -> str:
    """A value's JSON type, as the real server's messages call it."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, dict):
        return "Object"
    if isinstance(value, list):
        return "Array"
    return "String" if isinstance(value, str) else "Number"
