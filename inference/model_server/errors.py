"""How a request fails: one exception that carries gRPC's status, and its sources."""

from typing import Any, Final

import grpc

from inference.model_server.runtime import tf

# gRPC, absl and TensorFlow number their status codes alike.
_BY_NUMBER: Final[dict[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}

_MESSAGE_LIMIT: Final = 1024
"""Characters of a message that gRPC carries (grpc_status_util.cc)."""


class ServingError(Exception):
    """A request or a model that failed, with the status that the caller is to see."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def number(self) -> int:
        """The canonical number of the status code."""
        return int(self.code.value[0])

    @property
    def wire_message(self) -> str:
        """The message, cut as the real server cuts it for gRPC."""
        if len(self.message) <= _MESSAGE_LIMIT:
            return self.message
        return self.message[:_MESSAGE_LIMIT] + "...TRUNCATED"

    def __str__(self) -> str:
        """As absl prints a status."""
        return f"{self.code.name}: {self.message}"


def invalid_argument(message: str) -> ServingError:
    """The request is wrong."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def failed_precondition(message: str) -> ServingError:
    """The request is right, but not now."""
    return ServingError(grpc.StatusCode.FAILED_PRECONDITION, message)


def not_found(message: str) -> ServingError:
    """There is no such thing."""
    return ServingError(grpc.StatusCode.NOT_FOUND, message)


def from_exception(error: Exception) -> ServingError:
    """Turn whatever TensorFlow raised into a status; its own errors keep their code."""
    if isinstance(error, ServingError):
        return error
    if isinstance(error, tf.errors.OpError):
        tensorflow_error: Any = error
        code = _BY_NUMBER.get(tensorflow_error.error_code, grpc.StatusCode.UNKNOWN)
        return ServingError(code, tensorflow_error.message)
    if isinstance(error, FileNotFoundError):
        return not_found(str(error))
    return ServingError(grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {error}")
