"""numpy arrays to TensorProto and back, against TensorFlow's own reading and writing."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from inference import serving_messages
from inference.tensor_codec import BadTensor, decode, encode

NUMERIC = [
    np.float32, np.float64, np.float16, np.int32, np.int16, np.int8, np.uint8, np.uint16,
    np.uint32, np.uint64, np.int64, np.bool_,
]  # fmt: skip
SHAPES = [(), (0,), (3,), (2, 0, 3), (2, 3)]
MESSAGES = [tensor_pb2.TensorProto, serving_messages.TensorProto]


def example(dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    """0, 1, 0, 1...: values that every type can hold."""
    return (np.arange(np.prod(shape, dtype=int)) % 2).astype(dtype).reshape(shape)


@pytest.mark.parametrize("dtype", NUMERIC)
@pytest.mark.parametrize("shape", SHAPES)
def test_tensorflow_reads_what_we_write(dtype: Any, shape: tuple[int, ...]) -> None:
    """Same values, type and shape; and so do we."""
    array = example(dtype, shape)
    proto = tensor_pb2.TensorProto()
    encode(array, proto)
    for back in (tf.make_ndarray(proto), decode(proto)):
        assert back.dtype == array.dtype
        assert back.shape == array.shape
        assert back.tolist() == array.tolist()
    assert proto.HasField("tensor_shape")


@pytest.mark.parametrize("dtype", NUMERIC)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("message", MESSAGES)
def test_we_read_the_typed_fields(message: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    """What TF Serving answers with by default: one value after the other."""
    array = example(dtype, shape)
    # A value at a time, so that TensorFlow does not choose tensor_content.
    values = [tf.make_tensor_proto(value, dtype=array.dtype) for value in array.reshape(-1)]
    typed = tf.make_tensor_proto(array, dtype=array.dtype)
    typed.ClearField("tensor_content")
    for value in values:
        for field, content in value.ListFields():
            if field.name.endswith("_val"):
                getattr(typed, field.name).extend(content)
    back = decode(message.FromString(typed.SerializeToString()))
    assert back.dtype == array.dtype
    assert back.tolist() == array.tolist()


@pytest.mark.parametrize("dtype", NUMERIC)
@pytest.mark.parametrize("shape", SHAPES)
def test_tensorflow_reads_what_we_write_value_by_value(dtype: Any, shape: tuple[int, ...]) -> None:
    """Same values in the typed fields, and no bytes."""
    array, proto = example(dtype, shape), tensor_pb2.TensorProto()
    encode(array, proto, typed=True)
    assert proto.tensor_content == b""
    read = tf.make_ndarray(proto)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_the_last_value_is_repeated() -> None:
    """Fewer values than elements: as TensorFlow fills them; none at all means zeros."""
    proto = serving_messages.TensorProto(dtype=1, float_val=[5, 7])
    proto.tensor_shape.dim.add(size=4)
    assert decode(proto).tolist() == [5, 7, 7, 7]
    del proto.float_val[:]
    assert decode(proto).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("dtype", "fields"),
    [
        (tf.uint8, {"int_val": [300, -1]}),
        (tf.int8, {"int_val": [300, -129]}),
        (tf.int16, {"int_val": [70_000, -40_000]}),
        (tf.uint16, {"int_val": [-1, 70_000]}),
        (tf.float16, {"half_val": [-1, 70_000]}),
    ],
)
def test_a_value_too_wide_for_its_type_loses_its_upper_bits(dtype: Any, fields: Any) -> None:
    """As TensorFlow's own `Tensor::FromProto` reads it, which `parse_tensor` calls."""
    proto = tensor(dtype=dtype.as_datatype_enum, size=3, **fields)
    back, theirs = decode(proto), tf.io.parse_tensor(proto.SerializeToString(), dtype).numpy()
    assert back.dtype == theirs.dtype
    assert back.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("message", MESSAGES)
def test_strings(message: Any) -> None:
    """Text goes as UTF-8, comes back as bytes; an unset value is empty."""
    proto = message()
    encode(np.array([["é", "b"]]), proto)
    assert decode(proto).tolist() == [["é".encode(), b"b"]]
    assert tf.make_ndarray(tensor_pb2.TensorProto.FromString(proto.SerializeToString())).tolist()
    bare = message(dtype=7)
    bare.tensor_shape.dim.add(size=2)
    assert decode(bare).tolist() == [b"", b""]


def read_by_tensorflow(proto: Any, dtype: Any) -> Any:
    """What `Tensor::FromProto` makes of a message, as nested lists; None if it refuses it."""
    try:
        values = tf.io.parse_tensor(proto.SerializeToString(), dtype).numpy()
    except tf.errors.InvalidArgumentError:
        return None
    return values.tolist() if isinstance(values, np.ndarray) else values


def read_by_us(proto: Any) -> Any:
    """The same of ours."""
    try:
        return decode(proto).tolist()
    except BadTensor:
        return None


@pytest.mark.parametrize(
    ("sizes", "content", "values"),
    [
        ((2,), b"\x02\x01abc", [b"ab", b"c"]),
        ((2, 1), b"\x00\x03a\x00c", [[b""], [b"a\x00c"]]),
        ((), b"\xac\x02" + b"x" * 300, b"x" * 300),
        ((1,), b"\x81\x80\x80\x80\x70x", [b"x"]),  # 1 in five bytes, the upper bits lost
        ((0,), b"\x09abc", []),
        ((1,), b"\x09abc", None),
        ((1,), b"\x02abc", None),
        ((2,), b"\x01", None),
        ((1,), b"\x80\x80\x80\x80\x80\x00", None),
    ],
)
@pytest.mark.parametrize("message", MESSAGES)
def test_strings_in_bytes(
    message: Any, sizes: tuple[int, ...], content: bytes, values: Any
) -> None:
    """Lengths first, then the bytes, which add up exactly or are refused; so does TensorFlow."""
    proto = shaped(*sizes, dtype=7, tensor_content=content)
    assert read_by_us(message.FromString(proto.SerializeToString())) == values
    assert read_by_tensorflow(proto, tf.string) == values


def test_content_is_read_as_tensorflow_reads_it() -> None:
    """A bool is 0 or 1, and what an empty tensor carries does not matter."""
    for sizes in ((2,), (0,)):
        for content in (b"\x00\x01", b"\x00\x02", b"\xff\x01", b"\x01"):
            proto = shaped(*sizes, dtype=10, tensor_content=content)
            assert read_by_us(proto) == read_by_tensorflow(proto, tf.bool)
    assert read_by_us(shaped(2, dtype=10, tensor_content=b"\x00\x02")) is None
    assert read_by_us(shaped(0, dtype=1, tensor_content=b"1")) == []


def test_arrays_that_are_not_contiguous() -> None:
    """A column of a matrix and a transposed matrix arrive in row order."""
    matrix = np.arange(6, dtype=np.int64).reshape(2, 3)
    for array in (matrix[:, 1], matrix.T):
        proto = serving_messages.TensorProto()
        encode(array, proto)
        assert decode(proto).tolist() == array.tolist()


def tensor(**fields: Any) -> Any:
    """A message with a shape of one dimension."""
    return shaped(fields.pop("size"), **fields)


def shaped(*sizes: int, **fields: Any) -> Any:
    """A message with a shape."""
    proto = serving_messages.TensorProto(**fields)
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    ("proto", "problem"),
    [
        (tensor(dtype=1, size=2, tensor_content=b"1234"), r"4 bytes do not fill shape \[2\]"),
        (tensor(dtype=1, size=-1), "not fully defined"),
        (tensor(dtype=20, size=1), "DataType 20"),
        (tensor(dtype=2, size=2**40, double_val=[1]), "too large"),
        (shaped(*[1] * 65, dtype=1, float_val=[1]), "64, found 65"),
        (shaped(*[1] * 65, dtype=1, tensor_content=b"1234"), "64, found 65"),
        (shaped(*[1] * 65, dtype=7, string_val=[b"a"]), "64, found 65"),
        (shaped(2**62, 0, dtype=1), "array is too big"),
        (shaped(0, 2**62, dtype=7), "array is too big"),
    ],
)
def test_refuses_what_is_no_tensor(proto: Any, problem: str) -> None:
    """Content that does not fit, no definite shape, an unknown type, a shape that is none here."""
    with pytest.raises(BadTensor, match=problem):
        decode(proto)


def test_refuses_an_unknown_rank() -> None:
    """There is nothing to read then."""
    proto = serving_messages.TensorProto(dtype=1)
    proto.tensor_shape.unknown_rank = True
    with pytest.raises(BadTensor, match="not fully defined"):
        decode(proto)


def test_refuses_to_write_other_types() -> None:
    """A date has no counterpart."""
    with pytest.raises(BadTensor, match="datetime64"):
        encode(np.array(["2024-01-15"], "datetime64[D]"), serving_messages.TensorProto())
