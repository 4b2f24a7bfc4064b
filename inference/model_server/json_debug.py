"""A JSON value in an error message, printed as the real server prints it.

Objects take a line a member, arrays stay on one line, and nothing begins behind the first 256
bytes. Source: `JsonValueToDebugString` in json_tensor.cc; RapidJSON 1.1.0's PrettyWriter.
"""

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

_LIMIT_BYTES: Final = 256
_INDENT: Final = "    "
_ESCAPES: Final = {code: f"\\u{code:04X}" for code in range(0x20)} | {
    ord(character): escape
    for character, escape in {
        '"': r"\"", "\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t",
    }.items()
}  # fmt: skip
# A double has no exponent as long as its point is at most so far behind its first digit, or before.
_MOST_BEFORE_POINT: Final = 21
_MOST_ZEROS: Final = 6


def debug_string(value: Any) -> str:
    """A value as text, cut where it gets long: no token starts past the limit."""
    written: list[str] = []
    size_bytes = 0
    for token in _tokens(value, 0):
        if token is None or size_bytes >= _LIMIT_BYTES:
            break
        written.append(token)
        size_bytes += len(token.encode("utf-8", "surrogatepass"))
    return "".join(written)


def _tokens(value: Any, level: int, before: str = "") -> Iterator[str | None]:
    """A value's tokens, each with what precedes it; None where the writer gives up."""
    if isinstance(value, dict):
        yield before + "{"
        for number, (key, item) in enumerate(value.items()):
            yield (",\n" if number else "\n") + _INDENT * (level + 1) + _quoted(key)
            yield from _tokens(item, level + 1, ": ")
        yield ("\n" + _INDENT * level if value else "") + "}"
    elif isinstance(value, list):
        yield before + "["
        for number, item in enumerate(value):
            yield from _tokens(item, level + 1, ", " if number else "")
        yield "]"
    elif isinstance(value, float) and not math.isfinite(value):
        yield before
        yield None
    else:
        yield before + _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    return _double(value) if isinstance(value, float) else str(value)


def _quoted(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'


def _double(value: float) -> str:
    """The shortest digits, with a point or an exponent: 100000.0, 0.00001, 1e30, 1.5e-7."""
    if value == 0:
        return str(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text, point = "".join(map(str, digits)), len(digits) + int(exponent)
    if 0 < point <= _MOST_BEFORE_POINT:
        text = text.ljust(point, "0")
        text = f"{text[:point]}.{text[point:] or '0'}"
    elif -_MOST_ZEROS < point <= 0:
        text = f"0.{'0' * -point}{text}"
    else:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        text = f"{text[0]}{fraction}e{point - 1}"
    return "-" * sign + text
