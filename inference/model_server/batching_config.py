"""`BatchingParameters`: the text of TF Serving's `--batching_parameters_file`.

The package of its protos leaves this one out, so it is declared here, field by field. What the
embedded server does not do (`allowed_batch_sizes`, `pad_variable_length_inputs`,
`enable_large_batch_splitting` and its `max_execution_batch_size`) is left out and refused by name,
rather than read and passed over.

Source: tensorflow_serving/servables/tensorflow/session_bundle_config.proto; the defaults are those
of SharedBatchScheduler.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)

from inference.model_server.config import BadConfigFile

_NUMBERS: Final = {
    "max_batch_size": 1,
    "batch_timeout_micros": 2,
    "max_enqueued_batches": 3,
    "num_batch_threads": 4,
}
_Field = descriptor_pb2.FieldDescriptorProto


@dataclass(frozen=True)
class BatchingParameters:
    """How concurrent calls are put together.

    Attributes:
        max_batch_size: rows of one computation at the most; a call with more is refused.
        batch_timeout_micros: how long a batch waits for more, microseconds, when it could begin.
        max_enqueued_batches: batches that may wait, of each version; more are UNAVAILABLE.
        num_batch_threads: batches that are computed at once.
    """

    max_batch_size: int = 1_000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1


def read_batching(path: Path) -> BatchingParameters:
    """Read the file.

    Raises:
        FileNotFoundError: there is none.
        BadConfigFile: it is not of that form, or a number is out of range.
    """
    message = _message_class()()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), message)
    except (UnicodeDecodeError, text_format.ParseError) as error:
        raise BadConfigFile(f"{path} holds no BatchingParameters: {error}") from error
    stated = {name: getattr(message, name).value for name in _NUMBERS if message.HasField(name)}
    for name, value in stated.items():
        least = 0 if name == "batch_timeout_micros" else 1
        if value < least:
            raise BadConfigFile(f"{path}: {name} must be at least {least}, not {value}")
    return BatchingParameters(**stated)


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="placestream/batching.proto", package="placestream.batching", syntax="proto3"
    )
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    message = file.message_type.add(name="BatchingParameters")
    for name, number in _NUMBERS.items():
        message.field.add(
            name=name,
            number=number,
            label=_Field.LABEL_OPTIONAL,
            type=_Field.TYPE_MESSAGE,
            type_name=".google.protobuf.Int64Value",
        )
    message.field.add(
        name="thread_pool_name",
        number=5,
        label=_Field.LABEL_OPTIONAL,
        type=_Field.TYPE_MESSAGE,
        type_name=".google.protobuf.StringValue",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("placestream.batching.BatchingParameters")
    )
