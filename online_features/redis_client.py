"""Clients of Redis whose commands are packed in C, and leave at once.

redis-py packs an asynchronous client's commands in Python, argument by argument: for a batch of
thousands of states that costs as much as folding them. Its synchronous client uses hiredis for it;
here the asynchronous one does too. And a request that asks Redis before it goes on with something
else counts on Redis having heard it by then.

Where the settings say that Redis is a cluster, its clients (`online_features.redis_cluster`) take
the place of the others. They are typed alike: our code keeps to what both can do.
"""

from typing import Any, cast
from urllib.parse import urlsplit

import redis
from redis.asyncio import Redis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.connection import HiredisRespSerializer

from contracts.settings import Settings
from online_features.redis_cluster import BlockingCluster, Cluster

_pack = HiredisRespSerializer().pack


class _Packing(AbstractConnection):
    def pack_command(self, *args: Any) -> list[bytes]:
        """One command in Redis's protocol."""
        return list(_pack(*args))

    def send_now(self, *args: Any) -> None:
        """Send a command over an open connection without waiting, also for its answer."""
        writer: Any = self._writer
        writer.writelines(self.pack_command(*args))

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Write now what the socket takes; wait, up to the time-out, for what it does not.

        Before Python 3.12 `asyncio.wait_for`, which redis-py has around each write, makes a task of
        it: the command would leave after all else that waits for its turn in the event loop.
        """
        if not self.is_connected or isinstance(command, str | bytes):
            await super().send_packed_command(command, check_health)
            return
        if check_health:
            await self.check_health()  # type: ignore[no-untyped-call]
        writer: Any = self._writer
        try:
            writer.writelines(command)
        except BaseException:
            await self.disconnect(nowait=True)
            raise
        if writer.is_closing() or writer.transport.get_write_buffer_size():
            await super().send_packed_command((), check_health=False)


class _Plain(_Packing, Connection):
    pass


class _Secure(_Packing, SSLConnection):
    pass


class _Local(_Packing, UnixDomainSocketConnection):
    pass


_KINDS: dict[type, type] = {SSLConnection: _Secure, UnixDomainSocketConnection: _Local}


def connect(url: str, **options: Any) -> Redis:
    """A client that answers in bytes; connects when first used.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        options: of redis-py's connections, e.g. `socket_timeout`, seconds.

    Raises:
        ValueError: the URL is none of these.
    """
    parsed: dict[str, Any] = dict(parse_url(url))
    kind = _KINDS.get(parsed.pop("connection_class", Connection), _Plain)
    return Redis.from_pool(ConnectionPool(connection_class=kind, **(parsed | options)))


def client_of(settings: Settings, **options: Any) -> Redis:
    """An asynchronous client as the settings describe it: user and password, TLS, certificates.

    Args:
        settings: `redis_url`, and with `rediss://` the files.
        options: of redis-py's connections, e.g. `socket_timeout`, seconds.
    """
    url = settings.redis_url.get_secret_value()
    if settings.redis_cluster:
        return _cluster(url, **tls_options(settings), **options)
    return connect(url, **tls_options(settings), **options)


def _cluster(url: str, **options: Any) -> Redis:
    client = Cluster.from_url(url, **options)
    of_nodes = client.get_connection_kwargs()  # of every node that it will hear of
    of_nodes["connection_class"] = _KINDS.get(of_nodes["connection_class"], _Plain)  # type: ignore[arg-type]
    return cast(Redis, client)


def blocking_client_of(settings: Settings, **options: Any) -> redis.Redis:
    """The same as a blocking client.

    Raises:
        redis.ConnectionError: Redis is a cluster, and is away.
    """
    url = settings.redis_url.get_secret_value()
    if settings.redis_cluster:
        cluster = BlockingCluster.from_url(url, **tls_options(settings), **options)
        return cast(redis.Redis, cluster)
    return redis.Redis.from_url(url, **tls_options(settings), **options)


def tls_options(settings: Settings) -> dict[str, str]:
    """What redis-py is told of TLS; nothing for a URL that does not ask for it."""
    if urlsplit(settings.redis_url.get_secret_value()).scheme != "rediss":
        return {}
    files = {
        "ssl_ca_certs": settings.redis_ca_file,
        "ssl_certfile": settings.redis_certificate_file,
        "ssl_keyfile": settings.redis_key_file,
    }
    return {name: str(path) for name, path in files.items() if path is not None}
