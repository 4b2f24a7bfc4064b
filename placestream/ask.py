"""`placestream recommend`: asks the service, and shows what it answered."""

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from contracts.placestream.v1 import recommendation_pb2 as pb
from placestream.caller import Caller
from placestream.client import CallFailed, Client

PLAIN = Caller()
#: What `--novelty` says, in the protocol's words.
NOVELTY = {
    "both": pb.FAMILIARITY_UNSPECIFIED,
    "new": pb.FAMILIARITY_NEW,
    "known": pb.FAMILIARITY_KNOWN,
}
_REASONS = {
    pb.REASONS_BY_MODEL: "what the ranker leaned on, most first",
    pb.REASONS_BY_FEATURES: "all that holds; the ranker was not asked what it leaned on",
}
_OPEN = {pb.OPEN_STATE_OPEN: "open", pb.OPEN_STATE_CLOSED: "closed"}


class Refused(RuntimeError):
    """The service gave no answer; the message says why, a line for each field at fault."""


@dataclass(frozen=True)
class Question:
    """What is asked of the service; see `RecommendRequest` and `Filters`."""

    user_id: str
    lat: float
    lng: float
    limit: int = 10
    radius_m: float = 0
    categories: tuple[str, ...] = ()
    open_now: bool = False
    explain: bool = False
    min_price_level: int = 0
    max_price_level: int = 0
    min_rating: float = 0
    max_distance_m: float = 0
    exclude: tuple[str, ...] = ()
    familiarity: pb.Familiarity.ValueType = pb.FAMILIARITY_UNSPECIFIED
    diversity: float | None = None
    explore_slots: int | None = None
    page_token: str = ""

    def message(self) -> pb.RecommendRequest:
        """The question as the protocol has it."""
        filters = pb.Filters(
            categories=self.categories,
            open_now=self.open_now,
            min_price_level=self.min_price_level,
            max_price_level=self.max_price_level,
            min_rating=self.min_rating,
            max_distance_m=self.max_distance_m,
            exclude_place_ids=self.exclude,
            familiarity=self.familiarity,
        )
        return pb.RecommendRequest(
            user_id=self.user_id,
            location=pb.LatLng(lat=self.lat, lng=self.lng),
            limit=self.limit,
            radius_m=self.radius_m,
            filters=filters,
            explain=self.explain,
            diversity=self.diversity,
            explore_slots=self.explore_slots,
            page_token=self.page_token,
        )


def ask(
    address: str, question: Question, timeout_ms: int, caller: Caller = PLAIN
) -> pb.RecommendResponse:
    """Call Recommend at `host:port`.

    Raises:
        Refused: it cannot be reached, is too slow, or refuses the request.
    """
    with Client(
        address,
        timeout_s=timeout_ms / 1_000,
        token=caller.token,
        credentials=caller.credentials,
        server_name=caller.name,
    ) as client:
        try:
            return client.recommend(question.message())
        except CallFailed as error:
            raise Refused(_why(error, address)) from error


def _why(error: CallFailed, address: str) -> str:
    said = [f"{address} answered {error}"]
    said += [f"  {field}: {text}" for field, text in error.faults]
    if error.reason:
        said.append(f"  reason: {error.reason}")
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
        "reasons": _REASONS.get(answer.reasons_by, ""),
        "searched": _searched(answer),
        "filtered": ", ".join(f"{f.places} by {f.filter}" for f in answer.filtered),
        "stages": ", ".join(stages),
        "next page": answer.next_page_token,
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value:
            table.add_row(name, Text(value))
    return table


def _searched(answer: pb.RecommendResponse) -> str:
    widened = " (widened: few places are near)" if answer.radius_widened else ""
    return f"{answer.radius_m:.0f} m around{widened}"


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
