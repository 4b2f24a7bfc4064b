"""The Python client, against a service that does what the test tells it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_status import rpc_status

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.placestream.v1 import recommendation_pb2_grpc as pb_grpc
from placestream.client import RETRIES, SERVICE, CallFailed, Client
from placestream.stack.ports import LOCALHOST, free_port

LONG_S = 60.0
ASKED = pb.RecommendRequest(user_id="u", location=pb.LatLng(lat=1, lng=2), limit=2)
ATTEMPTS = RETRIES["methodConfig"][0]["retryPolicy"]["maxAttempts"]  # type: ignore[index]


@dataclass
class Call:
    """What a call brought with it."""

    request: Any
    peer: str
    metadata: dict[str, Any]
    left_s: float


@dataclass
class Service(pb_grpc.RecommendationServiceServicer):
    """Answers by a rule of the test, and remembers every attempt."""

    rule: Callable[[Any, grpc.ServicerContext], Any] = lambda *_: pb.RecommendResponse()
    calls: list[Call] = field(default_factory=list)

    def _answer(self, request: Any, context: grpc.ServicerContext) -> Any:
        sent: Any = context.invocation_metadata()
        metadata = dict(sent)
        call = Call(request, context.peer(), metadata, context.time_remaining() or 0.0)
        self.calls.append(call)
        return self.rule(request, context)

    def Recommend(self, request: Any, context: grpc.ServicerContext) -> Any:
        """By the rule."""
        return self._answer(request, context)

    def BatchRecommend(self, request: Any, context: grpc.ServicerContext) -> Any:
        """By the rule."""
        return self._answer(request, context)

    def Feedback(self, request: Any, context: grpc.ServicerContext) -> Any:
        """By the rule."""
        return self._answer(request, context)

    def GetFeatures(self, request: Any, context: grpc.ServicerContext) -> Any:
        """By the rule."""
        return self._answer(request, context)


@pytest.fixture
def service() -> Iterator[tuple[Service, str]]:
    """The service, healthy, and its address."""
    server, servicer = grpc.server(ThreadPoolExecutor(4)), Service()
    pb_grpc.add_RecommendationServiceServicer_to_server(servicer, server)
    checks = health.HealthServicer()
    checks.set(SERVICE, HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    port = server.add_insecure_port(f"{LOCALHOST}:0")
    server.start()
    yield servicer, f"{LOCALHOST}:{port}"
    server.stop(None).wait()


def failing(times: int, code: grpc.StatusCode, answer: Any) -> Callable[..., Any]:
    """Fail so many times, then answer."""
    left = [times]

    def rule(_request: Any, context: grpc.ServicerContext) -> Any:
        if left[0]:
            left[0] -= 1
            context.abort(code, "not now")
        return answer

    return rule


def status(code: int, *details: Any) -> status_pb2.Status:
    made = status_pb2.Status(code=code, message="because")
    for detail in details:
        made.details.add().Pack(detail)
    return made


def test_a_service_that_is_away_for_a_moment_is_asked_again(service: tuple[Service, str]) -> None:
    """Up to three times in all, within the deadline of the one call."""
    servicer, address = service
    answer = pb.RecommendResponse(request_id="r")
    servicer.rule = failing(ATTEMPTS - 1, grpc.StatusCode.UNAVAILABLE, answer)
    with Client(address, timeout_s=LONG_S) as client:
        assert client.recommend(ASKED) == answer
    assert [call.request for call in servicer.calls] == [ASKED] * ATTEMPTS
    # gRPC tells a time of over ten seconds in whole tenths, rounded up.
    assert all(0 < call.left_s <= LONG_S + 0.1 for call in servicer.calls)


def test_retries_end(service: tuple[Service, str]) -> None:
    """And the last error is told."""
    servicer, address = service
    servicer.rule = failing(99, grpc.StatusCode.UNAVAILABLE, None)
    with Client(address, timeout_s=LONG_S) as client, pytest.raises(CallFailed) as caught:
        client.recommend(ASKED)
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert len(servicer.calls) == ATTEMPTS


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED]
)
def test_what_would_fail_again_is_asked_once(
    service: tuple[Service, str], code: grpc.StatusCode
) -> None:
    """A bad request stays bad, and a service under load needs no more of it."""
    servicer, address = service
    servicer.rule = failing(1, code, pb.RecommendResponse())
    with Client(address, timeout_s=LONG_S) as client, pytest.raises(CallFailed) as caught:
        client.recommend(ASKED)
    assert caught.value.code is code
    assert len(servicer.calls) == 1


def test_an_event_keeps_its_id_when_it_is_sent_again(service: tuple[Service, str]) -> None:
    """The caller's, or one that the client made; so the stream counts it once."""
    servicer, address = service
    servicer.rule = failing(1, grpc.StatusCode.UNAVAILABLE, pb.FeedbackResponse())
    with Client(address, timeout_s=LONG_S) as client:
        client.feedback([pb.Interaction(user_id="u"), pb.Interaction(event_id="mine")])
    first, again = (call.request for call in servicer.calls)
    assert first == again
    assert first.events[0].event_id
    assert first.events[1].event_id == "mine"


def test_calls_share_a_channel_and_carry_a_deadline(service: tuple[Service, str]) -> None:
    """One connection; the client's time-out, or that of the call."""
    servicer, address = service
    with Client(address, timeout_s=LONG_S) as client:
        client.recommend(ASKED)
        client.recommend(ASKED, timeout_s=2 * LONG_S)
        servicer.rule = lambda *_: pb.GetFeaturesResponse()
        client.features("u", ["p"])
    assert len({call.peer for call in servicer.calls}) == 1
    # gRPC rounds a time-out up on its way, by less than a percent.
    assert servicer.calls[0].left_s < 1.5 * LONG_S < servicer.calls[1].left_s
    assert servicer.calls[2].request == pb.GetFeaturesRequest(user_id="u", place_ids=["p"])


def test_a_deadline_that_passes_is_told(service: tuple[Service, str]) -> None:
    """As what it is, and not repeated: its time is over."""
    servicer, address = service
    gave_up = threading.Event()

    def hang(*_: Any) -> pb.RecommendResponse:
        gave_up.wait(LONG_S)
        return pb.RecommendResponse()

    servicer.rule = hang
    with Client(address) as client, pytest.raises(CallFailed) as caught:
        client.recommend(ASKED, timeout_s=0.2)
    gave_up.set()
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(servicer.calls) <= 1


def test_a_token_goes_with_every_call(service: tuple[Service, str]) -> None:
    """None without one."""
    servicer, address = service
    for token in ("secret", ""):
        with Client(address, timeout_s=LONG_S, token=token) as client:
            client.recommend(ASKED)
    assert servicer.calls[0].metadata["authorization"] == "Bearer secret"
    assert "authorization" not in servicer.calls[1].metadata


def test_credentials_are_those_handed_in() -> None:
    """A server that wants them is reached with them, and not without."""
    server, servicer = grpc.server(ThreadPoolExecutor(2)), Service()
    pb_grpc.add_RecommendationServiceServicer_to_server(servicer, server)
    local = grpc.local_server_credentials()
    port = server.add_secure_port(f"{LOCALHOST}:0", local)
    server.start()
    credentials = grpc.local_channel_credentials()
    with Client(f"{LOCALHOST}:{port}", timeout_s=LONG_S, credentials=credentials) as client:
        assert client.recommend(ASKED) == pb.RecommendResponse()
    server.stop(None).wait()


def test_errors_tell_all_that_the_service_said(service: tuple[Service, str]) -> None:
    """Reason, fields and advice, of a call and of one question in a batch alike."""
    servicer, address = service
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="limit", description="must lie within 0 and 100")
    said = status(
        code_pb2.INVALID_ARGUMENT,
        error_details_pb2.ErrorInfo(reason="OUT_OF_RANGE"),
        bad,
        error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1)),
    )

    def refuse(_request: Any, context: grpc.ServicerContext) -> None:
        context.abort_with_status(rpc_status.to_status(said))

    def told(error: CallFailed) -> tuple[Any, ...]:
        return error.code, error.reason, error.faults, error.retry_s, str(error)

    with Client(address, timeout_s=LONG_S) as client:
        servicer.rule = refuse
        with pytest.raises(CallFailed) as caught:
            client.recommend(ASKED)
        answer = pb.RecommendResponse(request_id="r")
        servicer.rule = lambda *_: pb.BatchRecommendResponse(
            results=[
                pb.BatchRecommendResult(answer=answer),
                pb.BatchRecommendResult(error=said),
            ]
        )
        first, second = client.batch([ASKED, ASKED])
    assert first == answer
    assert isinstance(second, CallFailed)
    assert (
        told(caught.value)
        == told(second)
        == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "OUT_OF_RANGE",
            (("limit", "must lie within 0 and 100"),),
            1.0,
            "INVALID_ARGUMENT: because",
        )
    )


def test_pages_follow_the_tokens(service: tuple[Service, str]) -> None:
    """Until there is none; the request that was handed in stays as it is."""
    servicer, address = service
    tokens = iter(["2", "3", ""])
    servicer.rule = lambda *_: pb.RecommendResponse(next_page_token=next(tokens))
    with Client(address, timeout_s=LONG_S) as client:
        assert len(list(client.pages(ASKED))) == 3
    assert [call.request.page_token for call in servicer.calls] == ["", "2", "3"]
    assert ASKED.page_token == ""


def test_health_is_a_question(service: tuple[Service, str]) -> None:
    """Nobody there is not healthy."""
    _, address = service
    with Client(address, timeout_s=LONG_S) as client:
        assert client.is_serving()
    with Client(f"{LOCALHOST}:{free_port()}", timeout_s=LONG_S) as client:
        assert not client.is_serving()
