"""Ids: one canonical form, one hash, one partition."""

import subprocess
import sys

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import (
    MAX_ID_BYTES,
    MAX_INT_ID,
    BadId,
    as_int64,
    canonical_id,
    id64,
    partition_of,
    partitions_of,
)

printable = st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable())
ids = printable.filter(lambda text: len(text.encode()) <= MAX_ID_BYTES)


@given(st.integers(-MAX_INT_ID, MAX_INT_ID))
def test_an_integer_and_its_digits_are_the_same_id(number: int) -> None:
    """A producer may send 12345 or "12345"."""
    assert canonical_id(number) == canonical_id(str(number)) == str(number)


@given(ids)
def test_a_canonical_id_is_left_alone(text: str) -> None:
    """Canonical form is idempotent: nothing is trimmed, folded or normalised."""
    assert canonical_id(text) == text


@pytest.mark.parametrize("number", [MAX_INT_ID + 1, -MAX_INT_ID - 1, 10**30])
def test_integers_beyond_64_bits_are_refused(number: int) -> None:
    """The promise ends at 2^63."""
    with pytest.raises(BadId, match=r"2\^63"):
        canonical_id(number)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "empty"),
        ("a" * (MAX_ID_BYTES + 1), "128 bytes"),
        ("é" * (MAX_ID_BYTES // 2 + 1), "128 bytes"),  # two bytes each
        ("a\x00b", "control"),
        ("a\nb", "control"),
        ("\ud800", "control|Unicode"),
        ("a" * 50 + "\ud800", "control|Unicode"),
    ],
)
def test_strings_that_cannot_be_ids_are_refused(value: str, reason: str) -> None:
    """Empty, too long, with control characters, or no valid Unicode."""
    with pytest.raises(BadId, match=reason):
        canonical_id(value)


@pytest.mark.parametrize("value", [True, 1.0, None, b"1", [1]])
def test_other_types_are_refused(value: object) -> None:
    """A bool is an int in Python, and no id."""
    with pytest.raises(BadId, match="expected an integer or a string"):
        canonical_id(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["a" * MAX_ID_BYTES, "é" * (MAX_ID_BYTES // 2)])
def test_ids_of_exactly_128_bytes_are_accepted(value: str) -> None:
    """The limit counts bytes of UTF-8, and is inclusive."""
    assert canonical_id(value) == value


@given(ids)
def test_the_hash_is_xxh3_of_the_utf8_bytes(text: str) -> None:
    """Other engines (Spark) must be able to compute the same hash."""
    assert id64(text) == (xxhash.xxh3_64(text.encode()).intdigest() or 1)


def test_zero_means_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one id that would hash to 0 gets 1, since 0 is "none"."""
    monkeypatch.setattr(xxhash, "xxh3_64_intdigest", lambda _: 0)
    assert id64("whatever") == 1


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_signed_view_keeps_every_bit(hashes: list[int]) -> None:
    """TensorFlow's lookups take int64; the way back gives the same hash."""
    signed = as_int64(np.array(hashes, dtype=np.uint64))
    assert signed.dtype == np.int64
    assert [int(value) % 2**64 for value in signed] == hashes


@given(ids, st.integers(1, 64))
def test_partitions_are_those_of_the_java_client(text: str, partitions: int) -> None:
    """Computed here from murmur2's definition, byte by byte, without aiokafka."""
    assert partition_of(text, partitions) == (_murmur2(text.encode()) & 0x7FFFFFFF) % partitions


@given(st.lists(ids, max_size=20), st.integers(1, 64))
def test_many_partitions_at_once_are_those_of_each(texts: list[str], partitions: int) -> None:
    """Of every length and remainder, all in one call."""
    assert partitions_of(texts, partitions).tolist() == [
        partition_of(text, partitions) for text in texts
    ]


def test_hashes_do_not_depend_on_the_process() -> None:
    """State outlives processes, so a hash with a random seed (Python's own) would be a disaster."""
    code = "from contracts.ids import *; print(id64('user-1'), partition_of('user-1', 8))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == [str(id64("user-1")), str(partition_of("user-1", 8))]


def _murmur2(data: bytes) -> int:
    """Murmur2 with Kafka's seed, as org.apache.kafka.common.utils.Utils.murmur2 defines it."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    value = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        value = value * multiplier & mask ^ word
    if tail := data[whole:]:
        value = (value ^ int.from_bytes(tail, "little")) * multiplier & mask
    value = (value ^ value >> 13) * multiplier & mask
    return value ^ value >> 15
