"""The service's health, as balancers and probes see it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from inference import health
from inference.health import Health
from placestream.stack.ports import LOCALHOST
from tests.inference.waiting import eventually

Status = health_pb2.HealthCheckResponse


class Server:
    """A server that has nothing but health."""

    def __init__(self) -> None:
        self.health = Health(("", "places"))
        self.grpc = grpc.aio.server()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.grpc)
        self.port = self.grpc.add_insecure_port(f"{LOCALHOST}:0")
        self.channel = grpc.aio.insecure_channel(f"{LOCALHOST}:{self.port}")
        self._stub: Any = health_pb2_grpc.HealthStub(self.channel)

    async def check(self, service: str = "") -> int:
        """Ask once."""
        said = await self._stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
        return int(said.status)

    def watch(self, service: str = "") -> Any:
        """A call to read from."""
        return self._stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=20)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A running one."""
    running = Server()
    await running.grpc.start()
    yield running
    await running.channel.close()
    await running.grpc.stop(0)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame of HTTP/2 (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def watch_and_read_nothing(port: int) -> socket.socket:
    """Ask for a watch, and leave the answer no window (SETTINGS_INITIAL_WINDOW_SIZE, 4, is 0)."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Watch",
        ":authority": "x",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    literal = b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in headers.items()
    )
    peer = socket.create_connection((LOCALHOST, port))
    peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, struct.pack(">HI", 4, 0)))
    peer.sendall(frame(1, 4, 1, literal) + frame(0, 1, 1, bytes(5)))
    return peer


async def watchers(server: Server, number: int) -> None:
    """Wait until so many watch."""
    await eventually(lambda: server.health._watchers == number)


async def test_it_serves_from_when_it_says_so_until_it_ends(server: Server) -> None:
    """And once it has ended, nothing brings it back."""
    assert await server.check("places") == Status.NOT_SERVING
    server.health.serving()
    assert await server.check("places") == await server.check("") == Status.SERVING
    server.health.ending()
    server.health.serving()
    assert await server.check("places") == await server.check("") == Status.NOT_SERVING


async def test_a_watcher_is_told_of_each_change_until_the_server_leaves(server: Server) -> None:
    """Then its call ends, and it holds nobody up."""
    call = server.watch("places")
    assert (await call.read()).status == Status.NOT_SERVING
    server.health.serving()
    assert (await call.read()).status == Status.SERVING
    server.health.ending()
    assert (await call.read()).status == Status.NOT_SERVING
    server.health.leave()
    assert await call.read() is grpc.aio.EOF


async def test_who_reads_nothing_holds_up_neither_the_server_nor_others(server: Server) -> None:
    """It needs no token to watch; others are told, and the server drains."""
    peer = await asyncio.to_thread(watch_and_read_nothing, server.port)
    await watchers(server, 1)
    honest = server.watch()
    assert (await honest.read()).status == Status.NOT_SERVING
    server.health.serving()
    assert (await honest.read()).status == Status.SERVING
    server.health.ending()
    server.health.leave()
    async with asyncio.timeout(10):
        await server.grpc.stop(0.2)
    peer.close()


async def test_who_watches_no_more_is_forgotten(server: Server) -> None:
    """Their places are free for others."""
    call = server.watch()
    await call.read()
    await watchers(server, 1)
    call.cancel()
    await watchers(server, 0)


async def test_too_many_watchers_are_turned_away(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking once is still answered."""
    monkeypatch.setattr(health, "MOST_WATCHERS", 1)
    first = server.watch()
    await first.read()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await server.watch().read()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await server.check() == Status.NOT_SERVING


async def test_an_unknown_service(server: Server) -> None:
    """As the protocol has it: an error to who asks, a status to who watches."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await server.check("nobody")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert (await server.watch("nobody").read()).status == Status.SERVICE_UNKNOWN
