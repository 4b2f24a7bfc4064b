"""Changes to the file of clients."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from inference.access.clients import (
    BadClients,
    ClientEntry,
    ClientList,
    NewToken,
    TokenEntry,
    read,
    write,
)
from inference.access.rights import methods_of

#: Hexadecimal digits of a token's hash by which people tell tokens apart.
ID_DIGITS = 8


class NoSuchToken(ValueError):
    """Nothing in the file fits; the message says what was looked for."""


class Book:
    """The file of clients, changed one step at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def listed(self) -> list[ClientEntry]:
        """All clients; none where there is no file yet.

        Raises:
            BadClients: the file cannot be used.
        """
        return list(read(self.path).clients) if self.path.exists() else []

    def add_token(
        self,
        name: str,
        now: datetime,
        *,
        rights: list[str] | None = None,
        requests_per_s: float | None = None,
        burst: int | None = None,
        days: float | None = None,
    ) -> str:
        """Give a client one token more, and make the client if there is none; return the token.

        Args:
            name: of the client.
            now: when it is made.
            rights, requests_per_s, burst: of the client; None: as they are.
            days: after which the token ends; None: never.

        Raises:
            BadClients: the file, or what was to be written, cannot be used.
            ValueError: a new client without rights, or with a right that there is not.
        """
        made = NewToken.made()
        ends = None if days is None else now + timedelta(days=days)
        given = {"rights": rights, "requests_per_s": requests_per_s, "burst": burst}
        with self._changing() as clients:
            if rights is not None:
                methods_of(rights)
            elif name not in clients:
                raise ValueError(f"{name} is new: say with --rights what it may do")
            client = clients.get(name, ClientEntry(name, rights or []))
            clients[name] = msgspec.structs.replace(
                client,
                tokens=[*client.tokens, TokenEntry(made.sha256, now, ends)],
                **{field: value for field, value in given.items() if value is not None},
            )
        return made.token

    def revoke(self, name: str, token_id: str = "") -> int:
        """Take back all tokens of a client, or those whose id begins so; return how many.

        A client that can no longer be known by anything is removed.

        Raises:
            BadClients: the file cannot be used.
            NoSuchToken: there is no such client, or no such token.
        """
        with self._changing() as clients:
            client = clients.get(name)
            if client is None:
                raise NoSuchToken(f"{self.path} knows no client {name}")
            kept = [token for token in client.tokens if not token.sha256.startswith(token_id)]
            gone = len(client.tokens) - len(kept)
            if not gone:
                raise NoSuchToken(f"{name} has no token {token_id}".rstrip())
            if kept or client.certificates:
                clients[name] = msgspec.structs.replace(client, tokens=kept)
            else:
                del clients[name]
        return gone

    @contextmanager
    def _changing(self) -> Iterator[dict[str, ClientEntry]]:
        """All clients by name; written back at the end, unless something is raised.

        Nobody else changes them meanwhile: else a token that somebody takes back would be in the
        list again that another has read before. The lock is the folder's: the file is another
        after each change, and a file made for it would belong to whoever came first.
        """
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            clients = {client.name: client for client in self.listed()}
            yield clients
            self._write(list(clients.values()))
        finally:
            os.close(folder)

    def _write(self, clients: list[ClientEntry]) -> None:
        """Write what can be read again, or nothing."""
        listed = ClientList(clients)
        try:
            msgspec.json.decode(msgspec.json.encode(listed), type=ClientList)
        except msgspec.ValidationError as error:
            raise BadClients(str(error)) from error
        write(self.path, listed)
