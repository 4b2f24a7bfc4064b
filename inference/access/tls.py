"""TLS of the gRPC server. A renewed certificate is taken up by the next connection."""

import ssl
import time
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from contracts.followed_file import FollowedFile
from contracts.settings import Settings


class BadCertificate(ValueError):
    """Certificate, key or CA cannot be used; the message names the file and the setting."""


def add_port(server: grpc.aio.Server, settings: Settings) -> int:
    """Let a server listen where the settings say, in plain text or with TLS; return the port.

    Raises:
        BadCertificate: see its message.
        RuntimeError: the port is taken.
    """
    address = f"{settings.serve_host}:{settings.serve_port}"
    credentials = _credentials(settings)
    if credentials is None:
        return server.add_insecure_port(address)
    return server.add_secure_port(address, credentials)


def _credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """None: plain text."""
    certificate, key, client_ca = (
        settings.serve_tls_certificate,
        settings.serve_tls_key,
        settings.serve_tls_client_ca,
    )
    if certificate is None and key is None and client_ca is None:
        return None
    if certificate is None or key is None:
        raise BadCertificate(
            "TLS needs both PLACESTREAM_SERVE_TLS_CERTIFICATE and PLACESTREAM_SERVE_TLS_KEY"
        )
    files = [certificate, key] + ([client_ca] if client_ca is not None else [])
    followed = FollowedFile(files, lambda: _read(certificate, key, client_ca), time.monotonic)
    in_force = followed.current()

    def renewed() -> Any:
        """Called by gRPC before every handshake; None: as before."""
        nonlocal in_force
        found = followed.current()
        if found is in_force:
            return None
        in_force = found
        return found

    return grpc.dynamic_ssl_server_credentials(
        in_force, renewed, require_client_authentication=client_ca is not None
    )


def _read(
    certificate: Path, key: Path, client_ca: Path | None
) -> grpc.ServerCertificateConfiguration:
    """What gRPC takes as a server's certificate; checked here, since gRPC would only fail every
    handshake.

    Raises:
        BadCertificate: they are no certificate and key, or do not belong together.
        OSError: a file cannot be read.
    """
    chain, private = certificate.read_bytes(), key.read_bytes()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password would be asked for on the terminal, of a service that has none.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise BadCertificate(f"{certificate} and {key} are no pair: {error}") from error
    roots = None if client_ca is None else client_ca.read_bytes()
    try:
        context.load_verify_locations(client_ca or certificate)
    except ssl.SSLError as error:
        raise BadCertificate(f"{client_ca} holds no certificate: {error}") from error
    return grpc.ssl_server_certificate_configuration([(private, chain)], root_certificates=roots)
