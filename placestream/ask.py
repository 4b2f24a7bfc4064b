"""`placestream recommend`: asks the service, and shows what it answered."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.placestream.v1 import recommendation_pb2_grpc as pb_grpc

_OPEN = {pb.OPEN_STATE_OPEN: "open", pb.OPEN_STATE_CLOSED: "closed"}


class Refused(RuntimeError):
    """The service gave no answer; the message says why, a line for each field at fault."""


@dataclass(frozen=True)
class Question:
    """What is asked of the service."""

    user_id: str
    lat: float
    lng: float
    limit: int = 10
    radius_m: float = 0
    categories: tuple[str, ...] = ()
    open_now: bool = False
    explain: bool = False


def ask(address: str, question: Question, timeout_ms: int) -> pb.RecommendResponse:
    """Call Recommend at `host:port`.

    Raises:
        Refused: it cannot be reached, is too slow, or refuses the request.
    """
    filters = pb.Filters(categories=question.categories, open_now=question.open_now)
    request = pb.RecommendRequest(
        user_id=question.user_id,
        location=pb.LatLng(lat=question.lat, lng=question.lng),
        limit=question.limit,
        radius_m=question.radius_m,
        filters=filters,
        explain=question.explain,
    )
    with grpc.insecure_channel(address) as channel:
        try:
            return pb_grpc.RecommendationServiceStub(channel).Recommend(
                request, timeout=timeout_ms / 1000
            )
        except grpc.RpcError as error:
            raise Refused(_why(error, address)) from error


def _why(error: grpc.RpcError, address: str) -> str:
    # What a blocking call raises is also the call itself.
    call = cast("grpc.Call", error)
    said = [f"{address} answered {call.code().name}: {call.details() or 'no more details'}"]
    status = rpc_status.from_call(call)
    for detail in status.details if status is not None else ():
        bad, info = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo()
        if detail.Unpack(bad):
            said += [f"  {fault.field}: {fault.description}" for fault in bad.field_violations]
        elif detail.Unpack(info):
            said.append(f"  reason: {info.reason}")
    return "\n".join(said)


def show(answer: pb.RecommendResponse, console: Console, *, explain: bool) -> None:
    """Print the places, best first, and how the answer came to be."""
    console.print(Group(*_rendered(answer, explain)))


def _rendered(answer: pb.RecommendResponse, explain: bool) -> Iterable[RenderableType]:
    if answer.places:
        yield _places(answer, explain)
    if answer.shortfall != pb.SHORTFALL_UNSPECIFIED:
        yield Text(f"fewer than asked for: {_word(pb.Shortfall.Name(answer.shortfall))}")
    yield _origin(answer)


def _places(answer: pb.RecommendResponse, explain: bool) -> Table:
    """Two lines a place, so that the reasons have room in a narrow terminal too."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right")
    table.add_column("place", overflow="fold")
    table.add_column("probability\nscore", justify="right", no_wrap=True)
    if explain:
        table.add_column("why", overflow="fold", ratio=1)
    for position, place in enumerate(answer.places, start=1):
        chance = f"{place.probability:.1%}" if place.HasField("probability") else "-"
        facts = (place.category, f"{place.distance_m:.0f} m", _OPEN.get(place.open_state, ""))
        about = Text(f"{place.name or place.place_id}\n")
        about.append(", ".join(filter(None, facts)), style="dim")
        why = [Text("; ".join(reason.text for reason in place.reasons))] if explain else []
        table.add_row(str(position), about, f"{chance}\n{place.score:.3f}", *why)
    return table


def _origin(answer: pb.RecommendResponse) -> Table:
    versions = sorted(answer.model_versions.items())
    stages = (f"{s.stage} {s.duration.ToNanoseconds() / 1e6:.1f} ms" for s in answer.stages)
    facts = {
        "request": answer.request_id,
        "user": _user(answer),
        "models": ", ".join(f"{name} {version}" for name, version in versions) or "none",
        "variant": answer.variant,
        "degradation": _degradation(answer),
        "searched": f"{answer.radius_m:.0f} m around",
        "stages": ", ".join(stages),
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value:
            table.add_row(name, Text(value))
    return table


def _user(answer: pb.RecommendResponse) -> str:
    if not answer.user_known:
        return "unknown (no event of this user so far)"
    if not answer.HasField("feature_age"):
        return "known"
    return f"known, newest event {answer.feature_age.ToNanoseconds() / 1e9:.1f} s old"


def _degradation(answer: pb.RecommendResponse) -> str:
    level = _word(pb.Degradation.Name(answer.degradation))
    return f"{level} ({answer.degradation_cause})" if answer.degradation_cause else level


def _word(enum_name: str) -> str:
    """`DEGRADATION_CANDIDATE_ORDER` reads "candidate order"."""
    return enum_name.partition("_")[2].lower().replace("_", " ")
