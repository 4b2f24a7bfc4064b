"""What a monitor knows after a restart, on real Kafka."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import confluent_kafka
import msgspec
import pytest
import redis
from confluent_kafka import TopicPartition

from contracts.events import Impression, Interaction, encode
from contracts.kafka import consumer_config, producer_config
from contracts.settings import Settings
from contracts.topics import Topics
from retrain import metrics, monitor
from retrain.monitor import GROUP
from retrain.rewind import Rewind, span_s
from tests.retrain.conftest import Remembering
from tests.retrain.drifting import LEAST, gauge, impressions, put_in_service
from tests.retrain.test_monitor import LOOK_S, Watching, wait_for

SURE = [0.9, 0.02, 0.02, 0.02, 0.02, 0.02]


def answers() -> list[Impression]:
    """Of six places, of the first of which the model is sure."""
    return [
        msgspec.structs.replace(
            answer,
            places=[
                msgspec.structs.replace(place, place_id=f"p{k}", probability=SURE[k])
                for k, place in enumerate(answer.places)
            ],
        )
        for answer in impressions(1, LEAST, places=6)
    ]


def visit(answer: Impression, place: str, after_s: float) -> bytes:
    at = answer.timestamp + timedelta(seconds=after_s)
    return encode(Interaction(answer.user_id, place, "visit", at, request_id=answer.request_id))


def click(of: Impression, after_s: float) -> bytes:
    """Nobody's, of a later time: what happened before it has passed."""
    return encode(Interaction("z", "z", "click", of.timestamp + timedelta(seconds=after_s)))


def counted() -> dict[str, float | None]:
    """All counters that a message moves."""
    fates = ("joined", "unprompted", "unknown", "too_late", "late", "unreadable")
    skipped = ("unreadable", "no_reference", "other_version", "no_features")
    return {
        **{f: gauge("placestream_outcomes_total", fate=f) for f in fates},
        **{
            f"skipped {s}": gauge("placestream_drift_impressions_skipped_total", reason=s)
            for s in skipped
        },
        "cut": gauge("placestream_outcome_answers_cut_total"),
    }


def chosen() -> float | None:
    return gauge("placestream_served_answers", kind="chosen", variant="stable", version="1")


def committed(settings: Settings) -> int:
    """Messages that the monitor's group has behind it."""
    group = consumer_config(settings, f"{settings.topic_prefix}.{GROUP}")
    topics = (settings.topics.impressions, settings.topics.interactions)
    asked = [TopicPartition(t.name, p) for t in topics for p in range(t.partitions)]
    with closing(confluent_kafka.Consumer(group)) as consumer:
        return sum(max(each.offset, 0) for each in consumer.committed(asked, timeout=30))


@pytest.fixture
def quick(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(monitor, "LOOK_S", LOOK_S)
    least = {"drift_min_answers": LEAST, "outcome_min_choices": LEAST // 2}
    return settings.model_copy(update={**least, "retrain_cooldown_s": 0})


@contextmanager
def watching(settings: Settings, client: redis.Redis, outbox: Remembering) -> Iterator[Watching]:
    opened = Watching(settings, client, outbox)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.slow
def test_a_restart_fills_the_windows_and_counts_nothing_twice(
    quick: Settings, topics: Topics, client: redis.Redis, outbox: Remembering
) -> None:
    """Choices and columns are known again, an outcome of an answer from before joins it, and
    neither a counter nor the event of a cause that is answered comes again."""
    put_in_service(quick, 1)
    told = answers()
    visits = [visit(answer, "p1", 1) for answer in told]
    with watching(quick, client, outbox) as first:
        first.send(topics.impressions.name, [b"none", *(encode(answer) for answer in told)])
        first.send(topics.interactions.name, [b"none", *visits, click(told[-1], 100)])
        wait_for(lambda: chosen() == LEAST, "outcomes were not joined")
        wait_for(lambda: bool(outbox.requests), "no training was asked for")
        wait_for(lambda: committed(quick) == 2 * LEAST + 3, "nothing was committed")
    before, asked = counted(), len(outbox.requests)
    metrics.SERVED_ANSWERS.clear()
    metrics.forget_drift()
    with watching(quick, client, outbox) as second:
        wait_for(lambda: chosen() == LEAST, "the choices are forgotten")
        assert gauge("placestream_drift_window_answers") == LEAST
        assert counted() == before
        assert gauge("placestream_error_rises") == 0
        late = [visit(told[0], "p2", 120), click(told[-1], 300)]
        second.send(topics.interactions.name, late)
        joined = (before["joined"] or 0) + 1
        wait_for(lambda: counted()["joined"] == joined, "an answer from before is forgotten")
        wait_for(lambda: committed(quick) == 2 * LEAST + 5, "nothing was committed")
    assert len(outbox.requests) == asked
    assert counted()["unknown"] == before["unknown"]


#: One message every so often, the last one now.
EVERY_S, SENT = 360, 100


@pytest.mark.parametrize(
    ("most", "expected"),
    # Of a span of 14,460 s there are 41; of half of it 21.
    [(41, 41), (40, 21), (0, 0)],
)
def test_what_is_read_again_is_bounded(
    settings: Settings, topics: Topics, most: int, expected: int
) -> None:
    """By time, and by messages: then the span is halved until it holds no more of them."""
    settings = settings.model_copy(
        update={"attribution_visit_s": 7_200, "monitor_rewind_messages": most}
    )
    assert span_s(settings) == 2 * 7_200 + 60
    now_s = int(time.time())
    topic = topics.impressions.name
    producer = confluent_kafka.Producer(producer_config(settings))
    for i in reversed(range(SENT)):
        producer.produce(topic, b"{}", partition=0, timestamp=(now_s - EVERY_S * i) * 1_000)
    assert producer.flush(30) == 0
    config = consumer_config(settings, f"{settings.topic_prefix}.bounded")
    with closing(confluent_kafka.Consumer(config)) as reader:
        reader.commit(offsets=[TopicPartition(topic, 0, SENT)], asynchronous=False)
    rewind = Rewind(settings, lambda: now_s)
    producer.produce(topic, b"new", partition=0)
    producer.produce(topic, b"new elsewhere", partition=topics.impressions.partitions - 1)
    assert producer.flush(30) == 0
    producer.close()
    again: list[confluent_kafka.Message] = []
    new: list[confluent_kafka.Message] = []
    with closing(confluent_kafka.Consumer(config)) as consumer:
        consumer.subscribe([topic], on_assign=rewind.assigned)
        deadline = time.monotonic() + 60
        while len(new) < 2:
            assert time.monotonic() < deadline
            read, fresh = rewind.taken(consumer, consumer.consume(7, 0.5))
            assert not (read and new), "something new came before all that is old"
            again, new = again + read, new + fresh
        reached = {(each.partition, each.offset) for each in rewind.reached()}
    assert [message.offset() for message in again] == list(range(SENT - expected, SENT))
    assert {message.value() for message in new} == {b"new", b"new elsewhere"}
    assert reached == {(0, SENT + 1), (topics.impressions.partitions - 1, 1)}
