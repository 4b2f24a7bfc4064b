"""Errors as the protocol tells them: a gRPC status with one stable reason (google.rpc details)."""

import math

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import BadRequest as BadRequestDetail
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_status import rpc_status

from inference.checks import BadRequest

DOMAIN = "placestream"
CATALOGUE_LOADING = "CATALOGUE_LOADING"
FEATURE_STORE_UNAVAILABLE = "FEATURE_STORE_UNAVAILABLE"
KAFKA_UNAVAILABLE = "KAFKA_UNAVAILABLE"
OVERLOADED = "OVERLOADED"
INTERNAL = "INTERNAL"
RETRY_S = 1


class NotNow(Exception):
    """A request that cannot be answered yet, but can be tried again.

    Attributes:
        reason: stable, for programs.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def bad_request(error: BadRequest) -> grpc.Status:
    """INVALID_ARGUMENT: every field that is wrong; the reason is that of the first."""
    violations = [
        BadRequestDetail.FieldViolation(field=v.field, reason=v.reason, description=v.text)
        for v in error.violations
    ]
    first = error.violations[0]
    return _status(
        grpc.StatusCode.INVALID_ARGUMENT,
        str(error),
        ErrorInfo(reason=first.reason, domain=DOMAIN, metadata={"field": first.field}),
        BadRequestDetail(field_violations=violations),
    )


def not_now(error: NotNow) -> grpc.Status:
    """UNAVAILABLE, with a hint when to try again."""
    return _status(
        grpc.StatusCode.UNAVAILABLE,
        str(error),
        ErrorInfo(reason=error.reason, domain=DOMAIN),
        RetryInfo(retry_delay=Duration(seconds=RETRY_S)),
    )


def refused(code: grpc.StatusCode, reason: str, text: str, retry_s: float = 0.0) -> grpc.Status:
    """A call that was not let through; with a hint when to try again, if that may help."""
    delay = Duration()
    delay.FromNanoseconds(math.ceil(1e9 * retry_s))
    hints = [RetryInfo(retry_delay=delay)] if retry_s else []
    return _status(code, text, ErrorInfo(reason=reason, domain=DOMAIN), *hints)


def internal(request_id: str) -> grpc.Status:
    """INTERNAL: what went wrong is in the log, under this id, and nowhere else."""
    return _status(
        grpc.StatusCode.INTERNAL,
        f"an error of ours, logged as {request_id}",
        ErrorInfo(reason=INTERNAL, domain=DOMAIN, metadata={"logged_as": request_id}),
    )


def as_message(status: grpc.Status) -> status_pb2.Status:
    """A status as a message, with its details, for an answer that holds several."""
    details = dict(status.trailing_metadata)["grpc-status-details-bin"]
    return status_pb2.Status.FromString(details)


def _status(code: grpc.StatusCode, text: str, *details: Message) -> grpc.Status:
    packed = []
    for detail in details:
        one = Any()
        one.Pack(detail)
        packed.append(one)
    number: int = code.value[0]
    status: grpc.Status = rpc_status.to_status(
        status_pb2.Status(code=number, message=text, details=packed)
    )
    return status
