"""The RPCs over a real channel: errors with details, counts, and what is noted of an answer."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.answer import Answer
from inference.course import REASONS, STAGES
from inference.pipeline import Pipeline
from inference.service import SERVICE
from online_features.definitions import FEATURE_SET, PLACE, USER
from online_features.request import ARRIVAL_SPEED_M_S
from tests.inference.fakes import LNG, NOON_S
from tests.inference.running import SETTINGS, Running, details, request
from tests.inference.waiting import eventually

GONE = ConnectionError("refused")


async def test_an_answer_tells_all_of_itself(running: Running) -> None:
    """Every field of the response has a value that fits the request."""
    said = await running.stub.Recommend(request(explain=True))
    assert [p.place_id for p in said.places] == ["p0", "p1"]
    first = said.places[0]
    assert first.name == "Café Zoë"
    assert first.location.lng == LNG
    seconds = first.travel_time.ToNanoseconds() / 1e9
    assert seconds == pytest.approx(100 / ARRIVAL_SPEED_M_S, rel=1e-3)
    assert first.HasField("probability")
    assert "VISITED_BEFORE" in [r.code for r in first.reasons]
    assert said.request_id == "made"
    assert said.degradation == pb.DEGRADATION_NONE
    assert said.degradation_cause == ""
    assert dict(said.model_versions) == {"candidates": 7, "ranker": 7}
    assert said.variant == SETTINGS.model_label
    assert said.feature_age.ToSeconds() == 30
    assert said.user_known
    assert said.radius_m == SETTINGS.radius_m
    assert [stage.stage for stage in said.stages] == [*STAGES, REASONS]
    assert said.reasons_by == pb.REASONS_BY_FEATURES  # two places are too few to compare
    assert not first.reasons[0].HasField("weight")
    assert said.answered_at.ToSeconds() == NOON_S


async def test_a_short_answer_says_which_conditions_made_it_short(running: Running) -> None:
    """Each by the name of its field, with the number of places that it took out."""
    filters = pb.Filters(exclude_place_ids=["p1"], min_price_level=1, max_distance_m=900)
    said = await running.stub.Recommend(request(filters=filters))
    assert said.shortfall == pb.SHORTFALL_FILTERED
    assert [(f.filter, f.places) for f in said.filtered] == [("filters.min_price_level", 2)]
    assert said.radius_m == 900
    said = await running.stub.Recommend(request(filters=pb.Filters(exclude_place_ids=["p1"])))
    assert [p.place_id for p in said.places] == ["p0"]
    assert [(f.filter, f.places) for f in said.filtered] == [("filters.exclude_place_ids", 1)]
    assert said.radius_widened
    assert said.radius_m == SETTINGS.max_radius_m
    assert not (await running.stub.Recommend(request())).filtered


async def test_what_the_protocol_says_is_not_used_is_not(running: Running) -> None:
    """Device, session and search query change neither the answer nor what is kept of it."""
    texts = pb.RequestContext(device="mobile", session_id="abc", search_query="italian restaurant")
    plain = await running.stub.Recommend(request())
    told = await running.stub.Recommend(request(context=texts))
    assert told.places == plain.places
    await eventually(lambda: len(running.noted.answers) == 2)
    assert "italian restaurant" not in repr(running.noted.answers)


async def test_the_callers_request_id_comes_back(running: Running) -> None:
    """So that the events it leads to can name it."""
    assert (await running.stub.Recommend(request(request_id="mine"))).request_id == "mine"


async def test_answers_are_counted_and_logged(running: Running) -> None:
    """One request: one count, one impression, each stage timed, each model's version told."""
    await running.stub.Recommend(request(explain=True))
    assert await running.counted("Recommend", "OK") == 1
    assert running.sample("explained_answers_total", by="features") == 1
    assert running.sample("explained_answers_total", by="model") == 0
    assert running.sample("request_seconds_count", method="Recommend") == 1
    assert running.sample("stage_seconds_count", stage="ranking") == 1
    assert running.sample("feature_age_seconds_sum") == pytest.approx(30)
    assert running.sample("served_model_version", model="ranker") == 7
    assert [query.request_id for query, _ in running.noted.answers] == ["made"]


async def test_a_new_model_version_is_noticed(running: Running) -> None:
    """From the answer of the model server, with no restart."""
    await running.stub.Recommend(request())
    running.models.version = 8
    await running.stub.Recommend(request())
    await asyncio.sleep(0)
    assert running.sample("served_model_version", model="candidates") == 8


async def test_a_degraded_answer_is_an_answer(running: Running) -> None:
    """It says its cause, and is counted by its level."""
    running.models.errors = {"ranker": GONE}
    said = await running.stub.Recommend(request())
    assert said.degradation == pb.DEGRADATION_CANDIDATE_ORDER
    assert "the ranker failed: ConnectionError" in said.degradation_cause
    assert not said.places[0].HasField("probability")
    assert said.places[0].HasField("candidate_score")
    await asyncio.sleep(0)
    assert running.sample("degraded_total", level="candidate_order") == 1


async def test_a_bad_request_names_its_fields(running: Running) -> None:
    """INVALID_ARGUMENT with BadRequest for all fields, ErrorInfo with the first one's reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.Recommend(request(limit=101, radius_m=-1.0))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    found = details(caught.value)
    assert [(v.field, v.reason) for v in found["BadRequest"].field_violations] == [
        ("limit", "OUT_OF_RANGE"),
        ("radius_m", "OUT_OF_RANGE"),
    ]
    assert found["ErrorInfo"].reason == "OUT_OF_RANGE"
    assert found["ErrorInfo"].domain == "placestream"
    assert found["ErrorInfo"].metadata["field"] == "limit"
    assert await running.counted("Recommend", "INVALID_ARGUMENT") == 1
    assert running.noted.answers == []


async def test_the_worst_request_still_gets_its_details(running: Running) -> None:
    """All that can be wrong at once fits the trailers that a client takes."""
    worst = request(user_id="x" * 1_000, limit=-1, radius_m=-1.0, request_id="\n" * 100)
    worst.filters.exclude_place_ids.extend(["é" * 100] * 500)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.Recommend(worst)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(caught.value)["BadRequest"].field_violations


@pytest.mark.parametrize("method", ["Recommend", "BatchRecommend", "Feedback", "GetFeatures"])
async def test_bytes_that_are_no_message_are_the_callers_fault(
    running: Running, method: str
) -> None:
    """Not INTERNAL."""
    call: Any = running.channel.unary_unary(f"/{SERVICE}/{method}")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"\x0a\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(caught.value)["ErrorInfo"].reason == "NOT_A_MESSAGE"


async def test_a_loading_catalogue_says_come_back(running: Running) -> None:
    """Better than "no places near", which would not be true."""
    running.service.catalogue_loaded = False
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.Recommend(request())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    found = details(caught.value)
    assert found["ErrorInfo"].reason == "CATALOGUE_LOADING"
    assert found["RetryInfo"].retry_delay.ToSeconds() > 0


async def test_an_error_of_ours_tells_no_secrets(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INTERNAL with an id to find it in the log, and nothing of what went wrong."""

    async def broken(*_: Any) -> Answer:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(Pipeline, "recommend", broken)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.Recommend(request())
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "hunter2" not in str(caught.value)
    assert details(caught.value)["ErrorInfo"].metadata["logged_as"] == "made"
    assert await running.counted("Recommend", "INTERNAL") == 1


async def test_a_caller_that_hangs_up_is_counted_as_such(running: Running) -> None:
    """CANCELLED, and no impression of an answer that nobody saw."""
    running.models.delay_s = {"ranker": 30.0}
    call = running.stub.Recommend(request(), timeout=30)
    await eventually(lambda: any(model == "ranker" for model, *_ in running.models.asked))
    call.cancel()
    await eventually(lambda: running.counted("Recommend", "CANCELLED"))
    assert running.noted.answers == []


async def test_features_are_shown_by_name(running: Running) -> None:
    """Every column of the definitions, aged to the moment; unknown places with their defaults."""
    said = await running.stub.GetFeatures(
        pb.GetFeaturesRequest(user_id="u", place_ids=["p0", "never seen"])
    )
    assert said.user.id == "u"
    assert said.user.known
    user = {f.name: list(f.values) for f in said.user.features}
    assert tuple(user) == USER.columns
    assert user["visits_7d"] == [1]
    assert user["visits_1h"] == [0]
    assert user["since_activity_s"] == [30]
    assert [(p.id, p.known) for p in said.places] == [("p0", True), ("never seen", False)]
    assert tuple(f.name for f in said.places[1].features) == PLACE.columns
    assert said.feature_set == FEATURE_SET
    assert said.as_of.ToSeconds() == NOON_S


async def test_features_of_places_alone_name_no_user(running: Running) -> None:
    """And none of the places, when only the user is asked for."""
    said = await running.stub.GetFeatures(pb.GetFeaturesRequest(place_ids=["p1"]))
    assert not said.HasField("user")
    assert [p.id for p in said.places] == ["p1"]
    assert ("user", "") not in running.store.asked
    assert not (await running.stub.GetFeatures(pb.GetFeaturesRequest(user_id="x"))).places


async def test_features_without_a_store_are_unavailable(running: Running) -> None:
    """Here defaults would be a lie."""
    running.store.error = GONE
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.GetFeatures(pb.GetFeaturesRequest(user_id="u"))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert details(caught.value)["ErrorInfo"].reason == "FEATURE_STORE_UNAVAILABLE"
    assert await running.counted("GetFeatures", "UNAVAILABLE") == 1


async def test_features_are_looked_up_one_call_at_a_time(running: Running) -> None:
    """They cost the processor of whoever asks for recommendations; the next call is let in."""
    running.store.delay_s = 0.2
    calls = [running.stub.GetFeatures(pb.GetFeaturesRequest(user_id="u")) for _ in range(3)]
    said = await asyncio.gather(*calls, return_exceptions=True)
    refused = [error for error in said if isinstance(error, grpc.aio.AioRpcError)]
    assert [error.code() for error in refused] == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2
    assert details(refused[0])["RetryInfo"].retry_delay.ToMilliseconds() == 50
    assert (await running.stub.GetFeatures(pb.GetFeaturesRequest(user_id="u"))).user.known


async def test_a_full_service_refuses_early_and_says_when_to_come_back(running: Running) -> None:
    """RESOURCE_EXHAUSTED with a hint for what would be late; the others are answered in time."""
    running.models.delay_s = {"ranker": 0.3}
    for _ in range(3):
        await running.stub.Recommend(request())
    calls = [running.stub.Recommend(request()) for _ in range(60)]
    said = await asyncio.gather(*calls, return_exceptions=True)
    refused = [error for error in said if isinstance(error, grpc.aio.AioRpcError)]
    assert 0 < len(refused) < len(said)
    for error in refused:
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        found = details(error)
        assert found["ErrorInfo"].reason == "OVERLOADED"
        assert found["RetryInfo"].retry_delay.ToTimedelta().total_seconds() > 0
    assert await running.stub.Recommend(request())
