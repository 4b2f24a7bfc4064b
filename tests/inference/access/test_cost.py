"""What calls take of a client's rate, on a real gRPC server."""

import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.access.clients import ClientEntry, ClientList, TokenEntry
from tests.inference.access.guarded import (
    BACKEND,
    BATCH,
    CLIENTS,
    FEATURES,
    FEEDBACK,
    OLD,
    RECOMMEND,
    Serve,
    batch,
    bearer,
    told,
)


async def test_too_often_is_told_when_to_come_back(serve: Serve) -> None:
    """RESOURCE_EXHAUSTED with RetryInfo; another client is not held back."""
    entries = [
        ClientEntry("few", ["recommend"], [TokenEntry(OLD.sha256)], [], 2.0, 3),
        *CLIENTS.clients[:2],
    ]
    server = await serve(ClientList(entries))
    for _ in range(3):
        assert await server.call(RECOMMEND, bearer(OLD)) is None
    error = await server.call(RECOMMEND, bearer(OLD))
    assert told(error) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    hint = error_details_pb2.RetryInfo()
    rpc_status.from_call(error).details[1].Unpack(hint)
    assert hint.retry_delay.ToMilliseconds() == 500
    assert await server.call(RECOMMEND, bearer(BACKEND)) is None
    server.clock.now_s += 0.5
    assert await server.call(RECOMMEND, bearer(OLD)) is None
    assert server.counted("few", "rate_limited") == 1


def retry_ms(error: grpc.aio.AioRpcError | None) -> int:
    """When it is to come back."""
    assert told(error) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    hint = error_details_pb2.RetryInfo()
    rpc_status.from_call(error).details[1].Unpack(hint)
    return int(hint.retry_delay.ToMilliseconds())


async def test_a_batch_costs_as_much_as_what_is_in_it(serve: Serve) -> None:
    """Requests and events alike; one that is refused takes nothing, so that to come back when told
    is enough; one that is too long for the service is one bad request."""
    entry = ClientEntry("few", ["recommend", "feedback"], [TokenEntry(OLD.sha256)], [], 2.0, 10)
    server = await serve(ClientList([entry]))
    assert await server.call(BATCH, bearer(OLD), request=batch(7)) is None
    assert retry_ms(await server.call(BATCH, bearer(OLD), request=batch(5))) == 1_000
    assert retry_ms(await server.call(BATCH, bearer(OLD), request=batch(5))) == 1_000
    events = pb.FeedbackRequest(events=[pb.Interaction()] * 3).SerializeToString()
    assert await server.call(FEEDBACK, bearer(OLD), request=events) is None
    assert retry_ms(await server.call(RECOMMEND, bearer(OLD))) == 500
    assert retry_ms(await server.call(BATCH, bearer(OLD), request=batch(1))) == 500
    server.clock.now_s += 0.5
    assert await server.call(BATCH, bearer(OLD), request=batch(10_000)) is None
    assert retry_ms(await server.call(BATCH, bearer(OLD), request=batch(1))) == 500
    assert server.counted("few", "admitted") == 3
    assert server.calls == 3


@pytest.mark.parametrize("method", [BATCH, FEEDBACK])
async def test_what_is_no_message_costs_one(serve: Serve, method: str) -> None:
    """The service says what is wrong with it; the guard lets it through, and counts it."""
    entry = ClientEntry("few", ["recommend", "feedback"], [TokenEntry(OLD.sha256)], [], 2.0, 1)
    server = await serve(ClientList([entry]))
    assert await server.call(method, bearer(OLD), request=b"\xff") is None
    assert retry_ms(await server.call(method, bearer(OLD), request=b"\xff")) == 500
    assert (server.calls, server.counted("few", "admitted")) == (1, 1)


async def test_without_a_rate_a_batch_may_hold_what_it_will(serve: Serve) -> None:
    """As a single request."""
    server = await serve()
    for _ in range(5):
        assert await server.call(BATCH, bearer(BACKEND), request=batch(16)) is None
    assert server.counted("backend", "admitted") == 5


async def test_a_denied_call_takes_nothing_of_the_rate(serve: Serve) -> None:
    """It costs the service nothing."""
    entry = ClientEntry("few", ["recommend"], [TokenEntry(OLD.sha256)], [], 1.0, 1)
    server = await serve(ClientList([entry]))
    assert told(await server.call(FEATURES, bearer(OLD)))[1] == "RIGHT_MISSING"
    assert await server.call(RECOMMEND, bearer(OLD)) is None
