"""The triggers' memory in Redis: restarts and twins repeat nothing and lose nothing."""

from collections.abc import Iterator
from itertools import count

import pytest
import redis

from contracts.settings import Settings
from online_features.redis_client import blocking_client_of
from retrain.publish import NotPublished
from retrain.trigger_state import Triggers
from retrain.triggers import Observation
from tests.retrain.conftest import Remembering

DRIFTED = Observation(psi={"distance": 0.5}, samples_since_training=0, trained_at_s=1e9)
NOW_S = 1e9


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
