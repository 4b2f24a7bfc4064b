"""The story of an audit id, from events on a real Kafka."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Producer
from rich.console import Console

from contracts.events import RetrainRequested, RolloutStep, encode
from contracts.kafka import producer_config
from contracts.settings import Settings
from placestream.audit import story

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def told(settings: Settings, topics: object) -> Settings:
    """Two ids: one from a drift to its promotion, a step told twice, and one just asked for."""
    del topics
    producer = Producer(producer_config(settings))
    requests = [
        RetrainRequested("abc-1", "psi", AT, {"feature": "rating", "psi": 0.31}),
        RetrainRequested("abd-2", "manual", AT),
    ]
    for request in requests:
        producer.produce(settings.topics.retrain.name, encode(request), request.audit_id)
    for i, name in enumerate(("trained", "shadow", "canary", "canary", "promoted")):
        step = RolloutStep(
            "abc-1",
            name,  # type: ignore[arg-type]
            AT + timedelta(hours=i + 1),
            {"candidates": 2, "ranker": 2},
            note=f"why {name}",
        )
        producer.produce(settings.topics.rollout.name, encode(step), step.audit_id)
    producer.produce(settings.topics.rollout.name, b'{"step": "of a later version"}', "x")
    assert producer.flush(30) == 0
    return settings


def text(found: story.Story) -> str:
    out = io.StringIO()
    Console(file=out, width=150).print(story.as_text(found))
    return out.getvalue()


def test_from_trigger_to_promotion(told: Settings) -> None:
    """In order, each step once, with evidence and notes; by its first characters."""
    found = story.read(told, "abc")
    assert found.audit_id == "abc-1"
    assert [step.step for step in found.steps] == ["trained", "shadow", "canary", "promoted"]
    shown = text(found)
    order = ["asked for: psi", "psi 0.31", "why trained", "why canary", "ended: promoted"]
    places = [shown.index(part) for part in order]
    assert places == sorted(places)
    assert json.loads(story.as_json(found))["request"]["evidence"]["psi"] == 0.31


def test_what_is_under_way_says_so(told: Settings) -> None:
    """Only asked for yet."""
    found = story.read(told, "abd-2")
    assert found.steps == []
    assert "under way: the trainer" in text(found)


@pytest.mark.parametrize(
    ("audit_id", "said"), [("x", "no event carries the audit id 'x'"), ("ab", "fits 2 ids")]
)
def test_what_cannot_be_told_is_explained(told: Settings, audit_id: str, said: str) -> None:
    """Unknown, with those that are known; or not enough characters."""
    with pytest.raises(ValueError, match=said) as caught:
        story.read(told, audit_id)
    assert "abc-1" in str(caught.value)
