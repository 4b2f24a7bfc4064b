"""Where a person opens the console, with the token in it."""

import secrets
from collections.abc import Mapping
from urllib.parse import urlencode

from contracts.settings import Settings
from placestream.stack.ports import LOCALHOST


def token_of(settings: Settings) -> str:
    """The token that is asked for: the set one, or one that nobody can guess."""
    return settings.console_token.get_secret_value() or secrets.token_urlsafe(24)


def address(settings: Settings, *, token: str = "", scene: Mapping[str, str] | None = None) -> str:
    """What a person opens.

    The token stands behind the `#`: browsers send that part to nobody.

    Args:
        settings: host and port.
        token: that the console asks for, if not that of the settings.
        scene: what to show first: `user`, `lat` and `lng`.
    """
    host = LOCALHOST if settings.console_host in ("0.0.0.0", "::") else settings.console_host
    given = token or settings.console_token.get_secret_value()
    fragment = urlencode({"token": given, **(scene or {})})
    return f"http://{host}:{settings.console_port}/#{fragment}"
