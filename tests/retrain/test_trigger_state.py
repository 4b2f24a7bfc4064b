"""The triggers' memory in Redis: restarts and twins repeat nothing and lose nothing."""

from collections.abc import Iterator
from itertools import count

import msgspec
import pytest
import redis

from contracts.settings import Settings
from online_features.redis_client import blocking_client_of
from retrain.jobs import Job
from retrain.keys import Keys
from retrain.publish import NotPublished
from retrain.trigger_state import Triggers
from retrain.triggers import Observation
from tests.retrain.conftest import Remembering

DRIFTED = Observation({"distance": 0.5}, samples_since_training=0, trained_at_s=1e9, version=1)
NOW_S, DAY_S = 1e9, 86_400.0


@pytest.fixture
def client(either_redis: Settings) -> Iterator[redis.Redis]:
    """A client of one Redis, and of a cluster: our keys share a node there."""
    with blocking_client_of(either_redis, socket_timeout=5) as opened:
        yield opened


def triggers(settings: Settings, client: redis.Redis, outbox: Remembering) -> Triggers:
    ids = count()
    return Triggers(settings, client, outbox, lambda: NOW_S, lambda: f"audit-{next(ids)}")


def test_a_restart_does_not_repeat(
    settings: Settings, client: redis.Redis, outbox: Remembering
) -> None:
    """The same drift seen again by a new process asks for nothing."""
    assert triggers(settings, client, outbox).look(DRIFTED) == "audit-0"
    assert triggers(settings, client, outbox).look(DRIFTED) is None
    assert len(outbox.requests) == 1
    topic, key, _ = outbox.sent[0]
    assert (topic, key) == (settings.topics.retrain.name, "audit-0")


def test_a_request_that_kafka_refused_is_sent_later_under_its_id(
    settings: Settings, client: redis.Redis, outbox: Remembering
) -> None:
    """Killed or refused between decision and Kafka: the next look sends the same request."""
    outbox.refuse = 1
    with pytest.raises(NotPublished):
        triggers(settings, client, outbox).look(DRIFTED)
    restarted = triggers(settings, client, outbox)
    assert restarted.look(Observation()) == "audit-0"
    assert restarted.look(Observation()) is None
    assert [request.audit_id for request in outbox.requests] == ["audit-0"]
    assert outbox.requests[0].evidence["psi"] == {"distance": 0.5}


def test_twins_ask_once(settings: Settings, client: redis.Redis, outbox: Remembering) -> None:
    """Another process answers the cause between this one's read and its write: it looks again."""
    other = triggers(settings, client, outbox)
    interfered: list[str | None] = []

    def audit_id() -> str:
        if not interfered:
            interfered.append(other.look(DRIFTED))
        return "mine"

    mine = Triggers(settings, client, outbox, lambda: NOW_S, audit_id)
    assert mine.look(DRIFTED) is None
    assert interfered == ["audit-0"]
    assert [request.audit_id for request in outbox.requests] == ["audit-0"]


def test_a_rejected_training_lets_its_cause_ask_again_after_a_day(
    settings: Settings, client: redis.Redis, outbox: Remembering
) -> None:
    """How the request ended is read from the trainer's record."""

    def look(at_s: float, audit_id: str) -> str | None:
        return Triggers(settings, client, outbox, lambda: at_s, lambda: audit_id).look(DRIFTED)

    assert look(NOW_S, "first") == "first"
    assert look(NOW_S + DAY_S, "second") is None
    record = msgspec.json.encode(Job("first", "rejected"))
    client.set(Keys(settings.key_prefix).job("first"), record)
    assert look(NOW_S + DAY_S - 1, "second") is None
    assert look(NOW_S + DAY_S, "second") == "second"


def test_a_state_of_before_versions_were_kept_is_read(
    settings: Settings, client: redis.Redis, outbox: Remembering
) -> None:
    """It knows not of whom, nor under which id it asked: what it answered stands for a day."""
    old = (
        f'{{"since_s":1.0,"last_request_s":{NOW_S},"answered":{{"psi:distance":1}},"pending":null}}'
    )
    client.set(Keys(settings.key_prefix).triggers, old)
    for after_s, asks in ((3_600, None), (DAY_S, "audit")):
        asked = Triggers(settings, client, outbox, lambda s=NOW_S + after_s: s, lambda: "audit")  # type: ignore[misc]
        assert asked.look(DRIFTED) == asks
