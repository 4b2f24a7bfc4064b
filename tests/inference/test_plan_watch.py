"""The plan as the service follows it, from a real Redis, and without one."""

from collections.abc import AsyncIterator

import pytest
import redis
from msgspec import json
from redis.asyncio import Redis

from contracts.experiment import PLAN_TRUSTED_S, Plan, plan_key, shadow_key
from contracts.settings import Settings
from inference import plan_watch
from inference.challenger import RedisShadowRecord
from inference.plan_watch import PlanWatch
from online_features.redis_client import client_of, connect
from placestream.stack.ports import LOCALHOST, free_port

PLAN = Plan("pair-2", "canary", "salt", 0.1, 2)


class Clock:
    """Seconds that a test moves."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def opened(settings: Settings) -> AsyncIterator[Redis]:
    client = client_of(settings)
    yield client
    await client.aclose()


async def test_a_plan_is_followed_until_it_is_gone(
    settings: Settings, opened: Redis, redis_client: redis.Redis
) -> None:
    """Absent, there, changed, absent."""
    watch = PlanWatch(opened, settings, Clock())
    await watch.look()
    assert watch.plan is None
    for share in (0.1, 0.2):
        plan = Plan("pair-2", "canary", "salt", share, 2)
        redis_client.set(plan_key(settings.key_prefix), json.encode(plan))
        await watch.look()
        assert watch.plan == plan
    redis_client.delete(plan_key(settings.key_prefix))
    await watch.look()
    assert watch.plan is None


async def test_a_plan_that_cannot_be_read_is_none(
    settings: Settings, opened: Redis, redis_client: redis.Redis
) -> None:
    """The pair in service answers alone."""
    watch = PlanWatch(opened, settings, Clock())
    redis_client.set(plan_key(settings.key_prefix), json.encode(PLAN))
    await watch.look()
    redis_client.set(plan_key(settings.key_prefix), b"{")
    await watch.look()
    assert watch.plan is None


async def test_an_error_of_ours_does_not_end_the_watch(
    settings: Settings, opened: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pair in service answers alone; the next look is as good as ever."""
    watch = PlanWatch(opened, settings, Clock())

    def slip(_said: bytes | None) -> Plan:
        raise RuntimeError("a slip")

    with monkeypatch.context() as patched:
        patched.setattr(plan_watch, "read_plan", slip)
        await watch.look()
    assert watch.plan is None
    await watch.look()


async def test_without_redis_the_last_plan_holds_for_a_while(
    settings: Settings,
    opened: Redis,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half a minute; then nobody can take it back, and so it is given up."""
    clock = Clock()
    watch = PlanWatch(opened, settings, clock)
    redis_client.set(plan_key(settings.key_prefix), json.encode(PLAN))
    await watch.look()
    gone = connect(f"redis://{LOCALHOST}:{free_port()}")
    monkeypatch.setattr(opened, "connection_pool", gone.connection_pool)
    clock.now_s += PLAN_TRUSTED_S
    await watch.look()
    assert watch.plan == PLAN
    clock.now_s += 1
    await watch.look()
    assert watch.plan is None


async def test_comparisons_add_up(
    settings: Settings, opened: Redis, redis_client: redis.Redis
) -> None:
    """Two services' sums in one hash, which ends some day."""
    record = RedisShadowRecord(opened, settings)
    for overlap in (0.5, 0.25):
        await record.add("pair-2", {"compared": 1, "overlap": overlap})
    key = shadow_key(settings.key_prefix, "pair-2")
    assert redis_client.hgetall(key) == {b"compared": b"2", b"overlap": b"0.75"}
    assert redis_client.ttl(key) > 0
