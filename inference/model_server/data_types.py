"""TensorFlow's types by the names that its messages give them."""

from tensorflow.core.framework import types_pb2


def type_name(data_type: int) -> str:
    """As `DataTypeString` prints a `DataType`: `float`, `int64`, `half`."""
    return str(types_pb2.DataType.Name(data_type)).removeprefix("DT_").lower()
