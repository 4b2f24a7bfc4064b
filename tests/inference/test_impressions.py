"""Every answer is logged with what the ranker saw, and logging costs no caller anything."""

import threading
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from confluent_kafka import Consumer

from contracts.events import FAILED, Impression
from contracts.ids import partition_of
from contracts.kafka import consumer_config
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from contracts.topics import Topics
from inference import impressions
from inference.answer import Answer, AnsweredPlace
from inference.impressions import KafkaImpressions, impression
from inference.metrics import Metrics
from inference.paging import Page
from inference.query import Query
from tests.inference.fakes import LAT, LNG, NOON_S

QUERY = Query("ü-7", LAT, LNG, limit=2, request_id="r-1")
FEATURES = np.array([[0.1, 2.0], [0.3, 4.0]], np.float32)
#: What the candidate model told; of the second place nothing.
PARTS = np.array([[-0.5, 7.0, 1e-3], [np.nan] * 3], np.float32)


def answered(place_id: str, score: float, probability: float | None) -> AnsweredPlace:
    return AnsweredPlace(place_id, "", "", LAT, LNG, 10.0, score, probability, None, 0)


def answer(features: np.ndarray | None = FEATURES, probability: float | None = 0.25) -> Answer:
    return Answer(
        places=(answered("p", 1.5, probability), answered("q", 0.5, probability)),
        features=features,
        parts=None if features is None else PARTS,
        level=pb.DEGRADATION_PARTIAL,
        causes=(),
        shortfall=pb.SHORTFALL_UNSPECIFIED,
        model_versions={"candidates": 3, "ranker": 4},
        user_known=True,
        feature_age_s=None,
        radius_m=3_000.0,
        answered_s=NOON_S,
        stage_s={"candidates": 0.004, "features": 0.005, "ranking": 0.002, "own_writes": 1.0},
        variant="stable",
    )


def count(metrics: Metrics, outcome: str) -> float:
    value = metrics.registry.get_sample_value("placestream_impressions_total", {"outcome": outcome})
    return value or 0.0


def test_an_impression_holds_the_answer_in_its_order() -> None:
    """Positions, scores and each place's row of features, value for value."""
    event = impression(QUERY, answer(), "f1")
    assert (event.request_id, event.user_id, event.variant) == ("r-1", "ü-7", "stable")
    assert (event.degradation, event.feature_set) == ("partial", "f1")
    assert event.models == {"candidates": 3, "ranker": 4}
    assert event.timestamp.timestamp() == NOON_S
    # All stages but the wait for the caller's own events; those of the models.
    assert (event.took_ms, event.models_ms) == (11.0, 6.0)
    assert [(p.place_id, p.position, p.score) for p in event.places] == [
        ("p", 0, 1.5),
        ("q", 1, 0.5),
    ]
    logged = np.array([p.values for p in event.places])
    assert np.array_equal(logged, FEATURES)
    assert np.array_equal(event.places[0].told, PARTS[0])
    assert event.places[1].parts == b""
    assert [p.propensity for p in event.places] == [1.0, 1.0]


def test_positions_count_on_over_pages() -> None:
    """Where a user had to scroll to, for whoever corrects for it."""
    second = replace(QUERY, page=Page(1, 0, (7, 8, 9)))
    event = impression(second, answer(), "f1")
    assert [p.position for p in event.places] == [3, 4]


def test_the_chance_of_being_shown_is_logged() -> None:
    """Beside each place, for a training that corrects for it."""
    shown = answer()
    explored = replace(shown.places[1], propensity=0.125)
    event = impression(QUERY, replace(shown, places=(shown.places[0], explored)), "f1")
    assert [p.propensity for p in event.places] == [1.0, 0.125]


def test_what_no_ranker_saw_is_left_empty() -> None:
    """An answer with no features, no parts and no probability is still logged."""
    event = impression(QUERY, answer(None, None), "f1")
    assert [(p.features, p.parts, p.probability) for p in event.places] == [(b"", b"", None)] * 2


def test_answers_reach_the_topic_by_user(settings: Settings, topics: Topics) -> None:
    """Keyed by user, in the partition that Java's partitioner would choose, and counted; an error
    comes by the same way, with no places."""
    metrics = Metrics()
    log = KafkaImpressions(settings, metrics, "f1")
    log.record(QUERY, answer())
    log.failed(QUERY, "canary", NOON_S)
    log.close()
    assert (count(metrics, "delivered"), count(metrics, "dropped")) == (2, 0)
    consumer = Consumer(consumer_config(settings, "reader"))
    consumer.subscribe([topics.impressions.name])
    message, error = consumer.poll(30), consumer.poll(30)
    consumer.close()
    assert message is not None
    assert error is not None
    failed = msgspec.json.decode(error.value() or b"", type=Impression)
    assert (failed.variant, failed.degradation, failed.places) == ("canary", FAILED, [])
    assert (failed.request_id, failed.user_id) == ("r-1", "ü-7")
    assert message.key() == "ü-7".encode()
    assert message.partition() == partition_of("ü-7", topics.partitions)
    event = msgspec.json.decode(message.value() or b"", type=Impression)
    assert event == impression(QUERY, answer(), "f1")


def test_a_missing_kafka_fills_the_buffer_and_then_drops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits: what does not fit is dropped and counted, and what is left at the end too."""
    monkeypatch.setattr(impressions, "BUFFERED_ANSWERS", 5)
    nowhere = Settings(_env_file=None, kafka_bootstrap="127.0.0.1:1")
    metrics = Metrics()
    log = KafkaImpressions(nowhere, metrics, "f1")
    for _ in range(8):
        log.record(QUERY, answer())
    assert count(metrics, "dropped") == 3
    log.close(timeout_s=0.1)
    assert (count(metrics, "delivered"), count(metrics, "dropped")) == (0, 8)
    assert "impressions" not in [thread.name for thread in threading.enumerate()]
