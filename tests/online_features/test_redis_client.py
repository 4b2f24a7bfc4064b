"""The client that packs in C says to Redis what redis-py's own would say."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError

from contracts.settings import Settings
from online_features.redis_client import blocking_client_of, client_of, connect
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


async def test_a_command_leaves_in_its_first_turn(redis_server: RedisServer) -> None:
    """Redis works while the asker does something else."""
    client = connect(redis_server.url, socket_timeout=5)
    await client.ping()

    def heard() -> int:
        with redis_server.client() as blocking:
            return int(blocking.info("commandstats").get("cmdstat_hget", {}).get("calls", 0))

    before = heard()
    ask: Any = client.hget("nothing", "here")
    asked = asyncio.create_task(ask)
    await asyncio.sleep(0)
    deadline_s = time.monotonic() + 5
    while heard() == before:  # no turn for the event loop
        assert time.monotonic() < deadline_s
    assert await asked is None
    await client.aclose()


async def test_a_write_that_nobody_reads_times_out(redis_server: RedisServer) -> None:
    """More than the sockets hold, to a Redis that stands still; afterwards it works again."""
    client = connect(redis_server.url, socket_timeout=0.3, retry=Retry(NoBackoff(), 0))
    await client.ping()
    (child,) = redis_server.children
    os.kill(child.pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError, match="Timeout writing"):
            await client.set("large", bytes(64 * 2**20))
    finally:
        os.kill(child.pid, signal.SIGCONT)
    assert await client.get("large") is None
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


def test_certificates_go_only_where_tls_is_on() -> None:
    """To both kinds of client, under redis-py's names."""
    files = {"redis_ca_file": Path("ca.pem"), "redis_certificate_file": Path("c.pem")}
    url = SecretStr("rediss://ann:swordfish@h:1/2")
    secure = Settings(_env_file=None, redis_url=url, redis_key_file=Path("k.pem"), **files)  # type: ignore[arg-type]
    for client in (client_of(secure), blocking_client_of(secure)):
        options = client.connection_pool.connection_kwargs
        assert options["ssl_ca_certs"] == "ca.pem"
        assert (options["ssl_certfile"], options["ssl_keyfile"]) == ("c.pem", "k.pem")
        assert (options["username"], options["password"]) == ("ann", "swordfish")
        assert (options["host"], options["db"]) == ("h", 2)
    plain = client_of(Settings(_env_file=None)).connection_pool.connection_kwargs
    assert not [name for name in plain if name.startswith("ssl")]


def test_a_foreign_url_is_refused() -> None:
    """It names what it may be."""
    with pytest.raises(ValueError, match="redis://"):
        connect("http://h")
