"""numpy arrays to TensorFlow's `TensorProto` and back, without TensorFlow's runtime.

Works on TensorFlow's own message class and on ours (`inference.serving_messages`) alike. Writes
`tensor_content` (one copy of the array's bytes) unless told otherwise; reads that and the typed
fields, which are what TF Serving answers with by default. Source of the rules: `Tensor::FromProto`
in tensorflow/core/framework/tensor.cc, for strings in bytes `DecodeStringList` in tensor_coding.cc.
"""

import math
from typing import Any, Final

import numpy as np

STRING: Final = 7
"""`DataType.DT_STRING`; its values are bytes in a numpy object array."""

# DataType (tensorflow/core/framework/types.proto) -> numpy type and the typed field's name.
_TYPES: Final[dict[int, tuple[np.dtype[Any], str]]] = {
    1: (np.dtype(np.float32), "float_val"),
    2: (np.dtype(np.float64), "double_val"),
    3: (np.dtype(np.int32), "int_val"),
    4: (np.dtype(np.uint8), "int_val"),
    5: (np.dtype(np.int16), "int_val"),
    6: (np.dtype(np.int8), "int_val"),
    STRING: (np.dtype(object), "string_val"),
    9: (np.dtype(np.int64), "int64_val"),
    10: (np.dtype(np.bool_), "bool_val"),
    17: (np.dtype(np.uint16), "int_val"),
    19: (np.dtype(np.float16), "half_val"),
    22: (np.dtype(np.uint32), "uint32_val"),
    23: (np.dtype(np.uint64), "uint64_val"),
}
_NUMBERS: Final = {dtype: number for number, (dtype, _) in _TYPES.items()}

# Fields of int32 that carry narrower types (half_val: the bits of a float16): what does not fit
# loses its upper bits, as in C++'s conversion.
_NARROWED: Final = {"int_val": np.dtype(np.int32), "half_val": np.dtype(np.int32)}

# The fifth byte's upper bits are beyond 32 and are lost, as in C++.
_VARINT32_BYTES: Final = 5

# A few bytes can claim any shape; what no gRPC message could carry is not allocated for it.
_MOST_BYTES: Final = 2**31


class BadTensor(ValueError):
    """A tensor that cannot be read or written; the message says why."""


def data_type(dtype: np.dtype[Any]) -> int:
    """The `DataType` of a numpy type.

    Raises:
        BadTensor: the type has no counterpart in TensorFlow.
    """
    number = _NUMBERS.get(dtype)
    if number is None:
        raise BadTensor(f"no TensorFlow type for numpy type {dtype}")
    return number


def numpy_type(data_type: int) -> np.dtype[Any] | None:
    """The numpy type of a `DataType`; None for one that is not read here."""
    known = _TYPES.get(data_type)
    return known[0] if known is not None else None


def encode(array: np.ndarray, proto: Any, *, typed: bool = False) -> None:
    """Write an array of any shape into an empty `TensorProto`.

    Strings and bytes go to `string_val`, which every reader understands.

    Args:
        array: the values.
        proto: where they go.
        typed: into the field of their type (`float_val`...), value by value (`AsProtoField` in
            tensor.cc); else as `tensor_content`.

    Raises:
        BadTensor: the array's type has no counterpart in TensorFlow.
    """
    if array.dtype.kind in "SU":
        array = array.astype(object)
    proto.dtype = number = data_type(array.dtype)
    # Touching the shape marks it as present: a scalar has a shape of no dimensions.
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if number == STRING:
        proto.string_val.extend(v.encode() if isinstance(v, str) else v for v in array.flat)
    elif typed:
        if array.dtype == np.float16:  # its bits, each in an int32
            array = array.view(np.uint16)
        getattr(proto, _TYPES[number][1]).extend(array.ravel().tolist())
    else:
        proto.tensor_content = array.tobytes()


def decode(proto: Any) -> np.ndarray:
    """Read a `TensorProto` into an array; the array may be a read-only view.

    Fewer typed values than elements: the last one is repeated, none at all means zeros.

    Raises:
        BadTensor: unknown type, no definite shape, content that does not fit the shape, or a
            shape that numpy has not: of more than 64 dimensions (TensorFlow knows 254), or empty
            with a dimension beyond memory.
    """
    known = _TYPES.get(proto.dtype)
    if known is None:
        raise BadTensor(f"cannot read a tensor of DataType {proto.dtype}")
    dtype, field = known
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise BadTensor("the tensor's shape is not fully defined")
    count = math.prod(shape)
    if count * dtype.itemsize > _MOST_BYTES:
        raise BadTensor(f"a tensor of shape {list(shape)} is too large")
    content = proto.tensor_content
    if content and count:  # of a tensor without elements nobody reads the content
        if proto.dtype == STRING:
            return _shaped(_strings(content, count), shape)
        if len(content) != count * dtype.itemsize:
            raise BadTensor(f"{len(content)} bytes do not fill shape {list(shape)} of {dtype}")
        if dtype == np.bool_ and content.translate(None, b"\0\1"):
            raise BadTensor("a byte of a bool is neither 0 nor 1")
        return _shaped(np.frombuffer(content, dtype), shape)
    flat = _from_typed(getattr(proto, field), dtype, _NARROWED.get(field, dtype), count)
    return _shaped(flat, shape)


def _shaped(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    try:
        return flat.reshape(shape)
    except ValueError as error:
        raise BadTensor(str(error)) from error


def _strings(content: bytes, count: int) -> np.ndarray:
    """Strings in `tensor_content`: first all their lengths, then all their bytes, and no more."""
    lengths: list[int] = []
    start = 0
    for _ in range(count):
        length, start = _varint32(content, start)
        lengths.append(length)
    if start + sum(lengths) != len(content):
        raise BadTensor(f"{len(content)} bytes are not {count} strings and their lengths")
    flat = np.empty(count, object)
    for index, length in enumerate(lengths):
        flat[index] = content[start : start + length]
        start += length
    return flat


def _varint32(content: bytes, start: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where what follows it begins."""
    value = 0
    for index, byte in enumerate(content[start : start + _VARINT32_BYTES]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value & 0xFFFF_FFFF, start + index + 1
    raise BadTensor("the length of a string is cut off")


def _from_typed(
    values: Any, dtype: np.dtype[Any], read_as: np.dtype[Any], count: int
) -> np.ndarray:
    given = min(len(values), count)
    if not given:
        return np.full(count, b"" if dtype.hasobject else 0, dtype)
    flat = np.fromiter(values[:given], read_as, given)
    if dtype == np.float16:
        flat = flat.astype(np.uint16).view(np.float16)
    else:
        flat = flat.astype(dtype, copy=False)
    if given == count:
        return flat
    return np.concatenate([flat, np.full(count - given, flat[-1], dtype)])
