"""The lease: one holder, tokens that grow, and nothing written by who has lost it."""

import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import redis

from contracts.settings import Settings
from online_features.redis_client import blocking_client_of
from retrain.keys import Keys
from retrain.lease import Lease, LeaseLost, check_held


@pytest.fixture
def client(either_redis: Settings) -> Iterator[redis.Redis]:
    """A client of one Redis, and of a cluster: our keys share a node there."""
    with blocking_client_of(either_redis, socket_timeout=5) as opened:
        yield opened


@pytest.fixture
def keys(settings: Settings) -> Keys:
    return Keys(settings.key_prefix)


def test_one_holder_at_a_time(client: redis.Redis, keys: Keys) -> None:
    """The second gets it only after the first gave it back, with a larger token."""
    first, second = Lease(client, keys), Lease(client, keys)
    assert first.acquire()
    assert not second.acquire()
    token = first.token
    first.release()
    assert second.acquire()
    assert second.token > token
    second.release()


def test_it_is_renewed_while_held(client: redis.Redis, keys: Keys) -> None:
    """Three lives later it is still held, though nobody asked."""
    lease = Lease(client, keys, ttl_s=1)
    assert lease.acquire()
    time.sleep(3)
    lease.check()
    assert client.get(keys.lease) == str(lease.token).encode()
    lease.release()
    assert client.get(keys.lease) is None


def test_a_holder_that_lost_it_is_told_and_refused(client: redis.Redis, keys: Keys) -> None:
    """Its lease passed on while it slept: no check passes, no fenced write happens."""
    slow, next_one = Lease(client, keys), Lease(client, keys)
    assert slow.acquire()
    client.delete(keys.lease)  # as its end of life does
    assert next_one.acquire()
    with pytest.raises(LeaseLost):
        slow.check()
    with pytest.raises(LeaseLost):
        slow.fenced_set(keys.job("a"), b"stale", 60)
    assert client.get(keys.job("a")) is None
    slow.release()
    next_one.check()
    next_one.fenced_set(keys.job("a"), b"fresh", 60)
    assert client.get(keys.job("a")) == b"fresh"
    next_one.release()


class Mutable:
    """A client that can fall silent."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.silent = False

    def register_script(self, text: str) -> Callable[..., Any]:
        script = self._client.register_script(text)

        def call(**arguments: Any) -> Any:
            if self.silent:
                raise redis.ConnectionError("no answer")
            return script(**arguments)

        return call


def test_a_short_silence_of_redis_is_borne_a_long_one_is_not(
    client: redis.Redis, keys: Keys
) -> None:
    """Without Redis the holder goes on for as long as the lease lives, and no longer."""
    now_s = 100.0
    mutable = Mutable(client)
    lease = Lease(cast(redis.Redis, mutable), keys, ttl_s=30, monotonic=lambda: now_s)
    assert lease.acquire()
    mutable.silent = True
    now_s = 129.0
    lease.check()
    now_s = 131.0
    with pytest.raises(LeaseLost, match="30 s"):
        lease.check()
    lease.release()


def test_nobody_holds_what_was_never_acquired(client: redis.Redis, keys: Keys) -> None:
    """A check without the lease fails."""
    with pytest.raises(LeaseLost):
        Lease(client, keys).check()


def test_a_process_that_does_not_keep_the_lease_can_ask_for_it(
    client: redis.Redis, keys: Keys
) -> None:
    """Held under its token; not under an older one, and not once it was given back."""
    lease = Lease(client, keys)
    assert lease.acquire()
    check_held(client, keys, lease.token)
    with pytest.raises(LeaseLost):
        check_held(client, keys, lease.token - 1)
    token = lease.token
    lease.release()
    with pytest.raises(LeaseLost):
        check_held(client, keys, token)
