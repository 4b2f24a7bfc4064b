"""A request that cannot be read is kept, with the reason, where it can be mended and sent again."""

from datetime import UTC, datetime
from importlib.metadata import version

import confluent_kafka

from contracts.events import BadEvent, DeadLetter


def dead_letter(message: confluent_kafka.Message, bad: BadEvent) -> DeadLetter:
    """The dead letter of a message, whole."""
    key, value, headers = message.key(), message.value(), message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return DeadLetter(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        field=bad.field,
        reason=bad.reason,
        code_version=version("placestream"),
        received_at=datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC),
        key=_bytes(key),
        value=_bytes(value),
        headers=[(name, _bytes(held) or b"") for name, held in pairs],
    )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
