"""Hears from Redis which keys have changed, so that what was read may be kept until then.

Redis tells of every key with some prefix that anybody changes, right before it answers whoever
changed it. What it says comes in one stream with its answers: after the answer to a command, all is
known that was acknowledged before the command was sent. So commands of a request go this way, too:
one connection for all of them, on which they follow each other without waiting.

Source: "Client-side caching reference", Redis documentation: tracking in broadcasting mode, over
RESP3.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError, ResponseError, TimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from contracts.settings import Settings
from online_features.redis_client import client_of

log = structlog.get_logger(__name__)

#: Redis that says nothing for so long is away.
SILENCE_S = 1.0
RETRY_S = 0.5
#: And for so long, there may be a better way to an answer.
LATE_S = 0.1
_INSTEAD = "states of places are read for every request"


class _Told(NamedTuple):
    """Keys that changed; None: all."""

    keys: list[bytes] | None


class Tracking:
    """One connection, by which Redis tells of changes; a new one when it is lost.

    Args:
        settings: of Redis, which is no cluster.
        prefixes: of keys, none the beginning of another.
        changed: is told of keys that changed; None: of all.
    """

    def __init__(
        self,
        settings: Settings,
        prefixes: Sequence[str],
        changed: Callable[[Sequence[bytes] | None], None],
    ) -> None:
        self._settings = settings
        self._prefixes = prefixes
        self._changed = changed
        self._connection: Any = None
        self._asked = self._answered = 0
        #: Who waits for an answer, and since when, seconds of the loop.
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()

    @property
    def hears(self) -> bool:
        """Whether what is read from now on may be kept until `changed` tells of it."""
        return self._connection is not None and bool(self._connection.is_connected)

    @property
    def answers(self) -> bool:
        """Whether it hears, and nobody has been waiting for an answer for long."""
        if not self.hears:
            return False
        now_s = asyncio.get_running_loop().time()
        return not self._waiting or now_s - self._waiting[0][1] < LATE_S

    def ask(self, *command: str) -> "asyncio.Future[Any]":
        """Send a command now; while `hears` alone.

        Returns:
            Its answer, or a `redis.RedisError`: that of Redis, or that the connection was lost.
        """
        self._connection.send_now(*command)
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self._waiting.append((answer, loop.time()))
        self._asked += 1
        return answer

    @property
    def moment(self) -> int:
        """Stands for when the last command was sent, see `up_to`."""
        return self._asked

    def up_to(self, moment: int) -> bool:
        """Whether all is known that was changed before a moment."""
        return self.hears and self._answered >= moment

    async def run(self) -> None:
        """Listen until cancelled; where that is not to be had, say so once and try again."""
        said = False
        while True:
            answered = self._answered
            try:
                await self._listen()
            except Exception as error:  # nobody else would begin again
                if not said or self._answered > answered:
                    surprise = None if isinstance(error, RedisError | OSError) else error
                    log.warning(
                        "redis_changes_not_heard",
                        cause=str(error),
                        instead=_INSTEAD,
                        exc_info=surprise,
                    )
                said = True
            await asyncio.sleep(RETRY_S)

    async def _listen(self) -> None:
        client = client_of(
            self._settings,
            protocol=3,
            socket_timeout=SILENCE_S,
            socket_connect_timeout=SILENCE_S,
            retry=Retry(NoBackoff(), 0),
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        connection: Any = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()
            # redis-py's own way with a push tells it from an answer only if all goes well.
            connection._parser.handle_push_response = _as_told
            prefixes = [word for prefix in self._prefixes for word in ("PREFIX", prefix)]
            await connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", *prefixes)
            await connection.read_response()
            self._connection, self._answered = connection, self._asked
            log.info("redis_changes_heard")
            reading = asyncio.create_task(self._read(connection))
            try:
                await self._watch(reading)
            finally:
                reading.cancel()
        finally:
            if self._connection is not None:
                self._connection = None
                self._changed(None)
            while self._waiting:
                answer, _ = self._waiting.popleft()
                if not answer.done():
                    answer.set_exception(ConnectionError("the connection to Redis was lost"))
            await connection.disconnect(nowait=True)

    async def _watch(self, reading: "asyncio.Task[None]") -> None:
        """Return or raise when it has ended; raise where nothing is answered."""
        while not reading.done():
            asked = self.ask("PING")
            await asyncio.wait((reading,), timeout=SILENCE_S)
            if asked.done():
                asked.result()
            elif asked.cancel() and not reading.done():
                raise TimeoutError(f"no answer for {SILENCE_S:.0f} s")
        reading.result()

    async def _read(self, connection: Any) -> None:
        while True:
            error = None
            try:
                reply = await connection.read_response(timeout=math.inf, push_request=True)
            except ResponseError as refused:  # of one command; the others go on
                error = refused
            if error is None and isinstance(reply, _Told):
                self._changed(reply.keys)
                continue
            if not self._waiting:
                raise ConnectionError("an answer that nobody asked for")
            self._answered += 1
            answer, _ = self._waiting.popleft()
            if answer.done():  # whoever asked has gone
                continue
            if error is None:
                answer.set_result(reply)
            else:
                answer.set_exception(error)


async def _as_told(push: list[Any], **_: Any) -> _Told:
    """What redis-py is to return for a push: no answer to a command can be taken for it."""
    return _Told(push[1] if push[0] == b"invalidate" else [])
