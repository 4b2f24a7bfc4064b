"""Rows in groups: each comes once an epoch, in an order that the seed decides, within a pool."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from models.rows import Arrays, Columns, gathered, shuffled, steps

COUNT = 103


@dataclass(frozen=True)
class Groups:
    """Numbered rows in groups of some sizes, which remember what was read."""

    sizes: tuple[int, ...]
    pool_rows: int
    was_read: list[int] = field(default_factory=list)

    def read(self, group: int) -> Columns:
        """Numbers of the rows, and their group."""
        self.was_read.append(group)
        first = sum(self.sizes[:group])
        number = np.arange(first, first + self.sizes[group])
        return {"number": number, "group": np.full(len(number), group)}

    def only(self, *names: str) -> "Groups":
        """Not asked for here."""
        raise AssertionError("shuffling needs whole groups")

    def part(self, start: int, stop: int) -> "Groups":
        """Not asked for here."""
        raise AssertionError("shuffling needs whole groups")


SIZES = (20, 20, 20, 20, 20, 3)


def _epoch(rows: Groups | Arrays, seed: int = 1, batch: int = 8) -> list[Columns]:
    return list(shuffled(rows, batch, np.random.default_rng(seed)))


def _order(batches: list[Columns]) -> list[int]:
    return [number for batch in batches for number in batch["number"].tolist()]


@pytest.mark.parametrize("pool_rows", [1, 20, 50, 1_000])
def test_every_row_comes_once_in_whole_batches(pool_rows: int) -> None:
    """Also across the ends of pools; only the last batch is smaller."""
    batches = _epoch(Groups(SIZES, pool_rows))
    assert sorted(_order(batches)) == list(range(COUNT))
    assert [len(batch["number"]) for batch in batches] == [8] * 12 + [7]


def test_what_fits_into_a_pool_comes_as_from_memory() -> None:
    """The same rows in the same batches, whether read group by group or held as arrays."""
    held = Arrays(gathered(Groups(SIZES, COUNT)))
    assert _order(_epoch(Groups(SIZES, COUNT))) == _order(_epoch(held))


@pytest.mark.parametrize("pool_rows", [45, COUNT])
def test_the_seed_decides_the_order(pool_rows: int) -> None:
    """The same seed the same order, another one another, and none the order of writing."""
    first, again, other = (_order(_epoch(Groups(SIZES, pool_rows), seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first != sorted(first)


def test_a_pool_mixes_its_groups_and_reads_no_others() -> None:
    """With room for two groups, the first batch holds rows of both and of no third."""
    rows = Groups(SIZES[:5], 40)
    epoch: Iterator[Columns] = shuffled(rows, 20, np.random.default_rng(3))
    batch = next(epoch)
    assert sorted(rows.was_read) == sorted(set(batch["group"].tolist()))
    assert len(rows.was_read) == 2
    assert len(list(epoch)) == 4
    assert sorted(rows.was_read) == [0, 1, 2, 3, 4]


def test_a_last_batch_that_is_not_whole_can_be_left_out() -> None:
    """Unless there is no other: few rows are better than none."""

    def sizes(rows: Groups, batch: int) -> list[int]:
        epoch = shuffled(rows, batch, np.random.default_rng(1), whole=True)
        return [len(batch["number"]) for batch in epoch]

    assert sizes(Groups(SIZES, 50), 25) == [25] * 4
    assert sizes(Groups((9,), 50), 25) == [9]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("batch", [1, 8, 103, 500])
def test_steps_are_the_batches_of_an_epoch(batch: int, whole: bool) -> None:
    """So that a training knows how long an epoch is before it begins."""
    rng = np.random.default_rng(1)
    found = list(shuffled(Groups(SIZES, 50), batch, rng, whole=whole))
    assert len(found) == steps(COUNT, batch, whole=whole)
