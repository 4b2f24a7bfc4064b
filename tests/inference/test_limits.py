"""Nothing in a request is without a limit: every text and every repeated field of every method."""

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from inference.server import RecommendationServer
from placestream.stack.ports import LOCALHOST, free_port
from tests.inference.direct import METHODS, Aborted, Direct, request_class, valid
from tests.inference.fakes import FakeStore, catalogue_of

#: More than any text may have, and than any list.
LONG, MANY = "x" * 2_000, 1_001


def excesses(message: Message) -> Iterator[tuple[str, Any]]:
    """Yield the path of each text or repeated field, and a function that puts too much into it."""
    for field in message.DESCRIPTOR.fields:
        if field.is_repeated:
            yield field.name, lambda m, field=field: _fill(m, field, MANY)
        if field.message_type is not None:
            described: Any = field.message_type
            inner = GetMessageClass(described)()
            for path, put in excesses(inner):
                nested = f"{field.name}[0].{path}" if field.is_repeated else f"{field.name}.{path}"
                yield nested, lambda m, field=field, put=put: put(_inside(m, field))
        elif field.type == FieldDescriptor.TYPE_STRING:
            path = f"{field.name}[0]" if field.is_repeated else field.name
            yield path, lambda m, field=field: _lengthen(m, field)


def _fill(message: Message, field: FieldDescriptor, times: int) -> None:
    values = getattr(message, field.name)
    for i in range(times):
        if field.message_type is not None:
            values.add()
        else:
            values.append(f"v{i}" if field.type == FieldDescriptor.TYPE_STRING else i)


def _lengthen(message: Message, field: FieldDescriptor) -> None:
    if field.is_repeated:
        getattr(message, field.name).append(LONG)
    else:
        setattr(message, field.name, LONG)


def _inside(message: Message, field: FieldDescriptor) -> Any:
    inner = getattr(message, field.name)
    return valid(inner.add()) if field.is_repeated else inner


async def refusal(service: Direct, method: str, request: bytes) -> status_pb2.Status:
    """The error of a call, or of the one request in a batch."""
    try:
        answered = await service.call(method, request)
    except Aborted as error:
        return error.status
    (result,) = pb.BatchRecommendResponse.FromString(answered).results
    return result.error


CASES = [
    pytest.param(method, path, put, id=f"{method.name}-{path}")
    for method in METHODS
    for path, put in excesses(request_class(method)())
]


@pytest.mark.parametrize(("method", "path", "put"), CASES)
async def test_too_much_is_refused_and_named(method: Any, path: str, put: Any) -> None:
    """INVALID_ARGUMENT with the field, whichever field it is, new ones included."""
    request = valid(request_class(method)())
    put(request)
    service = Direct(Settings(_env_file=None), catalogue_of(), FakeStore())
    status = await refusal(service, method.name, request.SerializeToString())
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    found = error_details_pb2.BadRequest()
    (packed,) = (d for d in status.details if d.Is(found.DESCRIPTOR))
    packed.Unpack(found)
    fields = [violation.field for violation in found.field_violations]
    # Within a batch, each request has errors of its own.
    assert path in fields or path.removeprefix("requests[0].") in fields


def test_the_walk_finds_what_there_is() -> None:
    """Texts, lists of texts, lists of messages, and texts inside of these."""
    found = {case.id for case in CASES}
    assert {
        "Recommend-user_id",
        "Recommend-filters.categories",
        "Recommend-filters.exclude_place_ids[0]",
        "Recommend-context.search_query",
        "Recommend-written",
        "Recommend-written[0].topic",
        "GetFeatures-place_ids",
    } <= found


async def test_a_message_that_is_too_large_is_not_read() -> None:
    """RESOURCE_EXHAUSTED from gRPC itself, before anything is parsed."""
    nowhere = f"{LOCALHOST}:{free_port()}"
    settings = Settings(
        _env_file=None,
        kafka_bootstrap=nowhere,
        model_server=nowhere,
        serve_port=0,
        serve_metrics_port=0,
        serve_max_request_bytes=4_096,
    )
    server = RecommendationServer(settings)
    await server.start()
    async with grpc.aio.insecure_channel(f"{LOCALHOST}:{server.port}") as channel:
        call: Any = channel.unary_unary("/placestream.v1.RecommendationService/Recommend")
        for size, code in ((4_096, "INVALID_ARGUMENT"), (4_097, "RESOURCE_EXHAUSTED")):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"\xff" * size, timeout=30)
            assert caught.value.code().name == code
    await asyncio.wait_for(server.stop(), 60)
