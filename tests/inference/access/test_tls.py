"""TLS and mutual TLS on a real gRPC server, with certificates that a test makes."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from contracts.settings import Settings
from inference.access.tls import BadCertificate, add_port
from placestream.stack.ports import LOCALHOST
from tests.certificates import Authority, Pair
from tests.inference.waiting import eventually

Start = Callable[..., Awaitable[int]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts servers that answer health checks, and stops them at the end."""
    servers: list[grpc.aio.Server] = []

    async def start(**settings: Any) -> int:
        server = grpc.aio.server()
        servicer = health_aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        port = add_port(server, Settings(_env_file=None, serve_port=0, **settings))
        servers.append(server)
        await server.start()
        return port

    yield start
    for server in servers:
        await server.stop(None)


async def ask(port: int, credentials: grpc.ChannelCredentials | None) -> str:
    """One health check; the name of the status, or of the error."""
    address = f"{LOCALHOST}:{port}"
    channel = (
        grpc.aio.insecure_channel(address)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials)
    )
    async with channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code().name
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def credentials(authority: Authority, own: Pair | None = None) -> grpc.ChannelCredentials:
    """Believe an authority; show a certificate, if there is one."""
    key, certificate = (None, None) if own is None else (own.key, own.certificate)
    return grpc.ssl_channel_credentials(authority.certificate, key, certificate)


async def test_plain_text_is_the_default(start: Start) -> None:
    """As before, on this machine."""
    assert await ask(await start(), None) == "SERVING"


async def test_tls_answers_only_who_speaks_it(start: Start, tmp_path: Path) -> None:
    """A caller that believes another authority hangs up, one in plain text gets nothing."""
    authority = Authority()
    certificate, key = authority.issue("serve").write(tmp_path, "serve")
    port = await start(serve_tls_certificate=certificate, serve_tls_key=key)
    assert await ask(port, credentials(authority)) == "SERVING"
    assert await ask(port, credentials(Authority())) == "UNAVAILABLE"
    assert await ask(port, None) == "UNAVAILABLE"


async def test_mutual_tls_wants_a_certificate_of_its_authority(
    start: Start, tmp_path: Path
) -> None:
    """None, or another authority's, ends the handshake."""
    authority, others = Authority(), Authority()
    certificate, key = authority.issue("serve").write(tmp_path, "serve")
    port = await start(
        serve_tls_certificate=certificate,
        serve_tls_key=key,
        serve_tls_client_ca=authority.write(tmp_path),
    )
    assert await ask(port, credentials(authority, authority.issue("backend"))) == "SERVING"
    assert await ask(port, credentials(authority)) == "UNAVAILABLE"
    assert await ask(port, credentials(authority, others.issue("backend"))) == "UNAVAILABLE"


async def test_a_renewed_certificate_is_taken_up(start: Start, tmp_path: Path) -> None:
    """By the next connections, with no restart; a half-written one changes nothing."""
    authority = Authority()
    first, second = authority.issue("serve"), authority.issue("serve")
    certificate, key = first.write(tmp_path, "serve")
    port = await start(serve_tls_certificate=certificate, serve_tls_key=key)
    held = grpc.aio.secure_channel(f"{LOCALHOST}:{port}", credentials(authority))
    async with held:
        stub: Any = health_pb2_grpc.HealthStub(held)
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        certificate.write_bytes(second.certificate)  # the key is still the first one's
        await asyncio.sleep(1.1)
        assert await _serial(port) == first.serial
        key.write_bytes(second.key)

        async def renewed() -> bool:
            return await _serial(port) == second.serial

        await eventually(renewed)
        # Who is connected stays so.
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)


async def _serial(port: int) -> int:
    """Serial number of the certificate that a new connection is shown."""
    pem = await asyncio.to_thread(ssl.get_server_certificate, (LOCALHOST, port), timeout=10)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


async def test_what_cannot_work_is_refused_at_the_start(start: Start, tmp_path: Path) -> None:
    """With the files, or the settings, that are at fault."""
    authority = Authority()
    certificate, key = authority.issue("serve").write(tmp_path, "serve")
    _, other_key = authority.issue("other").write(tmp_path, "other")
    with pytest.raises(BadCertificate, match="SERVE_TLS_KEY"):
        await start(serve_tls_certificate=certificate)
    with pytest.raises(BadCertificate, match="SERVE_TLS_CERTIFICATE"):
        await start(serve_tls_client_ca=authority.write(tmp_path))
    with pytest.raises(BadCertificate, match=r"serve\.crt and .*other\.key are no pair"):
        await start(serve_tls_certificate=certificate, serve_tls_key=other_key)
    with pytest.raises(BadCertificate, match="holds no certificate"):
        await start(
            serve_tls_certificate=certificate, serve_tls_key=key, serve_tls_client_ca=other_key
        )
    with pytest.raises(FileNotFoundError):
        await start(serve_tls_certificate=tmp_path / "none", serve_tls_key=key)
