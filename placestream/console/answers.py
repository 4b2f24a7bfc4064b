"""Questions and events of the page in the protocol's words, and answers in the page's."""

from typing import Any, TypeVar

import msgspec
from google.protobuf.duration_pb2 import Duration

from contracts.placestream.v1 import recommendation_pb2 as pb
from placestream.ask import NOVELTY
from placestream.console.problem import Problem

T = TypeVar("T", bound=msgspec.Struct)
DEVICE = "console"
_EVENTS = {
    "view": pb.EVENT_TYPE_VIEW,
    "click": pb.EVENT_TYPE_CLICK,
    "visit": pb.EVENT_TYPE_VISIT,
    "rate": pb.EVENT_TYPE_RATE,
}


class Position(msgspec.Struct, frozen=True):
    """Where an event lies in Kafka."""

    topic: str
    partition: int
    offset: int


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the page asks; the service checks what the fields hold."""

    user_id: str
    lat: float
    lng: float
    limit: int = 10
    category: str = ""
    open_now: bool = False
    novelty: str = "both"
    written: list[Position] = []

    def message(self) -> pb.RecommendRequest:
        """The question as the protocol has it."""
        filters = pb.Filters(
            categories=[self.category] if self.category else [],
            open_now=self.open_now,
            familiarity=NOVELTY.get(self.novelty, pb.FAMILIARITY_UNSPECIFIED),
        )
        return pb.RecommendRequest(
            user_id=self.user_id,
            location=pb.LatLng(lat=self.lat, lng=self.lng),
            limit=self.limit,
            filters=filters,
            context=pb.RequestContext(device=DEVICE),
            explain=True,
            written=[
                pb.EventPosition(topic=p.topic, partition=p.partition, offset=p.offset)
                for p in self.written
            ],
        )


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the user of the page does with a place; the service checks what the fields hold."""

    user_id: str
    place_id: str
    event_type: str
    lat: float
    lng: float
    event_id: str
    request_id: str = ""
    rating: float | None = None

    def message(self) -> pb.Interaction:
        """The event as the protocol has it."""
        return pb.Interaction(
            user_id=self.user_id,
            place_id=self.place_id,
            event_type=_EVENTS.get(self.event_type, pb.EVENT_TYPE_UNSPECIFIED),
            context=pb.InteractionContext(
                location=pb.LatLng(lat=self.lat, lng=self.lng), device=DEVICE
            ),
            event_id=self.event_id,
            request_id=self.request_id,
            rating=self.rating,
        )


def told(answer: pb.RecommendResponse) -> dict[str, Any]:
    """An answer of the service as JSON for the page; durations in milliseconds."""
    return {
        "request_id": answer.request_id,
        "places": [_place(place) for place in answer.places],
        "degradation": _word(pb.Degradation.Name(answer.degradation)),
        "degradation_cause": answer.degradation_cause,
        "shortfall": _word(pb.Shortfall.Name(answer.shortfall)) if answer.shortfall else "",
        "models": dict(sorted(answer.model_versions.items())),
        "variant": answer.variant,
        "user_known": answer.user_known,
        "feature_age_s": answer.feature_age.ToNanoseconds() / 1e9
        if answer.HasField("feature_age")
        else None,
        "radius_m": answer.radius_m,
        "radius_widened": answer.radius_widened,
        "filtered": [{"filter": f.filter, "places": f.places} for f in answer.filtered],
        "stages": [{"stage": s.stage, "ms": _ms(s.duration)} for s in answer.stages],
        "written_seen": answer.read_your_writes == pb.READ_YOUR_WRITES_SEEN
        if answer.read_your_writes
        else None,
    }


def _place(place: pb.RecommendedPlace) -> dict[str, Any]:
    return {
        "place_id": place.place_id,
        "name": place.name,
        "category": place.category,
        "lat": place.location.lat,
        "lng": place.location.lng,
        "distance_m": place.distance_m,
        "candidate_score": place.candidate_score if place.HasField("candidate_score") else None,
        "score": place.score,
        "probability": place.probability if place.HasField("probability") else None,
        "propensity": place.propensity,
        "open": _word(pb.OpenState.Name(place.open_state)).removeprefix("state "),
        "minutes": _ms(place.travel_time) / 60_000,
        "reasons": [_reason(reason) for reason in place.reasons],
    }


def _reason(reason: pb.Reason) -> dict[str, Any]:
    weight = reason.weight if reason.HasField("weight") else None
    return {"code": reason.code, "text": reason.text, "weight": weight}


def decoded(body: bytes, kind: type[T]) -> T:
    """A body of a request.

    Raises:
        Problem: it is not what it should be.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise Problem(
            400, f"The page sent what cannot be read: {error}", "Reload the page."
        ) from error


def _ms(duration: Duration) -> float:
    return duration.ToNanoseconds() / 1e6


def _word(enum_name: str) -> str:
    """`DEGRADATION_CANDIDATE_ORDER` reads "candidate order"."""
    return enum_name.partition("_")[2].lower().replace("_", " ")
