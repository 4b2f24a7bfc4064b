"""Certificates for tests: a CA of its own each, and what it signs."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOCALHOST = ("localhost", "127.0.0.1")
_DAY = timedelta(days=1)


class Pair:
    """A certificate and its private key, in memory and (once written) as PEM files."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM)
        self.key = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self.serial = certificate.serial_number

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write `name.crt` and `name.key`; return both."""
        paths = folder / f"{name}.crt", folder / f"{name}.key"
        for path, pem in zip(paths, (self.certificate, self.key), strict=True):
            path.write_bytes(pem)
        return paths


class Authority:
    """A CA that nobody else knows."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("a CA of tests")
        self._self = _sign(self._name, self._key, self._name, self._key, (), is_ca=True)
        self.certificate = self._self.public_bytes(serialization.Encoding.PEM)

    def write(self, folder: Path, name: str = "ca") -> Path:
        """Write the CA's certificate as `name.crt`."""
        path = folder / f"{name}.crt"
        path.write_bytes(self.certificate)
        return path

    def issue(self, common_name: str, names: tuple[str, ...] = LOCALHOST) -> Pair:
        """A certificate for a server or a client; `names` are DNS names and IP addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        return Pair(_sign(_name(common_name), key, self._name, self._key, names), key)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _sign(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
    *,
    is_ca: bool = False,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general(name) for name in names]), critical=False
        )
    return builder.sign(issuer_key, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
