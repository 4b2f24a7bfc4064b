"""A Python client of the service: one channel, deadlines, retries where they are safe.

    with Client("127.0.0.1:8600") as client:
        request = pb.RecommendRequest(user_id="42", location=pb.LatLng(lat=40.73, lng=-73.99))
        answer = client.recommend(request)

Messages are those of the protocol (`contracts.placestream.v1.recommendation_pb2`), which are typed.
A client may be shared by threads, and is meant to live as long as its process.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, TypeVar, cast

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.placestream.v1 import recommendation_pb2_grpc as pb_grpc

Said = TypeVar("Said")
SERVICE = pb.DESCRIPTOR.services_by_name["RecommendationService"].full_name

#: Every method may be repeated: three only read, and an event of `Feedback` counts once by its id,
#: which this client fills in. Source: gRPC's retry design (proposal A6).
RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": SERVICE}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.05s",
                "maxBackoff": "0.5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
#: Calls go round over all addresses, but those that are not ready, or are about to end, are passed
#: over: their health service says NOT_SERVING before they refuse a call. Source: gRPC's client-side
#: health checking (proposal A17).
BALANCED = RETRIES | {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": SERVICE},
}
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.enable_retries", 1),
    # A service that comes back is used again within a second, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A connection that a balancer has dropped in silence is found out.
    ("grpc.keepalive_time_ms", 300_000),
]


class CallFailed(RuntimeError):
    """A call that brought no answer.

    Attributes:
        code: status of gRPC.
        reason: stable, for programs; empty where the service gave none.
        faults: (dotted path, text) of each field that is wrong.
        retry_s: seconds after which the service advises to try again; None: no advice.
    """

    def __init__(self, code: grpc.StatusCode, text: str, details: Sequence[Message] = ()) -> None:
        super().__init__(f"{code.name}: {text or 'no more details'}")
        self.code = code
        self.reason = ""
        self.faults: tuple[tuple[str, str], ...] = ()
        self.retry_s: float | None = None
        for detail in details:
            self._learn(detail)

    @classmethod
    def of_status(cls, status: status_pb2.Status) -> Self:
        """From a status as a message, as a batch has them."""
        codes = {code.value[0]: code for code in grpc.StatusCode}
        return cls(codes[status.code], status.message, list(_unpacked(status)))

    @classmethod
    def of_error(cls, error: grpc.RpcError) -> Self:
        """From what a blocking call raises, which is also the call itself."""
        call = cast("grpc.Call", error)
        status = rpc_status.from_call(call)
        details = [] if status is None else list(_unpacked(status))
        return cls(call.code(), call.details() or "", details)

    def _learn(self, detail: Message) -> None:
        if isinstance(detail, error_details_pb2.ErrorInfo):
            self.reason = detail.reason
        elif isinstance(detail, error_details_pb2.BadRequest):
            self.faults = tuple((f.field, f.description) for f in detail.field_violations)
        elif isinstance(detail, error_details_pb2.RetryInfo):
            self.retry_s = detail.retry_delay.ToNanoseconds() / 1e9


class Client:
    """Calls one service, or several behind one address."""

    def __init__(
        self,
        address: str,
        *,
        timeout_s: float = 1.0,
        token: str = "",
        credentials: grpc.ChannelCredentials | None = None,
        server_name: str = "",
        balance: bool = False,
    ) -> None:
        """Open the channel; it connects at the first call.

        Args:
            address: `host:port`, or what else gRPC resolves (`dns:///host:port`).
            timeout_s: deadline of a call that states none.
            token: sent as `authorization: Bearer TOKEN`; empty: none.
            credentials: TLS, from `grpc.ssl_channel_credentials`; None: plain text.
            server_name: that the service's certificate must hold; empty: that of the address.
            balance: spread the calls over all addresses that `address` stands for (a name with
                several, or `ipv4:HOST:PORT,HOST:PORT`), as far as they say that they are serving.
                One after the other may then restart with no call failing.
        """
        self._timeout_s = timeout_s
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        config = BALANCED if balance else RETRIES
        options = [*_OPTIONS, ("grpc.service_config", json.dumps(config))]
        if server_name:
            options.append(("grpc.ssl_target_name_override", server_name))
        self._channel = (
            grpc.insecure_channel(address, options)
            if credentials is None
            else grpc.secure_channel(address, credentials, options)
        )
        self._stub = pb_grpc.RecommendationServiceStub(self._channel)

    def recommend(
        self, request: pb.RecommendRequest, *, timeout_s: float | None = None
    ) -> pb.RecommendResponse:
        """What should this user see here, now?

        Raises:
            CallFailed: there is no answer; says why.
        """
        return self._called(self._stub.Recommend, request, timeout_s)

    def pages(
        self, request: pb.RecommendRequest, *, timeout_s: float | None = None
    ) -> Iterator[pb.RecommendResponse]:
        """The answer page by page, each asked for when it is wanted.

        Raises:
            CallFailed: there is no further page; says why.
        """
        page = pb.RecommendRequest()
        page.CopyFrom(request)
        while True:
            answer = self.recommend(page, timeout_s=timeout_s)
            yield answer
            if not answer.next_page_token:
                return
            page.page_token = answer.next_page_token

    def batch(
        self, requests: Sequence[pb.RecommendRequest], *, timeout_s: float | None = None
    ) -> list[pb.RecommendResponse | CallFailed]:
        """Several questions in one call: an answer or an error for each, in their order.

        Raises:
            CallFailed: there is no answer at all; says why.
        """
        asked = pb.BatchRecommendRequest(requests=requests)
        said = self._called(self._stub.BatchRecommend, asked, timeout_s)
        return [
            result.answer
            if result.WhichOneof("result") == "answer"
            else CallFailed.of_status(result.error)
            for result in said.results
        ]

    def feedback(
        self, events: Sequence[pb.Interaction], *, timeout_s: float | None = None
    ) -> list[pb.FeedbackReceipt]:
        """Tell what users did; Kafka has it all when this returns.

        An event without an id is given one, so that a repeated call counts it once.

        Raises:
            CallFailed: not all events are known to be there; call again with the same ids.
        """
        told = pb.FeedbackRequest(events=events)
        for event in told.events:
            event.event_id = event.event_id or uuid.uuid4().hex
        return list(self._called(self._stub.Feedback, told, timeout_s).receipts)

    def features(
        self, user_id: str = "", place_ids: Sequence[str] = (), *, timeout_s: float | None = None
    ) -> pb.GetFeaturesResponse:
        """The features of a user and of places, for debugging.

        Raises:
            CallFailed: there is no answer; says why.
        """
        asked = pb.GetFeaturesRequest(user_id=user_id, place_ids=place_ids)
        return self._called(self._stub.GetFeatures, asked, timeout_s)

    def is_serving(self, *, timeout_s: float | None = None) -> bool:
        """Whether the service says that it is ready; False too where nobody answers."""
        stub: Any = health_pb2_grpc.HealthStub(self._channel)
        asked = health_pb2.HealthCheckRequest(service=SERVICE)
        try:
            said = self._called(stub.Check, asked, timeout_s)
        except CallFailed:
            return False
        return bool(said.status == health_pb2.HealthCheckResponse.SERVING)

    def close(self) -> None:
        """Part from the service."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _called(
        self, method: Callable[..., Said], request: Message, timeout_s: float | None
    ) -> Said:
        timeout = self._timeout_s if timeout_s is None else timeout_s
        try:
            return method(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise CallFailed.of_error(error) from error


def _unpacked(status: status_pb2.Status) -> Iterator[Message]:
    kinds = (
        error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo
    )  # fmt: skip
    for packed in status.details:
        for kind in kinds:
            detail = kind()
            if packed.Unpack(detail):
                yield detail
