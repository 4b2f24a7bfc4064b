"""Feedback: checked as the stream does, sent as a producer does, acknowledged by Kafka alone."""

import math
import time
from typing import Any

import grpc
import grpc.aio
import msgspec
import numpy as np
import pytest
from aiokafka import ConsumerRecord
from confluent_kafka import Consumer
from google.protobuf.timestamp_pb2 import Timestamp

from contracts.events import Interaction
from contracts.ids import partition_of
from contracts.kafka import consumer_config
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from contracts.topics import Topics
from inference.checks import BadRequest
from inference.errors import KAFKA_UNAVAILABLE, NotNow
from inference.feedback import MAX_EVENTS, MAX_OF_ONE_USER, Told, parse_feedback
from inference.feedback_log import KafkaFeedback
from online_features.duplicates import SEEN_DTYPE, mark_new
from placestream.stack.ports import LOCALHOST, free_port
from streams.decode import decode_interactions
from tests.inference.fakes import LAT, LNG, NOON_S
from tests.inference.running import Running, details

FULL = pb.Interaction(
    user_id="ü-7",
    place_id="p",
    event_type=pb.EVENT_TYPE_RATE,
    timestamp=Timestamp(seconds=int(NOON_S) - 60),
    context=pb.InteractionContext(
        search_query="pho",
        location=pb.LatLng(lat=LAT, lng=LNG),
        device="mobile",
        session_id="s",
    ),
    event_id="e-1",
    rating=4.5,
    request_id="r",
    user_age_group="25-34",
    dwell_s=90,
)


def event(**fields: Any) -> pb.Interaction:
    wanted: dict[str, Any] = {
        "user_id": "u", "place_id": "p", "event_type": pb.EVENT_TYPE_VISIT, "event_id": "e"
    }  # fmt: skip
    return pb.Interaction(**(wanted | fields))


def parsed(*events: pb.Interaction) -> list[Told]:
    request = pb.FeedbackRequest(events=events)
    return parse_feedback(request, received_s=NOON_S, new_id=lambda: "made")


def refused(*events: pb.Interaction) -> list[tuple[str, str]]:
    with pytest.raises(BadRequest) as caught:
        parsed(*events)
    return [(v.field, v.reason) for v in caught.value.violations]


def test_an_event_is_the_one_that_a_producer_would_send() -> None:
    """Every field has its place, and the stream reads it."""
    (told,) = parsed(FULL)
    assert msgspec.json.decode(told.value) == {
        "user_id": "ü-7",
        "place_id": "p",
        "event_type": "rate",
        "timestamp": "2024-05-15T11:59:00Z",
        "context": {
            "search_query": "pho",
            "location": {"lat": LAT, "lng": LNG},
            "device": "mobile",
            "session_id": "s",
        },
        "event_id": "e-1",
        "rating": 4.5,
        "request_id": "r",
        "user_age_group": "25-34",
        "dwell_s": 90,
    }
    record = ConsumerRecord(
        "t", partition_of("ü-7", 4), 0, int(1_000 * NOON_S), 0, None, told.value, None, 0, 0, ()
    )
    batch = decode_interactions([record], partitions=4)
    assert (batch.bad, batch.user_id, batch.dwell_s) == ([], ["ü-7"], [90])


def test_what_is_not_said_is_left_out() -> None:
    """The moment is now, and the id is made."""
    (told,) = parsed(event(event_id=""))
    assert told.event_id == "made"
    assert msgspec.json.decode(told.value) == {
        "user_id": "u",
        "place_id": "p",
        "event_type": "visit",
        "timestamp": "2024-05-15T12:00:00Z",
        "event_id": "made",
    }


@pytest.mark.parametrize(
    ("field", "reason", "bad"),
    [
        ("user_id", "BAD_EVENT", event(user_id="")),
        ("place_id", "BAD_EVENT", event(place_id="a\nb")),
        ("event_type", "BAD_EVENT", event(event_type=pb.EVENT_TYPE_UNSPECIFIED)),
        ("event_type", "BAD_EVENT", event(event_type=77)),
        ("timestamp", "OUT_OF_RANGE", event(timestamp=Timestamp(seconds=int(NOON_S) + 301))),
        ("timestamp", "OUT_OF_RANGE", event(timestamp=Timestamp(seconds=0))),
        ("timestamp", "OUT_OF_RANGE", event(timestamp=Timestamp(seconds=10**15))),
        ("rating", "BAD_EVENT", event(event_type=pb.EVENT_TYPE_RATE)),
        ("rating", "BAD_EVENT", event(rating=6)),
        ("dwell_s", "BAD_EVENT", event(dwell_s=-1)),
        ("rating", "BAD_EVENT", event(rating=math.nan)),
        ("dwell_s", "BAD_EVENT", event(dwell_s=math.inf)),
        (
            "context.location.lat",
            "BAD_EVENT",
            event(context=pb.InteractionContext(location=pb.LatLng(lat=math.nan))),
        ),
        (
            "context.location.lat",
            "BAD_EVENT",
            event(context=pb.InteractionContext(location=pb.LatLng(lat=91))),
        ),
        ("event_id", "BAD_EVENT", event(event_id="x" * 513)),
    ],
)
def test_bad_events_are_named(field: str, reason: str, bad: pb.Interaction) -> None:
    """By their number and field, with the stream's own rules; one spoils the call."""
    assert refused(event(), bad) == [(f"events[1].{field}", reason)]


def test_the_number_of_events_is_bounded() -> None:
    """At least one, at most a hundred."""
    assert refused() == [("events", "REQUIRED")]
    assert refused(*[event()] * (MAX_EVENTS + 1)) == [("events", "TOO_MANY")]
    of_many = [event(user_id=str(i % 10)) for i in range(MAX_EVENTS)]
    assert len(parsed(*of_many)) == MAX_EVENTS


def test_a_call_holds_as_many_of_a_user_as_the_stream_knows_again() -> None:
    """More would count twice when the call is repeated, as clients do by themselves."""
    events = [event(user_id="v"), *[event()] * MAX_OF_ONE_USER]
    assert len(parsed(*events)) == len(events)
    assert refused(*events, event()) == [(f"events[{len(events)}].user_id", "TOO_MANY")]
    seen = np.zeros(1, SEEN_DTYPE)
    hashes = np.arange(1, MAX_OF_ONE_USER + 1, dtype=np.uint64)
    of_one_user = np.zeros(MAX_OF_ONE_USER, np.int64)
    assert mark_new(seen, of_one_user, hashes).all()
    assert not mark_new(seen, of_one_user, hashes).any()


async def test_receipts_say_where_each_event_lies(running: Running) -> None:
    """In order, with the ids that count; a bad event keeps all from being sent."""
    told = pb.FeedbackRequest(events=[event(event_id="a"), event(event_id="")])
    said = await running.stub.Feedback(told)
    assert [r.event_id for r in said.receipts] == ["a", "made"]
    assert [r.position.offset for r in said.receipts] == [0, 1]
    assert running.sample("feedback_events_total", outcome="acknowledged") == 2
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.Feedback(pb.FeedbackRequest(events=[event(), event(user_id="")]))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(running.told.events) == 2


async def test_what_kafka_has_not_is_not_acknowledged(running: Running) -> None:
    """UNAVAILABLE with a stable reason, and the advice to come back."""
    running.told.error = NotNow(KAFKA_UNAVAILABLE, "Kafka is away")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.Feedback(pb.FeedbackRequest(events=[event()]))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert details(caught.value)["ErrorInfo"].reason == "KAFKA_UNAVAILABLE"
    assert details(caught.value)["RetryInfo"].retry_delay.ToSeconds() > 0
    assert running.sample("feedback_events_total", outcome="unsure") == 1


async def test_events_lie_where_the_receipt_says(settings: Settings, topics: Topics) -> None:
    """In the user's own partition of a real Kafka, keyed by user."""
    log = KafkaFeedback(settings)
    told = parse_feedback(
        pb.FeedbackRequest(events=[event(event_id="1"), event(event_id="2", user_id="v")]),
        received_s=time.time(),
        new_id=lambda: "made",
    )
    positions = await log.send(told, 30.0)
    log.close()
    assert [(p.topic, p.partition) for p in positions] == [
        (topics.interactions.name, partition_of(user, topics.partitions)) for user in "uv"
    ]
    consumer = Consumer(consumer_config(settings, "reader"))
    consumer.subscribe([topics.interactions.name])
    found = {}
    for _ in told:
        message = consumer.poll(30)
        assert message is not None
        found[message.partition(), message.offset()] = (message.key(), message.value())
    consumer.close()
    for event_told, position in zip(told, positions, strict=True):
        key, value = found[position.partition, position.offset]
        assert key == event_told.user_id.encode()
        assert msgspec.json.decode(value or b"", type=Interaction).event_id == event_told.event_id


async def test_a_missing_kafka_is_said_within_the_time(settings: Settings) -> None:
    """However long librdkafka would go on trying."""
    log = KafkaFeedback(
        settings.model_copy(update={"kafka_bootstrap": f"{LOCALHOST}:{free_port()}"})
    )
    with pytest.raises(NotNow, match="no answer within 200 ms") as caught:
        await log.send(parsed(event()), 0.2)
    assert caught.value.reason == KAFKA_UNAVAILABLE
    log.close(timeout_s=0.1)
