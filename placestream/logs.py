"""Logs of every role: one structured line an event, to standard error, with no secret in it."""

import logging
import re
import sys
from typing import Any, TextIO
from urllib.parse import parse_qs, unquote, urlsplit

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from contracts.settings import Settings

HIDDEN = "***"
_SECRET_NAME = re.compile(
    r"password|passwd|secret|token|credential|api_?key|authorization|cookie", re.IGNORECASE
)
#: What is a secret by its looks: a bearer token, one of ours, a private key.
_SECRET_LOOKS = re.compile(
    r"(?<=bearer )[\w.~+/=-]+|\bpst_[\w-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.IGNORECASE | re.DOTALL,
)
#: Decimals of degrees that a place on the globe keeps: 0.01 degrees are 1.1 km, a part of a town.
PLACES_KEPT = 2
_COORDINATE = re.compile(r"lat|lng|lon|latitude|longitude", re.IGNORECASE)
_COORDINATE_IN_TEXT = re.compile(
    r"""(?<![a-z])((?:lat|lng|lon|latitude|longitude)\\?['"]?\s*[:=]\s*)(-?\d+\.\d+(?:e-?\d+)?)""",
    re.IGNORECASE,
)
#: `scheme://user:password@host`: all between `//` and the last `@` of the host part.
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*(?:@[^/\s@]*)*(?=@)")

#: redis-py takes them from the query too.
_URL_PASSWORD = re.compile(r"([?&](?:password|username)=)[^&\s]*", re.IGNORECASE)
#: Libraries whose INFO is about themselves; with DEBUG they are heard.
_CHATTY = ("absl", "aiokafka", "asyncio", "faust", "grpc", "h5py", "mode", "tensorflow", "urllib3")
#: At DEBUG they write whole messages as they are sent: passwords, and what people do.
_TELLTALE = ("aiokafka.conn",)


def configure(settings: Settings, role: str = "", stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's logs to `stream`, in one format.

    Args:
        settings: `log_level` and `log_format`; its secrets are struck out wherever they appear.
        role: on every line, of every thread, if given.
        stream: None is standard error, so that a command's answer on standard output stays clean.
    """
    stream = sys.stderr if stream is None else stream
    level = settings.log_level
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        *([_with_role(role)] if role else []),
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        Redactor(secrets_of(settings)),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(settings, stream),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel("DEBUG" if level == "DEBUG" else "WARNING")
    for name in _TELLTALE:
        logging.getLogger(name).setLevel("INFO" if level == "DEBUG" else "WARNING")


def _with_role(role: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {"role": role, **event}

    return add


def _renderer(settings: Settings, stream: TextIO) -> Processor:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=stream.isatty())


def secrets_of(settings: Settings) -> frozenset[str]:
    """Return the values of all secrets that are set."""
    values = (getattr(settings, name) for name in type(settings).model_fields)
    texts = {value.get_secret_value() for value in values if isinstance(value, SecretStr)}
    texts |= {password for text in texts if "://" in text for password in _passwords_of(text)}
    return frozenset(text for text in texts if text)


def _passwords_of(url: str) -> set[str]:
    """The passwords in a URL, as they stand there and as they are."""
    parts = urlsplit(url)
    found = {parts.password or "", *parse_qs(parts.query).get("password", ())}
    return found | {unquote(password) for password in found}


class Redactor:
    """A structlog processor that hides secrets: by a field's name, by their looks, in URLs, and by
    value; and that blurs where somebody is to about a kilometre."""

    def __init__(self, secrets: frozenset[str]) -> None:
        # A URL is a secret for the password in it; its host may be read.
        self._secrets = tuple(text for text in secrets if "://" not in text)

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Return the event with nothing secret in it."""
        return {name: self._clean(value, name) for name, value in event.items()}

    def _clean(self, value: Any, name: str = "") -> Any:
        if value is not None and _SECRET_NAME.search(name):
            return HIDDEN
        if isinstance(value, float | int) and _COORDINATE.fullmatch(name):
            return round(value, PLACES_KEPT)
        if isinstance(value, str):
            return self.clean_text(value)
        if isinstance(value, dict):
            return {key: self._clean(inner, str(key)) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            # Metadata comes as pairs of name and value.
            pair = len(value) == 2 and isinstance(value[0], str)
            names = ("", value[0]) if pair else ("",) * len(value)
            return [self._clean(inner, name) for inner, name in zip(value, names, strict=True)]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.clean_text(str(value))

    def clean_text(self, text: str) -> str:
        """Return the text with secrets struck out, and places blurred."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = _SECRET_LOOKS.sub(HIDDEN, text)
        text = _COORDINATE_IN_TEXT.sub(_blurred, text)
        return clean_url(text) if "://" in text else text


def _blurred(found: re.Match[str]) -> str:
    return f"{found[1]}{round(float(found[2]), PLACES_KEPT)}"


def clean_url(text: str) -> str:
    """Return the text with the user and password of every URL struck out."""
    return _URL_PASSWORD.sub(rf"\1{HIDDEN}", _URL_CREDENTIALS.sub(HIDDEN, text))
