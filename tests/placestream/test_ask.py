"""`placestream recommend`, against a service that answers what the test tells it."""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from rich.console import Console

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.placestream.v1 import recommendation_pb2_grpc as pb_grpc
from placestream.ask import Question, Refused, ask, show
from placestream.caller import Caller
from placestream.stack.ports import LOCALHOST, free_port

Answer = Callable[[pb.RecommendRequest, grpc.ServicerContext], pb.RecommendResponse]
QUESTION = Question(user_id="42", lat=40.73, lng=-73.99)

FULL = pb.RecommendResponse(
    request_id="r1",
    degradation=pb.DEGRADATION_CANDIDATE_ORDER,
    degradation_cause="the ranker did not answer in time",
    shortfall=pb.SHORTFALL_FILTERED,
    model_versions={"ranker": 3, "candidates": 4},
    variant="stable",
    user_known=True,
    feature_age=Duration(seconds=1, nanos=500_000_000),
    radius_m=3_000,
    radius_widened=True,
    filtered=[pb.FilterEffect(filter="filters.categories", places=17)],
    next_page_token="more-of-it",
    stages=[pb.StageTime(stage="ranking", duration=Duration(nanos=2_500_000))],
    places=[
        pb.RecommendedPlace(
            place_id="p1",
            name="Pho [79]",
            category="vietnamese",
            distance_m=123.4,
            score=1.5,
            probability=0.25,
            open_state=pb.OPEN_STATE_OPEN,
            reasons=[pb.Reason(code="NEAR", text="two minutes away")],
        ),
        pb.RecommendedPlace(place_id="p2", category="park", distance_m=900, score=0.5),
    ],
)


class Service(pb_grpc.RecommendationServiceServicer):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[pb.RecommendRequest] = []
        self.metadata: dict[str, str | bytes] = {}
        self.answer: Answer = lambda *_: FULL

    def Recommend(
        self, request: pb.RecommendRequest, context: grpc.ServicerContext
    ) -> pb.RecommendResponse:
        """Answer as the test says."""
        self.asked.append(request)
        self.metadata = dict(context.invocation_metadata())
        return self.answer(request, context)

    def BatchRecommend(
        self, request: pb.BatchRecommendRequest, context: grpc.ServicerContext
    ) -> pb.BatchRecommendResponse:
        """The command asks one question."""
        raise AssertionError(request)

    def Feedback(
        self, request: pb.FeedbackRequest, context: grpc.ServicerContext
    ) -> pb.FeedbackResponse:
        """The command tells nothing."""
        raise AssertionError(request)

    def GetFeatures(
        self, request: pb.GetFeaturesRequest, context: grpc.ServicerContext
    ) -> pb.GetFeaturesResponse:
        """The command does not ask for them."""
        raise AssertionError(request)


@pytest.fixture
def service() -> Iterator[tuple[Service, str]]:
    """The service and its address."""
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = Service()
    pb_grpc.add_RecommendationServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"{LOCALHOST}:0")
    server.start()
    yield servicer, f"{LOCALHOST}:{port}"
    server.stop(None).wait()


def printed(answer: pb.RecommendResponse, *, explain: bool) -> str:
    """Return what a wide terminal would show."""
    out = io.StringIO()
    show(answer, Console(file=out, width=200), explain=explain)
    return out.getvalue()


def test_the_question_reaches_the_service(service: tuple[Service, str]) -> None:
    """Every option of the command has its place in the request."""
    servicer, address = service
    question = Question(
        user_id="ann",
        lat=1.5,
        lng=-2.5,
        limit=3,
        radius_m=500,
        categories=("cafe", "bar"),
        open_now=True,
        explain=True,
        min_price_level=1,
        max_price_level=2,
        min_rating=3.5,
        max_distance_m=900,
        exclude=("p9",),
        familiarity=pb.FAMILIARITY_NEW,
        diversity=0,
        explore_slots=0,
        page_token="next",
    )
    assert ask(address, question, timeout_ms=20_000) == FULL
    assert servicer.asked == [
        pb.RecommendRequest(
            user_id="ann",
            location=pb.LatLng(lat=1.5, lng=-2.5),
            limit=3,
            radius_m=500,
            filters=pb.Filters(
                categories=["cafe", "bar"],
                open_now=True,
                min_price_level=1,
                max_price_level=2,
                min_rating=3.5,
                max_distance_m=900,
                exclude_place_ids=["p9"],
                familiarity=pb.FAMILIARITY_NEW,
            ),
            explain=True,
            diversity=0,
            explore_slots=0,
            page_token="next",
        )
    ]


def test_the_token_goes_with_the_question(service: tuple[Service, str]) -> None:
    """Where the settings have one."""
    servicer, address = service
    ask(address, QUESTION, 20_000, Caller(token="pst_x"))
    assert servicer.metadata["authorization"] == "Bearer pst_x"
    ask(address, QUESTION, 20_000)
    assert "authorization" not in servicer.metadata


def test_the_answer_is_shown_whole() -> None:
    """Places in order, and how the answer came to be."""
    text = printed(FULL, explain=True)
    rows = [line.split() for line in text.splitlines()]
    (start,) = (number for number, row in enumerate(rows) if row[:1] == ["1"])
    assert [" ".join(row) for row in rows[start : start + 4]] == [
        "1 Pho [79] 25.0% two minutes away",
        "vietnamese, 123 m, open 1.500",
        "2 p2 -",  # no name, no probability, opening hours not known
        "park, 900 m 0.500",
    ]
    for shown in (
        "candidates 4, ranker 3",
        "stable",
        "candidate order (the ranker did not answer in time)",
        "known, newest event 1.5 s old",
        "3000 m around (widened: few places are near)",
        "17 by filters.categories",
        "more-of-it",
        "ranking 2.5 ms",
        "fewer than asked for: filtered",
    ):
        assert shown in text


def test_reasons_are_shown_only_when_asked_for() -> None:
    """They make the table wide."""
    assert "two minutes away" not in printed(FULL, explain=False)


@pytest.mark.parametrize(
    ("by", "shown"),
    [
        (pb.REASONS_BY_MODEL, "what the ranker leaned on, most first"),
        (pb.REASONS_BY_FEATURES, "all that holds; the ranker was not asked"),
        (pb.REASONS_BY_UNSPECIFIED, None),
    ],
)
def test_what_judged_the_reasons_is_shown(by: pb.ReasonsBy.ValueType, shown: str | None) -> None:
    """So that a list that grows or shrinks does not puzzle; nothing where nobody asked why."""
    text = printed(pb.RecommendResponse(reasons_by=by), explain=True)
    assert (shown in text) if shown else ("reasons" not in text)


def test_an_empty_answer_says_why() -> None:
    """No empty table; an unknown user is told apart from a known one."""
    answer = pb.RecommendResponse(shortfall=pb.SHORTFALL_NO_PLACES_NEAR, radius_m=50_000)
    text = printed(answer, explain=True)
    assert "no places near" in text
    assert "unknown (no event of this user so far)" in text
    assert "probability" not in text


def test_a_refusal_names_the_fields(service: tuple[Service, str]) -> None:
    """From google.rpc.BadRequest, with the stable reason."""
    servicer, address = service
    bad, info = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo(reason="OFF_THE_GLOBE")
    bad.field_violations.add(field="location.lat", description="must lie within +-90")
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="bad request")
    for detail in (bad, info):
        status.details.add().Pack(detail)

    def refuse(_: pb.RecommendRequest, context: grpc.ServicerContext) -> pb.RecommendResponse:
        context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("abort raises")

    servicer.answer = refuse
    with pytest.raises(Refused) as caught:
        ask(address, QUESTION, timeout_ms=20_000)
    assert str(caught.value).splitlines() == [
        f"{address} answered INVALID_ARGUMENT: bad request",
        "  location.lat: must lie within +-90",
        "  reason: OFF_THE_GLOBE",
    ]


def test_nobody_there_is_said_plainly() -> None:
    """With the address, which is most often what is wrong."""
    address = f"{LOCALHOST}:{free_port()}"
    with pytest.raises(Refused, match=f"{address} answered UNAVAILABLE"):
        ask(address, QUESTION, timeout_ms=20_000)
