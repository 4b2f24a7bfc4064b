"""The clients in force: found by token or certificate, each with its rights and its rate."""

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from inference.access.clients import ClientEntry, ClientList, digest, read
from inference.access.rate import TokenBucket
from inference.access.rights import methods_of

Clock = Callable[[], float]


@dataclass(frozen=True)
class Client:
    """Somebody who may call.

    Attributes:
        name: for logs, metrics and messages.
        methods: paths that it may call.
        rights: as the file names them.
        bucket: its rate; None: no limit.
    """

    name: str
    methods: frozenset[str]
    rights: tuple[str, ...]
    bucket: TokenBucket | None


@dataclass(frozen=True)
class _Known:
    digest: bytes
    client: Client
    expires_s: float


class Clients:
    """All clients of a file."""

    def __init__(self, listed: ClientList, buckets: Callable[[ClientEntry], TokenBucket | None]):
        """Index them; `buckets` gives the bucket of a client."""
        self._by_token: dict[bytes, _Known] = {}
        self._by_certificate: dict[str, Client] = {}
        for entry in listed.clients:
            rights = tuple(entry.rights)
            client = Client(entry.name, methods_of(rights), rights, buckets(entry))
            for token in entry.tokens:
                hashed = bytes.fromhex(token.sha256)
                ends_s = float("inf") if token.expires is None else token.expires.timestamp()
                self._by_token[hashed] = _Known(hashed, client, ends_s)
            for name in entry.certificates:
                self._by_certificate[name] = client

    @property
    def knows_certificates(self) -> bool:
        """Whether any client is known by a certificate."""
        return bool(self._by_certificate)

    def by_token(self, token: str) -> tuple[Client, float] | None:
        """The client of a token, and when the token ends (Unix seconds); None: nobody's.

        The look-up is by digest: what its duration could tell is about the digest of a guess, from
        which no guess gets nearer to a token. The comparison takes the same time in any case.
        """
        hashed = digest(token)
        known = self._by_token.get(hashed)
        if known is None or not hmac.compare_digest(known.digest, hashed):
            return None
        return known.client, known.expires_s

    def by_certificate(self, names: Iterable[str]) -> list[Client]:
        """The clients that a certificate's names stand for, each once."""
        found = (self._by_certificate.get(name) for name in names)
        return list({client.name: client for client in found if client is not None}.values())


class ClientsFile:
    """Reads the file of clients; a client's bucket lives on over a change of the file."""

    def __init__(self, path: Path, monotonic: Clock) -> None:
        self.path = path
        self._monotonic = monotonic
        self._buckets: dict[str, TokenBucket] = {}

    def load(self) -> Clients:
        """The clients as the file lists them now.

        Raises:
            BadClients: the file cannot be used.
            OSError: it cannot be read.
        """
        before, self._buckets = self._buckets, {}
        try:
            return Clients(read(self.path), lambda entry: self._bucket(entry, before))
        except BaseException:
            self._buckets = before
            raise

    def _bucket(self, entry: ClientEntry, before: dict[str, TokenBucket]) -> TokenBucket | None:
        rate_per_s = entry.requests_per_s
        if rate_per_s is None:
            return None
        burst = float(entry.burst or max(1.0, rate_per_s))
        bucket = before.get(entry.name)
        if bucket is None or (bucket.rate_per_s, bucket.burst) != (rate_per_s, burst):
            bucket = TokenBucket(rate_per_s, burst, self._monotonic)
        self._buckets[entry.name] = bucket
        return bucket
