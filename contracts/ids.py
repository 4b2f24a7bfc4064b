"""Ids of users, places and regions: one canonical form, one hash, one partition.

Producers may send an id as a JSON integer or as a string. Inside placestream an id is always
its canonical string (`12345` and `"12345"` are the same user), and where a fixed width is
needed (packed state, model inputs) its 64-bit hash.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import xxhash
from aiokafka.partitioner import murmur2
from numpy.typing import NDArray

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
    return id64_of(canonical.encode())


def id64_of(encoded: bytes) -> int:
    """`id64` of a canonical id as UTF-8."""
    return xxhash.xxh3_64_intdigest(encoded) or 1


def as_int64(hashes: np.ndarray) -> np.ndarray:
    """Reinterpret unsigned id hashes as the signed int64 that TensorFlow's lookups take."""
    return np.ascontiguousarray(hashes, dtype=np.uint64).view(np.int64)


@lru_cache(maxsize=1 << 20)
def partition_of(canonical: str, partitions: int) -> int:
    """Kafka partition of a key, as Java's default, aiokafka and `murmur2_random` compute it."""
    return int((murmur2(canonical.encode()) & 0x7FFFFFFF) % partitions)


#: Java's murmur2 as Kafka's clients use it: the seed, and the two constants of its mixing.
_SEED, _MIX, _SHIFT = 0x9747B28C, np.uint32(0x5BD1E995), np.uint32(24)


def partitions_of(canonical: Sequence[str], partitions: int) -> NDArray[np.int64]:
    """`partition_of` for many keys at once, with no loop over keys: int64[n].

    Source: Austin Appleby, MurmurHash2, 32 bits, in the variant of Kafka's Java client.
    """
    if not canonical:
        return np.zeros(0, np.int64)
    encoded = [key.encode() for key in canonical]
    length = np.fromiter(map(len, encoded), np.uint32, len(encoded))
    width = 4 * (int(length.max()) // 4 + 1)  # at least one word more than the longest has whole
    words = np.array(encoded, f"S{width}").view("<u4").reshape(len(encoded), width // 4)
    hashed = np.uint32(_SEED) ^ length
    whole = (length // 4).astype(np.int64)
    for i in range(int(whole.max())):
        word = words[:, i] * _MIX
        word = (word ^ (word >> _SHIFT)) * _MIX
        hashed = np.where(i < whole, (hashed * _MIX) ^ word, hashed)
    # Bytes after the end are zero, so the last word holds just the rest.
    rest = words[np.arange(len(encoded)), whole]
    hashed = np.where(length % 4 > 0, (hashed ^ rest) * _MIX, hashed)
    hashed = (hashed ^ (hashed >> np.uint32(13))) * _MIX
    hashed ^= hashed >> np.uint32(15)
    return (hashed & np.uint32(0x7FFFFFFF)).astype(np.int64) % partitions
