"""Several questions in one call: each answered or refused by itself, within one deadline."""

from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.validation import MAX_BATCH
from tests.inference.running import Running, details, request


def batch(*requests: pb.RecommendRequest) -> pb.BatchRecommendRequest:
    return pb.BatchRecommendRequest(requests=requests)


async def test_each_question_has_its_answer(running: Running) -> None:
    """In their order, each as Recommend would give it, each noted."""
    said = await running.stub.BatchRecommend(
        batch(
            request(request_id="a"),
            request(request_id="b", limit=1, filters=pb.Filters(exclude_place_ids=["p0"])),
        )
    )
    assert [r.WhichOneof("result") for r in said.results] == ["answer", "answer"]
    first, second = (r.answer for r in said.results)
    alone = await running.stub.Recommend(request(request_id="a"))
    assert [p.place_id for p in first.places] == [p.place_id for p in alone.places] == ["p0", "p1"]
    assert [p.place_id for p in second.places] == ["p1"]
    assert (first.request_id, second.request_id) == ("a", "b")
    assert [query.request_id for query, _ in running.noted.answers] == ["a", "b", "a"]
    assert running.sample("batch_items_total", code="OK") == 2
    assert running.sample("requests_total", method="BatchRecommend", code="OK") == 1


async def test_a_bad_question_costs_no_other_its_answer(running: Running) -> None:
    """Its error has code, text and details, as the error of a call has."""
    said = await running.stub.BatchRecommend(batch(request(limit=-1), request()))
    error, answer = said.results[0].error, said.results[1].answer
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "limit" in error.message
    info = error_details_pb2.ErrorInfo()
    assert error.details[0].Unpack(info)
    assert info.reason == "OUT_OF_RANGE"
    assert len(answer.places) == 2
    assert running.sample("batch_items_total", code="INVALID_ARGUMENT") == 1


@pytest.mark.parametrize(("size", "reason"), [(0, "REQUIRED"), (MAX_BATCH + 1, "TOO_MANY")])
async def test_the_number_of_questions_is_bounded(running: Running, size: int, reason: str) -> None:
    """At least one, and no more than one deadline can bear."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.BatchRecommend(batch(*[request()] * size))
    (violation,) = details(caught.value)["BadRequest"].field_violations
    assert (violation.field, violation.reason) == ("requests", reason)


async def test_one_deadline_bounds_all(running: Running) -> None:
    """A ranker that hangs costs each answer its order, and none comes late."""
    running.models.delay_s = {"ranker": 60.0}
    said = await running.stub.BatchRecommend(batch(*[request()] * MAX_BATCH))
    levels: set[Any] = {r.answer.degradation for r in said.results}
    assert levels == {pb.DEGRADATION_CANDIDATE_ORDER}
    assert len(said.results) == MAX_BATCH
