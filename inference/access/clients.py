"""The file of clients: who may call, known by which tokens or certificates.

Tokens are kept as SHA-256. A slow hash (bcrypt, scrypt) makes guessing a *password* dear, since
people choose from few. A token is 256 random bits: at 10^12 guesses a second half of them would
take 10^57 years. So a fast hash gives nothing away, and costs a request half a microsecond, not
100 ms.
"""

import hashlib
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from inference.access.rights import methods_of

#: By it a token is known for one wherever it turns up (`placestream.logs`, scanners of commits).
TOKEN_PREFIX = "pst_"
TOKEN_BYTES = 32

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Instant = Annotated[datetime, Meta(tz=True)]


class TokenEntry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One token of a client; two while one takes the place of the other."""

    sha256: Sha256
    created: Instant | None = None
    expires: Instant | None = None


class ClientEntry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One client as it stands in the file.

    Attributes:
        name: shown in logs and metrics.
        rights: see `inference.access.rights`.
        tokens: any of them is good.
        certificates: subject alternative names that stand for it (mutual TLS), or common names of
            certificates that have no such names.
        requests_per_s: in the long run; None: as many as it likes.
        burst: at once; None: those of one second, at least one.
    """

    name: Name
    rights: list[str]
    tokens: list[TokenEntry] = []
    certificates: list[Annotated[str, Meta(min_length=1)]] = []
    requests_per_s: Annotated[float, Meta(gt=0)] | None = None
    burst: Annotated[int, Meta(ge=1)] | None = None


class ClientList(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    clients: list[ClientEntry] = []


class BadClients(ValueError):
    """The file of clients cannot be used; the message says where and why."""


@dataclass(frozen=True)
class NewToken:
    """A token that exists nowhere else: whoever makes it shows it once."""

    token: str
    sha256: str

    @classmethod
    def made(cls) -> "NewToken":
        """A fresh one, of 256 random bits."""
        token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        return cls(token, digest(token).hex())


def digest(token: str) -> bytes:
    """SHA-256 of a token, whatever characters somebody sends as one."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def read(path: Path) -> ClientList:
    """Read and check the file.

    Raises:
        BadClients: it is no such file, names a right that there is not, or is ambiguous.
        OSError: it cannot be read.
    """
    try:
        listed = msgspec.json.decode(path.read_bytes(), type=ClientList)
        for client in listed.clients:
            methods_of(client.rights)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise BadClients(f"{path}: {error}") from error
    _refuse_twice(path, "name", [c.name for c in listed.clients])
    _refuse_twice(path, "token", [t.sha256 for c in listed.clients for t in c.tokens])
    _refuse_twice(path, "certificate", [n for c in listed.clients for n in c.certificates])
    return listed


def _refuse_twice(path: Path, what: str, values: list[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise BadClients(f"{path}: the {what} {value} stands there twice")
        seen.add(value)


def write(path: Path, listed: ClientList) -> None:
    """Replace the file in one step; a new one can be read by its owner only.

    Whoever may read the file still may: `serve` is often another user than whoever revokes a token,
    and goes by the old list where it cannot read the new one.
    """
    text = msgspec.json.format(msgspec.json.encode(listed), indent=2) + b"\n"
    before = path.stat() if path.exists() else None
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if before is not None:
            _let_the_same_read(descriptor, before)
        file.write(text)
    temporary.replace(path)


def _let_the_same_read(descriptor: int, before: os.stat_result) -> None:
    """Owner and group as far as the system allows (root: both), then the mode."""
    made = os.fstat(descriptor)
    for change, owner in (
        (made.st_uid != before.st_uid, (before.st_uid, -1)),
        (made.st_gid != before.st_gid, (-1, before.st_gid)),
    ):
        if change:
            with suppress(PermissionError):
                os.fchown(descriptor, *owner)
    os.fchmod(descriptor, before.st_mode & 0o777)
