"""How commands of this machine call the service: in plain text or TLS, with a token or none."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc

from contracts.settings import Settings


@dataclass(frozen=True)
class Caller:
    """Opens channels to the service.

    Attributes:
        ca: PEM; whom to believe that the service is who it says; None: plain text.
        certificate, key: PEM, where the service wants to know its callers by certificate.
        name: that the service's certificate must hold; empty: that of the address.
        token: bearer token; empty: none.
    """

    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    name: str = ""
    token: str = field(default="", repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The caller that `PLACESTREAM_CLIENT_*` describes.

        Raises:
            OSError: a file cannot be read.
        """
        return cls(
            ca=_read(settings.client_ca_file),
            certificate=_read(settings.client_tls_certificate),
            key=_read(settings.client_tls_key),
            name=settings.client_tls_name,
            token=settings.client_token.get_secret_value(),
        )

    @property
    def credentials(self) -> grpc.ChannelCredentials | None:
        """Of a channel; None: plain text."""
        if self.ca is None:
            return None
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def channel(self, address: str) -> grpc.Channel:
        """A channel to `host:port`."""
        credentials = self.credentials
        if credentials is None:
            return grpc.insecure_channel(address)
        options = [("grpc.ssl_target_name_override", self.name)] if self.name else []
        return grpc.secure_channel(address, credentials, options=options)


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
