"""The interceptor that stands before every method: who calls, may they, and not too often."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import grpc
import grpc.aio
import structlog

from contracts.followed_file import FollowedFile
from contracts.settings import Settings
from inference import errors
from inference.access.cost import COSTS
from inference.access.known import Client, Clients, ClientsFile, Clock
from inference.access.rights import HEALTH_METHODS
from inference.metrics import Metrics

log = structlog.get_logger(__name__)
Context = grpc.aio.ServicerContext[Any, Any]
Continue = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]

TOKEN_MISSING: Final = "TOKEN_MISSING"
TOKEN_UNKNOWN: Final = "TOKEN_UNKNOWN"
TOKEN_EXPIRED: Final = "TOKEN_EXPIRED"
CERTIFICATE_UNKNOWN: Final = "CERTIFICATE_UNKNOWN"
RIGHT_MISSING: Final = "RIGHT_MISSING"
RATE_LIMITED: Final = "RATE_LIMITED"
#: Refusals of one client for one reason are logged so often at most, with their number.
LOG_EVERY_S = 60.0
_NOBODY = ""


def interceptors(
    settings: Settings, metrics: Metrics, *, clock: Clock, monotonic: Clock
) -> list[grpc.aio.ServerInterceptor]:
    """What the settings want to stand before the service; says in the log what that is.

    Raises:
        BadClients: the file of clients cannot be used.
        OSError: it cannot be read.
    """
    here = _is_this_machine(settings.serve_host)
    if settings.serve_clients_file is None:
        tell = log.info if here else log.warning
        tell("no_authentication", host=settings.serve_host, meaning="anybody may call every method")
        return []
    if settings.serve_tls_certificate is None and not here:
        log.warning("tokens_in_plain_text", host=settings.serve_host, mend="set up TLS")
    clients = ClientsFile(settings.serve_clients_file, monotonic)
    followed = FollowedFile([clients.path], clients.load, monotonic)
    is_open = HEALTH_METHODS if settings.serve_open_health else frozenset()
    return [Guard(followed.current, is_open, metrics, clock=clock, monotonic=monotonic)]


def _is_this_machine(host: str) -> bool:
    return host.startswith("127.") or host in ("localhost", "::1", "[::1]")


class _Refusal(Exception):
    """Why a call is not let through."""

    def __init__(
        self, code: grpc.StatusCode, reason: str, text: str, client: str, retry_s: float = 0.0
    ) -> None:
        super().__init__(text)
        self.code, self.reason, self.client, self.retry_s = code, reason, client, retry_s

    def status(self) -> grpc.Status:
        return errors.refused(self.code, self.reason, str(self), self.retry_s)


class Guard(grpc.aio.ServerInterceptor):
    """Lets a call through, or answers it in the service's place."""

    def __init__(
        self,
        clients: Callable[[], Clients],
        is_open: frozenset[str],
        metrics: Metrics,
        *,
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> None:
        """Stand before a service.

        Args:
            clients: those in force now.
            is_open: paths that anybody may call.
            metrics: count what is let through and what is not.
            clock: Unix seconds, for the end of tokens.
            monotonic: seconds that only grow.
        """
        self._clients = clients
        self._open = is_open
        self._metrics = metrics
        self._clock = clock
        self._refusals = _Refusals(monotonic)
        #: To look a counter up by its labels costs as much as all the rest.
        self._admitted: dict[str, Any] = {}

    async def intercept_service(
        self, continuation: Continue, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """gRPC asks for the handler of a call: the service's, or one that refuses."""
        method = handler_call_details.method
        if method in self._open:
            return await continuation(handler_call_details)
        clients = self._clients()
        token = _bearer(handler_call_details.invocation_metadata)
        if token is None and clients.knows_certificates:
            handler = await continuation(handler_call_details)
            return _checked(handler, lambda *call: self._admit_certificate(method, *call))
        try:
            client = self._owner(token, clients)
            _check_right(client, method)
            counted = method in COSTS and client.bucket is not None
            if counted:  # by what is in its message, which is not parsed yet
                self._check_rate(client)
            else:
                self._charge(client, 1)
        except _Refusal as refusal:
            return _refusing(self._noted(refusal))
        handler = await continuation(handler_call_details)
        if not counted:
            return handler
        return _checked(handler, lambda *call: self._counted(client, method, *call))

    def _owner(self, token: str | None, clients: Clients) -> Client:
        if token is None:
            raise _token_missing()
        found = clients.by_token(token)
        if found is None:
            raise _unauthenticated(TOKEN_UNKNOWN, "this token is not known here")
        client, expires_s = found
        if self._clock() >= expires_s:
            raise _unauthenticated(TOKEN_EXPIRED, "this token has expired", client.name)
        return client

    def _counted(self, client: Client, method: str, request: Any, _: Context) -> grpc.Status | None:
        """What a call that asks for too many things is told; None: let it through."""
        try:
            self._charge(client, COSTS[method](request))
        except _Refusal as refusal:
            return self._noted(refusal)
        return None

    def _admit_certificate(self, method: str, request: Any, context: Context) -> grpc.Status | None:
        """What a call with a certificate and no token is told; None: let it through."""
        try:
            names = _names(context)
            if not names:
                raise _token_missing()
            client = _the_one(self._clients().by_certificate(names))
            _check_right(client, method)
            self._charge(client, COSTS[method](request) if method in COSTS else 1)
        except _Refusal as refusal:
            return self._noted(refusal)
        return None

    def _charge(self, client: Client, cost: int) -> None:
        if client.bucket is not None and (wait_s := client.bucket.take(cost)):
            raise _rate_limited(client, wait_s)
        admitted = self._admitted.get(client.name)
        if admitted is None:
            admitted = self._metrics.access.labels(client.name, "admitted")
            self._admitted[client.name] = admitted
        admitted.inc()

    @staticmethod
    def _check_rate(client: Client) -> None:
        """Refuse what has no token left, before its message is parsed; takes none."""
        if client.bucket is not None and (wait_s := client.bucket.wait_s()):
            raise _rate_limited(client, wait_s)

    def _noted(self, refusal: _Refusal) -> grpc.Status:
        self._metrics.access.labels(refusal.client, refusal.reason.lower()).inc()
        self._refusals.note(refusal.client, refusal.reason)
        return refusal.status()


def _unauthenticated(reason: str, text: str, client: str = _NOBODY) -> _Refusal:
    return _Refusal(grpc.StatusCode.UNAUTHENTICATED, reason, text, client)


def _check_right(client: Client, method: str) -> None:
    if method not in client.methods:
        rights = ", ".join(client.rights) or "none"
        text = f"client {client.name} may not call this method; it has the rights: {rights}"
        raise _Refusal(grpc.StatusCode.PERMISSION_DENIED, RIGHT_MISSING, text, client.name)


def _rate_limited(client: Client, wait_s: float) -> _Refusal:
    rate = 0.0 if client.bucket is None else client.bucket.rate_per_s
    text = f"client {client.name} may make {rate:g} requests a second, of a batch each counted"
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    return _Refusal(code, RATE_LIMITED, text, client.name, wait_s)


def _token_missing() -> _Refusal:
    text = "send your token as metadata: `authorization: Bearer TOKEN`"
    return _unauthenticated(TOKEN_MISSING, text)


def _the_one(clients: Sequence[Client]) -> Client:
    """The client of a certificate; of two, nobody can say whose rights the call has."""
    if not clients:
        text = "send a token: neither does your certificate stand for a client here"
        raise _unauthenticated(CERTIFICATE_UNKNOWN, text)
    if len(clients) > 1:
        text = "your certificate stands for more than one client here: send a token"
        raise _unauthenticated(CERTIFICATE_UNKNOWN, text)
    return clients[0]


def _bearer(metadata: Any) -> str | None:
    """The token of `authorization: Bearer TOKEN`; None: none was sent."""
    for name, value in metadata or ():
        if name == "authorization" and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            return token.strip() if scheme.lower() == "bearer" else None
    return None


def _names(context: Context) -> list[str]:
    """Names in the caller's certificate, which gRPC has checked; none without mutual TLS.

    The common name only where there is no other: it is free text, which authorities need not check
    as they do alternative names (RFC 6125, 6.4.4; RFC 9525 does without it).
    """
    shown: Any = context.auth_context()
    names = shown.get("x509_subject_alternative_name") or shown.get("x509_common_name", ())
    return [name.decode(errors="replace") for name in names]


def _refusing(status: grpc.Status) -> Any:
    """A handler that refuses whatever it is sent, without reading it.

    On the wire a method with one message looks as one with many, so this kind fits all.
    """

    async def refuse(_requests: Any, context: Context) -> None:
        await context.abort_with_status(status)

    return grpc.stream_stream_rpc_method_handler(_behaviour(refuse))


def _checked(handler: Any, check: Callable[[Any, Context], grpc.Status | None]) -> Any:
    """The handler of a method, behind a check that needs the call's request or its context."""
    if handler is None:
        return None
    kind = ("stream" if handler.request_streaming else "unary") + (
        "_stream" if handler.response_streaming else "_unary"
    )
    behaviour = getattr(handler, kind)

    async def checked(request: Any, context: Context) -> Any:
        status = check(request, context)
        if status is not None:
            await context.abort_with_status(status)
        answer = behaviour(request, context)
        if not hasattr(answer, "__aiter__"):
            return await answer
        async for message in answer:
            await context.write(message)
        return None

    make: Any = getattr(grpc, f"{kind}_rpc_method_handler")
    return make(_behaviour(checked), handler.request_deserializer, handler.response_serializer)


def _behaviour(method: Callable[..., Any]) -> Any:
    """A coroutine function is what grpc.aio wants; its type stubs only know the threaded kind."""
    return method


class _Refusals:
    """Logs refusals: the first of a kind at once, then their number once a minute."""

    def __init__(self, monotonic: Clock) -> None:
        self._monotonic = monotonic
        self._since: dict[tuple[str, str], tuple[float, int]] = {}

    def note(self, client: str, reason: str) -> None:
        now_s = self._monotonic()
        logged_s, times = self._since.get((client, reason), (float("-inf"), 0))
        times += 1
        if now_s - logged_s >= LOG_EVERY_S:
            log.warning("refused", client=client or "unknown", reason=reason, times=times)
            logged_s, times = now_s, 0
        self._since[client, reason] = (logged_s, times)
