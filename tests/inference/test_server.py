"""The service on a real Kafka, Redis and model server."""

import asyncio
import math
import time
import urllib.request
from typing import Any

import grpc
import grpc.aio
import msgspec
import pytest
import redis
from confluent_kafka import Consumer, Producer
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from contracts.events import Impression, encode
from contracts.experiment import CANARY, Plan, plan_key, shadow_key
from contracts.ids import id64
from contracts.kafka import consumer_config, producer_config
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from inference.server import RecommendationServer, _redis
from inference.service import SERVICE
from online_features.definitions import FEATURE_SET
from online_features.request import RANKING_COLUMNS
from placestream.client import CallFailed
from placestream.client import Client as PythonClient
from placestream.stack.ports import LOCALHOST, free_port
from tests.inference.conftest import StartService
from tests.inference.fakes import LAT, LNG, place
from tests.inference.installation import (
    Client,
    ModelProcess,
    request,
    send_places,
    store_context,
    store_events,
)
from tests.inference.waiting import eventually


async def test_an_answer_from_real_parts(
    client: Client, installed: Settings, redis_client: "redis.Redis"
) -> None:
    """What Redis holds of the user orders the answer, by models behind the real protocol."""
    happened = ("u", "p3", "visit", 90_000.0), ("u", "p3", "view", 9.0)
    store_events(redis_client, installed, time.time(), *happened)
    answer = await client.recommend(explain=True)
    # Visited before beats near: 10 log(1 + 1) less the distance; the others by distance.
    assert [p.place_id for p in answer.places] == ["p3", "p0", "p1"]
    assert answer.degradation == pb.DEGRADATION_NONE
    assert dict(answer.model_versions) == {"candidates": 1, "ranker": 1}
    assert answer.user_known
    assert answer.feature_age.ToTimedelta().total_seconds() >= 9
    assert answer.places[0].candidate_score == pytest.approx(10 - 1.2, abs=0.01)
    # p3 was looked at, too, which this ranker does not look at. The usual place is p2 at 900 m.
    assert answer.reasons_by == pb.REASONS_BY_MODEL
    weights = [{reason.code: reason.weight for reason in p.reasons} for p in answer.places]
    assert weights == [
        {"VISITED_BEFORE": pytest.approx(10 * math.log(2), rel=1e-3)},
        {"NEAR": pytest.approx(math.log(1.9 / 1.3), rel=0.01)},
        {},
    ]
    assert await client.ids(user_id="somebody else") == ["p0", "p1", "p2"]


async def test_features_are_those_in_redis(
    client: Client, installed: Settings, redis_client: "redis.Redis"
) -> None:
    """GetFeatures shows what a request would see."""
    store_events(redis_client, installed, time.time(), ("u", "p1", "visit", 60.0))
    told = await client.features(user_id="u", place_ids=["p1", "p2"])
    user = {f.name: f.values[0] for f in told.user.features}
    assert user["visits_1h"] == 1
    assert user["since_visit_s"] >= 60
    assert [p.known for p in told.places] == [True, False]


async def test_a_burst_finds_a_connection_for_each(installed: Settings) -> None:
    """More requests at once than redis-py has connections for, unless it is told."""
    client = _redis(installed.model_copy(update={"redis_timeout_ms": 10_000}))
    assert await asyncio.gather(*(client.get(f"nobody-{i}") for i in range(300))) == [None] * 300
    await client.aclose()


async def test_answers_become_impressions(
    client: Client, installed: Settings, redis_client: "redis.Redis"
) -> None:
    """Keyed by user, with the ranker's features by column, the weather among them."""
    store_context(redis_client, installed, "uptown", timestamp_s=time.time(), condition="snow")
    await client.recommend(user_id="u", request_id="mine")
    consumer = Consumer(consumer_config(installed, "reader"))
    consumer.subscribe([installed.topics.impressions.name])
    message = await asyncio.to_thread(consumer.poll, 30)
    await asyncio.to_thread(consumer.close)
    assert message is not None
    assert message.key() == b"u"
    event = msgspec.json.decode(message.value() or b"", type=Impression)
    # The first on the topic is the caller's: warm-up leaves no trace.
    assert event.request_id == "mine"
    assert (event.degradation, event.variant) == ("none", installed.model_label)
    assert event.models == {"candidates": 1, "ranker": 1}
    assert event.feature_set == FEATURE_SET
    assert [p.place_id for p in event.places] == ["p0", "p1", "p2"]
    assert [p.position for p in event.places] == [0, 1, 2]
    first = dict(zip(RANKING_COLUMNS, event.places[0].values, strict=True))
    assert first["weather_snow"] == 1
    assert first["distance_near"] == pytest.approx(0.5488, abs=0.01)  # exp(-300 / 500)


async def test_place_updates_reach_the_answers(client: Client, installed: Settings) -> None:
    """A new place appears, and a closed one goes, with no restart."""
    send_places(installed, place("new", 10))
    await eventually(lambda: _first_is(client, "new"))
    send_places(installed, "new")
    await eventually(lambda: _first_is(client, "p0"))


async def test_what_cannot_be_read_does_not_end_the_feed(
    client: Client, installed: Settings
) -> None:
    """A key that is no text, a number that is too large, a zone of the future; then a place."""
    producer = Producer(producer_config(installed))
    topic = installed.topics.places.name
    too_new = encode(place("p1", 300, version=7)).replace(b'"version":7', b'"version":%d' % 2**63)
    producer.produce(topic, None, b"\xff\xfe")
    producer.produce(topic, too_new, "p1")
    assert producer.flush(30) == 0
    send_places(installed, place("new", 10, business_hours={}, time_zone="Mars/Olympus"))
    await eventually(lambda: _first_is(client, "new"))
    send_places(installed, "new")


async def _first_is(client: Client, place_id: str) -> bool:
    return (await client.ids())[0] == place_id


async def test_variety_by_the_models_vectors_or_by_an_older_export_without(
    client: Client, model_process: ModelProcess
) -> None:
    """Of places of five categories the next is the farthest, or the one of another vector."""
    asked = {"limit": 2, "diversity": 1.0}
    assert [p.place_id for p in (await client.recommend(**asked)).places] == ["p0", "p4"]
    assert [id64(f"p{i}") & 2 for i in range(5)] == [0, 0, 0, 2, 0]
    model_process.switch(2)
    try:
        answer = await client.recommend(**asked)
        assert answer.model_versions["candidates"] == 2
        assert [p.place_id for p in answer.places] == ["p0", "p3"]
    finally:
        model_process.switch(1)
    answer = await client.recommend(**asked)
    assert [p.place_id for p in answer.places] == ["p0", "p4"]
    assert answer.degradation == pb.DEGRADATION_NONE


async def test_a_new_version_answers_without_a_restart(
    client: Client, model_process: ModelProcess
) -> None:
    """The label moves, and the next answers are of the new pair."""
    before = await client.recommend()
    model_process.switch(2)
    after = await client.recommend()
    model_process.switch(1)
    assert dict(before.model_versions) == {"candidates": 1, "ranker": 1}
    assert dict(after.model_versions) == {"candidates": 2, "ranker": 2}
    assert after.places[1].score < before.places[1].score < 0  # version 2 doubles all scores


async def test_a_pair_on_trial_answers_whom_the_plan_says(
    client: Client, model_process: ModelProcess, installed: Settings, redis_client: "redis.Redis"
) -> None:
    """By Redis: first computed unseen, and counted there; then the canary's users; then nobody."""
    model_process.try_out(2)
    key, root = plan_key(installed.key_prefix), installed.key_prefix
    shadow = Plan("pair-2", "shadow", "salt", 1.0, 2)
    redis_client.set(key, encode(shadow))

    async def compared() -> object:
        assert (await client.recommend()).variant == installed.model_label
        return redis_client.hget(shadow_key(root, "pair-2"), "compared")

    await eventually(compared)
    canary = Plan("pair-2", "canary", "salt", 0.5, 2)
    redis_client.set(key, encode(canary))
    users = [f"u{i}" for i in range(10)]
    ours = next(user for user in users if canary.takes(user))
    other = next(user for user in users if not canary.takes(user))

    async def variant(user: str) -> tuple[str, int]:
        answer = await client.recommend(user_id=user)
        return answer.variant, answer.model_versions["ranker"]

    async def tried() -> bool:
        return await variant(ours) == (CANARY, 2)

    await eventually(tried)
    assert await variant(other) == (installed.model_label, 1)
    redis_client.delete(key)

    async def over() -> bool:
        return await variant(ours) == (installed.model_label, 1)

    await eventually(over)
    model_process.try_out(None)


async def test_standard_clients_find_their_way(client: Client) -> None:
    """Health per service, and reflection for grpcurl."""
    assert [await client.health(name) for name in ("", SERVICE)] == ["SERVING", "SERVING"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.health("no.such.Service")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    call = stub.ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    )
    listed = [service.name for service in (await call.read()).list_services_response.service]
    call.cancel()
    assert SERVICE in listed


def _call_by_reflection(port: int) -> list[str]:
    """What grpcurl does: learn the method from the server, and call it with JSON."""
    with grpc.insecure_channel(f"{LOCALHOST}:{port}") as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName(SERVICE).FindMethodByName("Recommend")
        asked, said = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        location = {"lat": LAT, "lng": LNG}
        request = json_format.ParseDict({"userId": "u", "location": location, "limit": 2}, asked())
        call = channel.unary_unary(
            f"/{SERVICE}/Recommend", asked.SerializeToString, said.FromString
        )
        answer = json_format.MessageToDict(call(request, timeout=30))
    return [place["placeId"] for place in answer["places"]]


async def test_a_client_without_our_proto_can_call(client: Client, port: int) -> None:
    """By reflection alone, the protos that ours imports among it."""
    assert await asyncio.to_thread(_call_by_reflection, port) == ["p0", "p1"]


async def test_the_python_client_on_the_service_itself(client: Client, port: int) -> None:
    """Each of its calls, over one channel."""

    def use() -> None:
        with PythonClient(f"{LOCALHOST}:{port}", timeout_s=30) as python:
            assert python.is_serving()
            first = next(iter(python.pages(request(limit=2))))
            assert [p.place_id for p in first.places] == ["p0", "p1"]
            answer, error = python.batch([request(limit=1), request(limit=-1)])
            assert isinstance(answer, pb.RecommendResponse)
            assert isinstance(error, CallFailed)
            assert error.faults == (("limit", "must lie within 0 and 100"),)
            event = pb.Interaction(user_id="u", place_id="p1", event_type=pb.EVENT_TYPE_VIEW)
            (receipt,) = python.feedback([event])
            assert receipt.event_id
            assert receipt.position.offset >= 0
            assert python.features(place_ids=["p1"]).places[0].id == "p1"

    await asyncio.to_thread(use)


async def test_prometheus_is_told(client: Client, installed: Settings) -> None:
    """Requests, stages, places and versions are on the metrics port."""
    await client.recommend()
    url = f"http://{LOCALHOST}:{installed.serve_metrics_port}/metrics"
    page = (await asyncio.to_thread(urllib.request.urlopen, url)).read().decode()
    assert 'placestream_requests_total{code="OK",method="Recommend"} 1.0' in page
    assert 'placestream_stage_seconds_count{stage="near"} 1.0' in page
    assert "placestream_catalogue_places 5.0" in page
    assert 'placestream_served_model_version{model="ranker"} 1.0' in page
    assert "uptown" not in page
    assert "p0" not in page


async def test_reflection_is_an_option(start_service: StartService, installed: Settings) -> None:
    """Off means that nobody is told which methods there are."""
    server = await start_service(installed.model_copy(update={"serve_reflection": False}))
    client = Client(server.port)
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    call = stub.ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    await client.channel.close()


async def test_a_taken_port_is_an_error_at_start(
    start_service: StartService, installed: Settings
) -> None:
    """And not half of the requests gone astray."""
    first = await start_service(installed)
    taken = installed.model_copy(
        update={"serve_port": first.port, "serve_metrics_port": free_port()}
    )
    second = RecommendationServer(taken)
    with pytest.raises(RuntimeError, match="Failed to bind"):
        await second.start()
    page = f"http://{LOCALHOST}:{taken.serve_metrics_port}/metrics"
    with pytest.raises(OSError, match="refused"):  # nothing of it is left behind
        await asyncio.to_thread(urllib.request.urlopen, page)
