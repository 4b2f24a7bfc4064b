"""`placestream retrain --if-due`: asks once, whoever asks and however often."""

import msgspec
import redis

from contracts.settings import Settings
from contracts.topics import Topics
from placestream.request_retrain import request_if_due
from retrain.keys import Keys
from retrain.triggers import TriggerState
from tests.streams.stream import read_topic

DAY_S = 86_400.0


def test_asks_once_a_week(settings: Settings, topics: Topics, redis_client: redis.Redis) -> None:
    """From the first look on where there is no model; and not if a trainer has asked meanwhile."""
    now_s = 1_750_000_000.0
    assert request_if_due(settings, lambda: now_s) is None
    assert request_if_due(settings, lambda: now_s + 6 * DAY_S) is None
    asked = [request_if_due(settings, lambda: now_s + 7 * DAY_S) for _ in range(2)]
    assert asked[0] is not None
    assert asked[1] is None
    assert [m.key for m in read_topic(settings, topics.retrain.name)] == [asked[0].encode()]
    # A trainer answered the second week's cause.
    key = Keys(settings.key_prefix).triggers
    state = msgspec.json.decode(redis_client.get(key) or b"", type=TriggerState)
    answered = msgspec.structs.replace(state, answered={"schedule": 2})
    redis_client.set(key, msgspec.json.encode(answered))
    assert request_if_due(settings, lambda: now_s + 14 * DAY_S) is None
    assert request_if_due(settings, lambda: now_s + 21 * DAY_S) is not None
