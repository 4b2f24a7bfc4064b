"""What is wrong with a SavedModel on disk, as TensorFlow's C++ loader says it.

The Python loader that does the work has words of its own and no status codes. Source:
tensorflow/cc/saved_model/reader.cc (`ReadSavedModel`, `FindMetaGraphDef`) and
tensorflow/core/platform/env.cc (`ReadBinaryProto`, `ReadTextProto`).
"""

from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from inference.model_server.errors import ServingError, from_exception, not_found
from inference.model_server.runtime import tf

TAG: Final = "serve"

_BINARY: Final = "saved_model.pb"
_TEXT: Final = "saved_model.pbtxt"
_INDEX: Final = Path("variables") / "variables.index"

# Wire types of protobuf: those that SavedModel's own fields have.
_VARINT: Final = 0
_DELIMITED: Final = 2


def graph_file(version: Path) -> Path | None:
    """The file with a SavedModel's graphs, the binary one if there are two; None without any."""
    files = (version / name for name in (_BINARY, _TEXT))
    return next((file for file in files if file.is_file()), None)


def check_graphs(version: Path) -> None:
    """Make sure that there is a graph to serve.

    Raises:
        ServingError: NOT_FOUND, no file or no graph for serving in it; OUT_OF_RANGE, the file ends
            too early; DATA_LOSS, it is something else; or what the disk says.
    """
    file = graph_file(version)
    if file is None:
        raise not_found(
            f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {version}."
            " Check that the directory exists and that you have the right permissions for "
            "accessing it."
        )
    saved_model = _read(file)
    if not any(set(graph.meta_info_def.tags) == {TAG} for graph in saved_model.meta_graphs):
        raise not_found(
            f"Could not find meta graph def matching supplied tags: {{ {TAG} }}. To inspect "
            "available tag-sets in the SavedModel, please use the SavedModel CLI: "
            "`saved_model_cli`"
        )


def load_error(error: Exception, version: Path) -> ServingError:
    """What the Python loader raised as a status.

    TensorFlow's first error in the chain is the one of the C++ loader: those that Python raises
    for it have a prefix, or lose the code. Weights without an index are none of TensorFlow's.
    """
    status = error
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, tf.errors.OpError):
            status = cause
        cause = cause.__context__
    if isinstance(status, ValueError) and not (version / _INDEX).exists():
        return not_found(f"{version / _INDEX}; No such file or directory")
    return from_exception(status)


def _read(file: Path) -> Any:
    try:
        content = tf.io.gfile.GFile(str(file), "rb").read()
    except tf.errors.OpError as error:
        raise from_exception(error) from error
    is_text = file.name == _TEXT
    try:
        if is_text:
            return text_format.Parse(content, saved_model_pb2.SavedModel())
        return saved_model_pb2.SavedModel.FromString(content)
    except (DecodeError, ValueError, text_format.ParseError) as error:
        if not is_text and _is_cut_off(content):
            raise ServingError(
                grpc.StatusCode.OUT_OF_RANGE, "Read less bytes than requested"
            ) from error
        form = "text" if is_text else "binary"
        message = f"Can't parse {file} as {form} proto"
        raise ServingError(grpc.StatusCode.DATA_LOSS, message) from error


def _is_cut_off(content: bytes) -> bool:
    """Whether a field goes on where the file ends, as when the disk was full."""
    at = 0
    try:
        while at < len(content):
            tag, at = _varint(content, at)
            if tag & 7 not in (_VARINT, _DELIMITED):
                return False
            number, at = _varint(content, at)
            if tag & 7 == _DELIMITED:
                at += number
    except IndexError:
        return True
    return at > len(content)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number, and where what follows it begins."""
    value = shift = 0
    while content[at] & 0x80:
        value |= (content[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return value | content[at] << shift, at + 1
