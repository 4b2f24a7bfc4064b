"""The client that packs in C says to Redis what redis-py's own would say."""

from typing import Any

import pytest
from redis.asyncio.connection import Connection

from online_features.redis_client import connect
from placestream.stack.redis import RedisServer


@pytest.mark.parametrize(
    "command",
    [("MGET", "a", "ü"), ("CONFIG GET", "maxmemory"), ("EVAL", "return 1", 1, "k", 7, b"\x00\r\n")],
)
def test_commands_are_packed_as_by_redis_py(command: tuple[Any, ...]) -> None:
    """Byte for byte: text, numbers, bytes, and a command of two words."""
    pool: Any = connect("redis://nowhere").connection_pool
    ours = pool.make_connection()
    assert b"".join(ours.pack_command(*command)) == b"".join(Connection().pack_command(*command))


async def test_it_talks_to_redis(redis_server: RedisServer) -> None:
    """A pipeline with a large value, over the way that the store uses."""
    client = connect(redis_server.url, socket_timeout=5)
    value = bytes(range(256)) * 1_000
    async with client.pipeline(transaction=True) as pipe:
        pipe.set("packed", value)
        pipe.get("packed")
        assert await pipe.execute() == [True, value]
    await client.delete("packed")
    await client.aclose()


@pytest.mark.parametrize(
    ("url", "kind"),
    [("rediss://h:1", "SSLConnection"), ("unix:///s", "UnixDomainSocketConnection")],
)
def test_every_kind_of_connection_is_kept(url: str, kind: str) -> None:
    """TLS stays TLS: the URL decides, not the packing."""
    pool: Any = connect(url).connection_pool
    of = type(pool.make_connection())
    assert kind in [base.__name__ for base in of.__mro__]


def test_a_foreign_url_is_refused() -> None:
    """It names what it may be."""
    with pytest.raises(ValueError, match="redis://"):
        connect("http://h")
