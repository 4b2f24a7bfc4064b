"""Logs of every role: one structured line an event, to standard error, with no secret in it."""

import logging
import re
import sys
from typing import Any, TextIO

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from contracts.settings import Settings

HIDDEN = "***"
_SECRET_NAME = re.compile(r"password|passwd|secret|token|credential|api_?key", re.IGNORECASE)
#: `scheme://user:password@host`: all between `//` and the last `@` of the host part.
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*(?:@[^/\s@]*)*(?=@)")

#: redis-py takes them from the query too.
_URL_PASSWORD = re.compile(r"([?&](?:password|username)=)[^&\s]*", re.IGNORECASE)
#: Libraries whose INFO is about themselves; with DEBUG they are heard.
_CHATTY = ("absl", "aiokafka", "asyncio", "faust", "grpc", "h5py", "mode", "tensorflow", "urllib3")


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
    texts = (value.get_secret_value() for value in values if isinstance(value, SecretStr))
    return frozenset(text for text in texts if text)


class Redactor:
    """A structlog processor that hides secrets: by a field's name, in URLs, and by value."""

    def __init__(self, secrets: frozenset[str]) -> None:
        # A URL is a secret for the password in it; its host may be read.
        self._secrets = tuple(text for text in secrets if "://" not in text)

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Return the event with nothing secret in it."""
        return {name: self._clean(value, name) for name, value in event.items()}

    def _clean(self, value: Any, name: str = "") -> Any:
        if value is not None and _SECRET_NAME.search(name):
            return HIDDEN
        if isinstance(value, str):
            return self.clean_text(value)
        if isinstance(value, dict):
            return {key: self._clean(inner, str(key)) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.clean_text(str(value))

    def clean_text(self, text: str) -> str:
        """Return the text with passwords struck out."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return clean_url(text) if "://" in text else text


def clean_url(text: str) -> str:
    """Return the text with the user and password of every URL struck out."""
    return _URL_PASSWORD.sub(rf"\1{HIDDEN}", _URL_CREDENTIALS.sub(HIDDEN, text))
