"""Ids of users, places and regions: one canonical form, one hash, one partition.

Producers may send an id as a JSON integer or as a string. Inside placestream an id is always
its canonical string (`12345` and `"12345"` are the same user), and where a fixed width is
needed (packed state, model inputs) its 64-bit hash.
"""

from functools import lru_cache

import numpy as np
import xxhash
from aiokafka.partitioner import murmur2

MAX_ID_BYTES = 128
MAX_INT_ID = 2**63


class BadId(ValueError):
    """An id that no part may accept; the message says why."""


def canonical_id(value: int | str) -> str:
    """Return the canonical string of an id.

    Raises:
        BadId: not an integer within +-2^63, or a string that is empty, longer than 128 bytes
            of UTF-8, or holds a control character.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise BadId(f"expected an integer or a string, got {type(value).__name__}")
    if isinstance(value, int):
        if not -MAX_INT_ID <= value <= MAX_INT_ID:
            raise BadId("an integer id must lie within +-2^63")
        return str(value)
    if not value:
        raise BadId("an id must not be empty")
    if len(value) > MAX_ID_BYTES or (not value.isascii() and _utf8_len(value) > MAX_ID_BYTES):
        raise BadId(f"an id must have at most {MAX_ID_BYTES} bytes")
    if not value.isprintable():
        raise BadId("an id must not hold control characters")
    return value


def _utf8_len(value: str) -> int:
    try:
        return len(value.encode())
    except UnicodeEncodeError as error:
        raise BadId("an id must be valid Unicode") from error


def id64(canonical: str) -> int:
    """Hash a canonical id to an unsigned 64-bit integer (XXH3); never 0, which means "none"."""
    return xxhash.xxh3_64_intdigest(canonical.encode()) or 1


def as_int64(hashes: np.ndarray) -> np.ndarray:
    """Reinterpret unsigned id hashes as the signed int64 that TensorFlow's lookups take."""
    return np.ascontiguousarray(hashes, dtype=np.uint64).view(np.int64)


@lru_cache(maxsize=1 << 20)
def partition_of(canonical: str, partitions: int) -> int:
    """Kafka partition of a key, as Java's default, aiokafka and `murmur2_random` compute it."""
    return int((murmur2(canonical.encode()) & 0x7FFFFFFF) % partitions)
