"""One trainer at a time: a lease in Redis with fencing tokens."""

import threading
import time
from collections.abc import Callable

import redis
import structlog

from retrain.keys import Keys

_log = structlog.get_logger(__name__)

#: A dead trainer blocks the next one for so long. Three renewals may fail before it is lost.
TTL_S = 30.0

_ACQUIRE = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local token = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], token, 'PX', ARGV[1])
return token
"""
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
_FENCED_SET = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
return 1
"""


class LeaseLost(RuntimeError):
    """Another trainer may be at work: stop, change nothing, start over."""


def check_held(client: redis.Redis, keys: Keys, token: int) -> None:
    """Return if the lease is still that of a token; for a process that does not keep it itself.

    Raises:
        LeaseLost: it passed on.
        redis.RedisError: Redis did not answer.
    """
    if client.get(keys.lease) != str(token).encode():
        raise LeaseLost(f"token {token} no longer holds the lease")


class Lease:
    """The right to train and to roll out, held for `ttl_s` and renewed by a thread.

    Tokens only grow. What the holder writes to Redis carries its token and is refused once the
    lease has passed on (`fenced_set`); before it touches what cannot refuse, files and the model
    server, the holder asks (`check`).

    Args:
        client: Redis.
        keys: key names.
        ttl_s: life of an unrenewed lease, seconds.
        monotonic: seconds from any start, for the time that passes without Redis.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        ttl_s: float = TTL_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._ttl_ms = int(ttl_s * 1000)
        self._monotonic = monotonic
        self._acquire = client.register_script(_ACQUIRE)
        self._renew = client.register_script(_RENEW)
        self._release = client.register_script(_RELEASE)
        self._fenced_set = client.register_script(_FENCED_SET)
        self._token = 0
        self._valid_until = 0.0
        self._held = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def token(self) -> int:
        """Fencing token; 0 while not held."""
        return self._token

    def acquire(self) -> bool:
        """Take the lease if it is free, and keep it until `release`."""
        asked = self._monotonic()
        token = int(self._acquire(keys=[self._keys.lease, self._keys.fence], args=[self._ttl_ms]))
        if token == 0:
            return False
        self._token = token
        self._valid_until = asked + self._ttl_ms / 1000
        self._held.set()
        self._thread = threading.Thread(target=self._keep, name="retrain-lease", daemon=True)
        self._thread.start()
        return True

    def check(self) -> None:
        """Return if the lease is held now; renews it.

        Raises:
            LeaseLost: it passed on, or Redis has been silent for as long as it lives.
        """
        asked = self._monotonic()
        try:
            held = self._token > 0 and int(
                self._renew(keys=[self._keys.lease], args=[self._token, self._ttl_ms])
            )
        except redis.RedisError as error:
            if asked < self._valid_until:
                return
            raise LeaseLost(f"Redis has not answered for {self._ttl_ms / 1000:g} s") from error
        if not held:
            raise LeaseLost(f"token {self._token} no longer holds the lease")
        self._valid_until = asked + self._ttl_ms / 1000

    def fenced_set(self, key: str, value: bytes, ttl_s: int) -> None:
        """Write `value` only if this token still holds the lease, in one atomic step.

        Raises:
            LeaseLost: it does not.
            redis.RedisError: Redis did not answer.
        """
        args: list[int | bytes] = [self._token, value, ttl_s]
        if not int(self._fenced_set(keys=[self._keys.lease, key], args=args)):
            raise LeaseLost(f"token {self._token} no longer holds the lease")

    def release(self) -> None:
        """Give it back; if Redis is away it runs out by itself."""
        self._held.clear()
        if self._thread is not None:
            self._thread.join()
        token, self._token = self._token, 0
        try:
            self._release(keys=[self._keys.lease], args=[token])
        except redis.RedisError as error:
            _log.warning("lease_left_to_run_out", fence=token, error=str(error))

    def _keep(self) -> None:
        while self._held.is_set():
            try:
                self.check()
            except LeaseLost as lost:
                # The worker's own `check` tells it; this thread only stops renewing.
                _log.error("lease_lost", fence=self._token, error=str(lost))
                return
            self._wait(self._ttl_ms / 3000)

    def _wait(self, seconds: float) -> None:
        until = self._monotonic() + seconds
        while self._held.is_set() and self._monotonic() < until:
            time.sleep(min(0.1, seconds))
