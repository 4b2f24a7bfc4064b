"""Polls that gather while their agent works: nothing lost, nothing twice, in order."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from streams.transport import Poll, WaitingPolls

MOST = 10


def poll(
    offsets: Sequence[int], *, topic: str = "t", partition: int = 0, generation: int = 1
) -> Poll:
    records: list[Any] = [SimpleNamespace(offset=offset, value=b"five!") for offset in offsets]
    return Poll(topic, {partition: records}, generation)


def offsets(held: Poll, partition: int = 0) -> list[int]:
    return [record.offset for record in held.records[partition]]


def test_a_later_poll_joins_the_one_that_waits() -> None:
    """Same partition: in order of offset; another partition: beside it."""
    waiting, first = WaitingPolls(MOST, 1_000), poll([1, 2])
    assert not waiting.joined(first)
    assert waiting.joined(poll([3]))
    assert waiting.joined(poll([7, 8], partition=3))
    assert offsets(first) == [1, 2, 3]
    assert offsets(first, 3) == [7, 8]
    assert len(first) == 5


def test_nothing_joins_a_poll_that_was_taken() -> None:
    """The agent iterates over it: what comes later is a batch of its own."""
    waiting, first, second = WaitingPolls(MOST, 1_000), poll([1]), poll([2])
    assert not waiting.joined(first)
    waiting.taken(first)
    assert not waiting.joined(second)
    assert offsets(first) == [1]
    waiting.taken(first)  # again: the second still waits
    assert waiting.joined(poll([3]))
    assert offsets(second) == [2, 3]


@pytest.mark.parametrize(
    "other",
    [poll([9], topic="u"), poll([9], generation=2), poll(range(9, 9 + MOST))],
    ids=["another topic", "after a seek", "no room"],
)
def test_what_does_not_fit_waits_for_itself(other: Poll) -> None:
    """Another topic's, another generation's, or more than a batch may hold."""
    waiting, first = WaitingPolls(MOST, 1_000), poll([1])
    assert not waiting.joined(first)
    assert not waiting.joined(other)
    assert offsets(first) == [1]


def test_any_course_keeps_every_record_once_and_in_order() -> None:
    """Random polls and takes: agents get all records of a partition, ascending, in batches."""
    rng = np.random.default_rng(5)
    for _ in range(50):
        waiting, queue, got = WaitingPolls(MOST, 1_000), list[Poll](), list[int]()
        sent = 0
        while sent < 200 or queue:
            if sent < 200 and (not queue or rng.random() < 0.6):
                size = int(rng.integers(1, MOST))
                new = poll(range(sent, sent + size))
                sent += size
                if not waiting.joined(new):
                    queue.append(new)
            else:
                taken = queue.pop(0)
                waiting.taken(taken)
                assert len(taken) <= MOST
                got += offsets(taken)
        assert got == list(range(sent))


def test_bytes_bound_what_gathers() -> None:
    """Few records can be large: a burst of them waits in Kafka, not here."""
    waiting, first = WaitingPolls(MOST, 14), poll([1])
    assert not waiting.joined(first)
    assert waiting.joined(poll([2]))
    assert not waiting.joined(poll([3]))
    assert offsets(first) == [1, 2]


def test_halves_share_the_partitions() -> None:
    """Each partition lies whole in one of them."""
    whole = Poll("t", {p: poll(range(p, p + 3)).records[0] for p in range(5)}, 1)
    first, second = whole.halves()
    assert first.records | second.records == whole.records
    assert {*first.records} & {*second.records} == set()
    assert [*poll([1]).halves()[0].records] == [0]
    assert len(poll([1]).halves()) == 1


def test_portions_keep_every_record_and_are_bounded() -> None:
    """They end with the record that fills them, across partitions, in order."""
    whole = Poll("t", {p: poll(range(10 * p, 10 * p + 3)).records[0] for p in range(2)}, 7)
    portions = list(whole.portions(most_bytes=10))
    found = [[(p, r.offset) for p in held.records for r in held.records[p]] for held in portions]
    assert found == [[(0, 0), (0, 1)], [(0, 2), (1, 10)], [(1, 11), (1, 12)]]
    assert {held.generation for held in portions} == {7}
