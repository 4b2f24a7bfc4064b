"""Bytes that are nearly right: a fuzzer's usual harm, done to a valid input."""

import random
from collections.abc import Callable, Iterator, Sequence

Harm = Callable[[bytearray, random.Random], None]
#: Bytes on the edges of what parsers tell apart: signs, lengths, the ends of UTF-8 and of varints.
EDGES = (0x00, 0x01, 0x0A, 0x22, 0x2D, 0x5C, 0x7B, 0x7F, 0x80, 0xC0, 0xED, 0xF4, 0xFE, 0xFF)
MOST_HARMS = 4
MOST_INSERTED = 8


def mutants(
    valid: bytes, rng: random.Random, count: int, tokens: Sequence[bytes] = ()
) -> Iterator[bytes]:
    """The input itself, and so many altogether that were harmed one to four times.

    Args:
        valid: where they come from.
        rng: decides everything.
        count: how many.
        tokens: what means something to the parser, inserted now and then.
    """
    yield valid
    for _ in range(count - 1):
        harmed = bytearray(valid)
        for _ in range(rng.randint(1, MOST_HARMS)):
            if tokens and rng.random() < 0.25:
                _insert(harmed, rng, rng.choice(tokens))
            else:
                rng.choice(_HARMS)(harmed, rng)
        yield bytes(harmed)


def _insert(data: bytearray, rng: random.Random, what: bytes) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = what


def _span(data: bytearray, rng: random.Random) -> slice:
    first = rng.randrange(len(data) + 1)
    return slice(first, first + rng.randint(1, 1 + len(data) // 4))


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _edge(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice(EDGES)


def _cut_out(data: bytearray, rng: random.Random) -> None:
    del data[_span(data, rng)]


def _cut_off(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _repeat(data: bytearray, rng: random.Random) -> None:
    _insert(data, rng, bytes(data[_span(data, rng)]))


def _noise(data: bytearray, rng: random.Random) -> None:
    _insert(data, rng, rng.randbytes(rng.randint(1, MOST_INSERTED)))


_HARMS: tuple[Harm, ...] = (_flip, _edge, _cut_out, _cut_off, _repeat, _noise)
