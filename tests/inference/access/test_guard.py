"""Who is let through to the methods, on a real gRPC server."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

from contracts.settings import Settings
from inference.access.clients import (
    BadClients,
    ClientEntry,
    ClientList,
    TokenEntry,
    write,
)
from inference.access.guard import interceptors
from inference.metrics import Metrics
from inference.service import SERVICE
from tests.certificates import Authority
from tests.inference.access.guarded import (
    BACKEND,
    BATCH,
    CLIENTS,
    FEATURES,
    OLD,
    OPS,
    RECOMMEND,
    Clock,
    Guarded,
    Serve,
    batch,
    bearer,
    told,
)


async def test_a_token_opens_the_methods_of_its_rights_only(serve: Serve) -> None:
    """Those who recommend do not debug, and the other way round."""
    server = await serve()
    assert await server.call(RECOMMEND, bearer(BACKEND)) is None
    assert await server.call(FEATURES, bearer(OPS)) is None
    denied = await server.call(FEATURES, bearer(BACKEND))
    assert told(denied) == ("PERMISSION_DENIED", "RIGHT_MISSING")
    assert "client backend may not call" in str(denied)
    assert told(await server.call(RECOMMEND, bearer(OPS))) == told(denied)
    assert server.calls == 2
    assert server.counted("backend", "admitted") == 1
    assert server.counted("backend", "right_missing") == 1


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "TOKEN_MISSING"),
        ((("authorization", "Basic dXNlcjpwdw=="),), "TOKEN_MISSING"),
        ((("authorization", ""),), "TOKEN_MISSING"),
        ((("authorization", "Bearer"),), "TOKEN_UNKNOWN"),
        ((("authorization", "Bearer pst_no"),), "TOKEN_UNKNOWN"),
        ((("authorization", f"Bearer {BACKEND.token[:-1]}"),), "TOKEN_UNKNOWN"),
        ((("authorization", f"Bearer {BACKEND.sha256}"),), "TOKEN_UNKNOWN"),  # from the file
        ((("authorization", f"Bearer {'x' * 7_000}"),), "TOKEN_UNKNOWN"),
    ],
)
async def test_without_a_known_token_nobody_comes_in(
    serve: Serve, metadata: tuple[tuple[str, str], ...], reason: str
) -> None:
    """UNAUTHENTICATED; the service hears nothing of it, the answer does not repeat the token."""
    server = await serve()
    error = await server.call(RECOMMEND, *metadata)
    assert told(error) == ("UNAUTHENTICATED", reason)
    assert server.calls == 0
    assert server.counted("", reason.lower()) == 1
    assert "pst_no" not in str(error)


async def test_no_header_whatever_comes_in_or_goes_wrong(serve: Serve) -> None:
    """Thousands made of words that mean something here: UNAUTHENTICATED each, and none of them in
    the answer; the services' own names, signs of other schemes, twice the same, bytes."""
    rng = random.Random(17)
    words = ["Bearer", "bearer", " ", ",", "=", '"', "pst_", BACKEND.token[:-1], BACKEND.sha256]
    words += ["Basic", "backend", "0" * 64, "%s", "{}", "'--", "~" * 300]
    names = ["authorization", "authorization-bin", "x-forwarded-client-cert"]

    def header() -> tuple[str, str | bytes]:
        name, text = rng.choice(names), "".join(rng.choices(words, k=rng.randrange(6))).strip()
        return name, text.encode() if name.endswith("-bin") else text

    server = await serve()
    for _ in range(2_000):
        headers = [header() for _ in range(rng.randrange(1, 4))]
        error = await server.call(RECOMMEND, *headers)
        assert told(error)[0] == "UNAUTHENTICATED", headers
        assert BACKEND.token[:-1] not in str(error)
    assert server.calls == 0
    assert await server.call(RECOMMEND, bearer(BACKEND)) is None


async def test_the_scheme_is_read_as_http_reads_it(serve: Serve) -> None:
    """Upper or lower case (RFC 9110, 11.1)."""
    server = await serve()
    assert await server.call(RECOMMEND, ("authorization", f"bearer {BACKEND.token}")) is None


async def test_a_method_that_there_is_not_is_nobodys(serve: Serve) -> None:
    """No right opens it, so that nobody learns what there is."""
    server = await serve()
    denied = await server.call(f"/{SERVICE}/None", bearer(OPS))
    assert told(denied) == ("PERMISSION_DENIED", "RIGHT_MISSING")


async def test_a_token_ends(serve: Serve) -> None:
    """To the second."""
    server = await serve()
    server.clock.now_s += 59.9
    assert await server.call(RECOMMEND, bearer(OLD)) is None
    server.clock.now_s += 0.1
    assert told(await server.call(RECOMMEND, bearer(OLD))) == ("UNAUTHENTICATED", "TOKEN_EXPIRED")


async def test_a_changed_file_counts_within_a_second(serve: Serve) -> None:
    """A token that was taken back opens nothing; what clients have used of their rate stays used;
    a file that cannot be read changes nothing."""
    few = ClientEntry("few", ["recommend"], [TokenEntry(OLD.sha256)], [], 0.001, 1)
    backend, ops = CLIENTS.clients[:2]
    server = await serve(ClientList([few, backend, ops]))
    assert await server.call(RECOMMEND, bearer(BACKEND)) is None
    assert await server.call(RECOMMEND, bearer(OLD)) is None
    write(server.path, ClientList([few, ops]))
    server.clock.now_s += 1
    assert told(await server.call(RECOMMEND, bearer(BACKEND)))[1] == "TOKEN_UNKNOWN"
    assert told(await server.call(RECOMMEND, bearer(OLD)))[1] == "RATE_LIMITED"
    server.path.write_text('{"clients": [{')
    server.clock.now_s += 1
    assert await server.call(FEATURES, bearer(OPS)) is None
    assert told(await server.call(RECOMMEND, bearer(BACKEND)))[1] == "TOKEN_UNKNOWN"


async def _health(server: Guarded, *metadata: tuple[str, str]) -> str:
    async with server.channel() as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            request = health_pb2.HealthCheckRequest()
            status = (await stub.Check(request, metadata=metadata, timeout=10)).status
            watched = await stub.Watch(request, metadata=metadata, timeout=10).read()
        except grpc.aio.AioRpcError as error:
            return error.code().name
    assert watched.status == status
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))


async def test_health_is_open_unless_it_is_closed(serve: Serve) -> None:
    """Balancers have no token; where they have one, the right is called `health`."""
    assert await _health(await serve()) == "SERVING"
    prober = ClientEntry("prober", ["health"], [TokenEntry(OPS.sha256)])
    server = await serve(ClientList([prober]), serve_open_health=False)
    assert await _health(server) == "UNAUTHENTICATED"
    assert await _health(server, bearer(OPS)) == "SERVING"


async def _list(server: Guarded, credentials: Any = None, *metadata: tuple[str, str]) -> str:
    return await asyncio.to_thread(_listed, server.blocking_channel(credentials), metadata)


def _listed(channel: grpc.Channel, metadata: Sequence[tuple[str, str]]) -> str:
    # Not grpc.aio: its client calls a stream that is refused before the question has left
    # INTERNAL (one call in thirty), for it does not look at the status then.
    with channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        try:
            (answer,) = stub.ServerReflectionInfo(iter([request]), metadata=metadata, timeout=10)
        except grpc.RpcError as error:
            return str(error.code().name)
        return str(answer.list_services_response.service[0].name)


async def test_reflection_is_for_those_who_debug(serve: Serve) -> None:
    """It streams both ways, and is refused all the same."""
    server = await serve()
    assert await _list(server) == "UNAUTHENTICATED"
    assert await _list(server, None, bearer(BACKEND)) == "PERMISSION_DENIED"
    assert await _list(server, None, bearer(OPS)) == SERVICE


async def test_a_certificate_stands_for_a_client(serve: Serve, tmp_path: Path) -> None:
    """By a subject alternative name, or its common name; it has that client's rights and rate."""
    authority = Authority()
    certificate, key = authority.issue("serve").write(tmp_path, "serve")
    entries = [
        ClientEntry("backend", ["recommend"], [], ["backend.example"], 1.0, 5),
        ClientEntry("ops", ["debug"], [TokenEntry(OPS.sha256)], ["ops"]),
    ]
    server = await serve(
        ClientList(entries),
        serve_tls_certificate=certificate,
        serve_tls_key=key,
        serve_tls_client_ca=authority.write(tmp_path),
    )

    def shown(name: str, *names: str) -> grpc.ChannelCredentials:
        own = authority.issue(name, names)
        return grpc.ssl_channel_credentials(authority.certificate, own.key, own.certificate)

    backend = shown("anything", "other.example", "backend.example")
    assert await server.call(RECOMMEND, credentials=backend) is None
    denied = await server.call(FEATURES, credentials=backend)
    assert told(denied) == ("PERMISSION_DENIED", "RIGHT_MISSING")
    assert await server.call(BATCH, credentials=backend, request=batch(4)) is None
    assert told(await server.call(RECOMMEND, credentials=backend))[1] == "RATE_LIMITED"
    assert await server.call(FEATURES, credentials=shown("ops")) is None
    assert await _list(server, shown("ops")) == SERVICE
    # Who asks for any common name gets nothing by it beside names that were checked, nor by two.
    as_ops = shown("ops", "backend.example")
    assert told(await server.call(FEATURES, credentials=as_ops))[1] == "RIGHT_MISSING"
    beside = await server.call(FEATURES, credentials=shown("ops", "127.0.0.1"))
    assert told(beside) == ("UNAUTHENTICATED", "CERTIFICATE_UNKNOWN")
    both = await server.call(FEATURES, credentials=shown("x", "backend.example", "ops"))
    assert told(both) == ("UNAUTHENTICATED", "CERTIFICATE_UNKNOWN")
    assert "more than one client" in str(both)
    stranger = await server.call(RECOMMEND, credentials=shown("nobody"))
    assert told(stranger) == ("UNAUTHENTICATED", "CERTIFICATE_UNKNOWN")
    assert await _list(server, shown("nobody")) == "UNAUTHENTICATED"
    # A token says more than the certificate that it comes with.
    assert await server.call(FEATURES, bearer(OPS), credentials=backend) is None
    wrong = await server.call(RECOMMEND, bearer(BACKEND), credentials=backend)
    assert told(wrong) == ("UNAUTHENTICATED", "TOKEN_UNKNOWN")


@pytest.mark.parametrize(
    ("host", "level"), [("127.0.0.1", "info"), ("localhost", "info"), ("0.0.0.0", "warning")]
)
def test_no_authentication_is_said(host: str, level: str) -> None:
    """As a warning where others can reach it."""
    settings = Settings(_env_file=None, serve_host=host)
    with capture_logs() as logs:
        assert interceptors(settings, Metrics(), clock=Clock(), monotonic=Clock()) == []
    assert [(line["event"], line["log_level"]) for line in logs] == [("no_authentication", level)]


def test_tokens_in_plain_text_are_said(tmp_path: Path) -> None:
    """Whoever listens could call in their name."""
    path = tmp_path / "clients.json"
    write(path, CLIENTS)
    settings = Settings(_env_file=None, serve_host="0.0.0.0", serve_clients_file=path)
    with capture_logs() as logs:
        interceptors(settings, Metrics(), clock=Clock(), monotonic=Clock())
    assert [line["event"] for line in logs] == ["tokens_in_plain_text"]


def test_a_bad_file_is_refused_at_the_start(tmp_path: Path) -> None:
    """Open to all is not what whoever wrote it meant."""
    path = tmp_path / "clients.json"
    path.write_text('{"clients": [{"name": "a", "rights": ["recomend"]}]}')
    settings = Settings(_env_file=None, serve_clients_file=path)
    with pytest.raises(BadClients, match="no right 'recomend'"):
        interceptors(settings, Metrics(), clock=Clock(), monotonic=Clock())
    path.unlink()
    with pytest.raises(FileNotFoundError):
        interceptors(settings, Metrics(), clock=Clock(), monotonic=Clock())


async def test_refusals_do_not_flood_the_log(serve: Serve) -> None:
    """The first at once, then their number once a minute; and no token in it."""
    server = await serve()
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            await server.call(RECOMMEND, ("authorization", "Bearer pst_guess"))
        server.clock.now_s += 60
        await server.call(RECOMMEND, ("authorization", "Bearer pst_guess"))
    assert [(line["event"], line["reason"], line["times"]) for line in logs] == [
        ("refused", "TOKEN_UNKNOWN", 1),
        ("refused", "TOKEN_UNKNOWN", 5),
    ]
    assert "pst_guess" not in str(logs)


async def test_many_at_once_are_each_judged(serve: Serve) -> None:
    """The good among the bad, side by side on the wire."""
    server = await serve()
    tokens = [BACKEND if i % 2 else OPS for i in range(40)]
    errors = await asyncio.gather(*(server.call(RECOMMEND, bearer(token)) for token in tokens))
    assert [error is None for error in errors] == [token is BACKEND for token in tokens]
