"""The RPCs called as plain functions, in process: all of the service, and nothing of gRPC."""

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_status import rpc_status

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from inference.lookup import FeatureLookup
from inference.metrics import Metrics
from inference.pipeline import Pipeline
from inference.service import SERVICE, RecommendationService, add_to_server
from online_features.catalogue import Catalogue
from online_features.crowds import Crowds
from tests.inference.fakes import LAT, LNG, NOON_S, FakeModels, FakeStore
from tests.inference.running import Noted, Told

METHODS = tuple(pb.DESCRIPTOR.services_by_name["RecommendationService"].methods)


class Aborted(Exception):
    """The service ended a call with an error; `status` is `google.rpc.Status`."""

    def __init__(self, code: grpc.StatusCode, status: status_pb2.Status) -> None:
        super().__init__(f"{code.name}: {status.message}")
        self.code = code
        self.status = status


class Context:
    """What the service sees of a call."""

    def time_remaining(self) -> float | None:
        """The caller set no deadline."""
        return None

    async def abort_with_status(self, status: grpc.Status) -> None:
        """End the call."""
        details = dict(status.trailing_metadata)[rpc_status.GRPC_DETAILS_METADATA_KEY]
        raise Aborted(status.code, status_pb2.Status.FromString(details))


class _Registered:
    """Takes the place of a server: keeps the handlers that the service registers."""

    def __init__(self) -> None:
        self.handlers: Any = None

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        (self.handlers,) = handlers


@dataclass
class _Call:
    method: str
    invocation_metadata: tuple[tuple[str, str], ...] = ()


class Direct:
    """A service on fake parts, called with bytes and answering in bytes, as on the wire."""

    def __init__(self, settings: Settings, catalogue: Catalogue, store: FakeStore) -> None:
        self.store, self.models, self.noted, self.told = store, FakeModels(), Noted(), Told()
        # A clock that stands still: no deadline is ever reached.
        clocks: dict[str, Any] = {"clock": lambda: NOON_S, "monotonic": lambda: 0.0}
        self.service = RecommendationService(
            settings,
            Pipeline(
                settings, catalogue, Crowds(), store, self.models, **clocks, new_seed=lambda: 1
            ),
            FeatureLookup(settings, store, **clocks),
            self.noted,
            self.told,
            Metrics(),
            **clocks,
            new_id=lambda: "made",
        )
        self.service.catalogue_loaded = True
        registered: Any = _Registered()
        add_to_server(self.service, registered)
        self._handlers = {
            method.name: registered.handlers.service(_Call(f"/{SERVICE}/{method.name}"))
            for method in METHODS
        }

    async def call(self, method: str, request: bytes) -> bytes:
        """One call.

        Raises:
            Aborted: the service answers with an error.
        """
        handler = self._handlers[method]
        answer = await handler.unary_unary(handler.request_deserializer(request), Context())
        answered: bytes = handler.response_serializer(answer)
        return answered


def request_class(method: Any) -> type[Message]:
    """The class of a method's request, from its descriptor."""
    found: type[Message] = getattr(pb, method.input_type.name)
    return found


def valid(message: Message) -> Message:
    """Fill in what a request cannot do without."""
    for name in message.DESCRIPTOR.fields_by_name:
        if name in ("user_id", "place_id"):
            setattr(message, name, "u")
        elif name == "event_type":
            message.event_type = pb.EVENT_TYPE_VISIT  # type: ignore[attr-defined]
        elif name == "location":
            getattr(message, name).CopyFrom(pb.LatLng(lat=LAT, lng=LNG))
    return message
