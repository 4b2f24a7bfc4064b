"""Who may ask the console: a browser on the right page, with the token.

Four things stand between a stranger and the buttons:

- It listens on this machine only, unless told otherwise.
- `/api/` answers nobody without the token. It travels in a header that no other site can make a
  browser send (there is no cookie), so that a forged request from elsewhere carries nothing.
- The `Host` header must name this machine: a foreign name that is made to point here (DNS
  rebinding) is refused before the token is looked at. An `Origin` must be the page's own.
- The page may load and call nothing but its own server (Content-Security-Policy), and cannot be
  framed.
"""

import hmac
from collections.abc import Set
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from placestream.console.problem import Problem

#: Names of this machine that a browser may have typed.
LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), camera=(), microphone=()",
    # A page that was kept would go on with the code of an older console.
    "Cache-Control": "no-cache",
}


def add_headers(response: web.StreamResponse) -> None:
    """Put the protective headers on an answer."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


def guard(token: str, names: Set[str]) -> Middleware:
    """A middleware that lets pass what may be answered.

    Args:
        token: that `/api/` wants.
        names: host names that a browser may use for this console, in lower case.
    """

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        _check_names(request, names)
        if request.path.startswith("/api/"):
            _check_token(request, token)
        return await handler(request)

    return guarded


def _check_names(request: web.Request, names: Set[str]) -> None:
    host = urlsplit(f"//{request.host}").hostname or ""
    if host not in names:
        raise Problem(
            421,
            f"This console does not answer to the name {host!r}.",
            f"Open it as {min(names)}, or set PLACESTREAM_CONSOLE_NAME.",
        )
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise Problem(403, "Another site asked.", "Use the console's own page.")


def _check_token(request: web.Request, token: str) -> None:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    # In bytes: `compare_digest` takes no other text than ASCII.
    right = hmac.compare_digest(given.encode(errors="replace"), token.encode())
    if kind.lower() != "bearer" or not right:
        raise Problem(
            401,
            "The token is missing or wrong.",
            "Open the address that `placestream console` printed when it started, whole.",
        )
