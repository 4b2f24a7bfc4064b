"""How commands call the service, against a real server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from pydantic import SecretStr

from contracts.settings import Settings
from placestream.caller import Caller
from placestream.stack.ports import LOCALHOST
from tests.certificates import Authority

SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
def authority() -> Authority:
    """Whom both sides believe."""
    return Authority()


@pytest.fixture
def address(authority: Authority) -> Iterator[str]:
    """A server that wants certificates, and whose own holds another name than its address."""
    own = authority.issue("serve", ("serve.example",))
    servicer = health.HealthServicer()
    servicer.set("", SERVING)
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    credentials = grpc.ssl_server_credentials(
        [(own.key, own.certificate)], authority.certificate, require_client_auth=True
    )
    port = server.add_secure_port(f"{LOCALHOST}:0", credentials)
    server.start()
    yield f"{LOCALHOST}:{port}"
    server.stop(None).wait()


def status(caller: Caller, address: str) -> int:
    """What the server answers to a health check."""
    with caller.channel(address) as channel:
        request = health_pb2.HealthCheckRequest()
        return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status)


def test_the_settings_are_what_the_server_wants(
    authority: Authority, address: str, tmp_path: Path
) -> None:
    """CA, certificate, key and name together; plain text gets no answer."""
    certificate, key = authority.issue("ops").write(tmp_path, "ops")
    settings = Settings(
        _env_file=None,
        client_ca_file=authority.write(tmp_path),
        client_tls_certificate=certificate,
        client_tls_key=key,
        client_tls_name="serve.example",
    )
    assert status(Caller.of(settings), address) == SERVING
    for lacking in (
        {"client_tls_name": ""},
        {"client_tls_certificate": None, "client_tls_key": None},
    ):
        with pytest.raises(grpc.RpcError):
            status(Caller.of(settings.model_copy(update=lacking)), address)
    with pytest.raises(grpc.RpcError):
        status(Caller.of(Settings(_env_file=None)), address)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Before anything is sent."""
    settings = Settings(_env_file=None, client_ca_file=tmp_path / "none.crt")
    with pytest.raises(FileNotFoundError, match=r"none\.crt"):
        Caller.of(settings)


def test_a_token_goes_with_the_call_and_into_no_text() -> None:
    """Whoever prints the caller prints no secret."""
    caller = Caller.of(Settings(_env_file=None, client_token=SecretStr("pst_hunter2")))
    assert caller.metadata == (("authorization", "Bearer pst_hunter2"),)
    assert "hunter2" not in repr(caller)
    assert Caller.of(Settings(_env_file=None)).metadata == ()
