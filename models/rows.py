"""Rows of a training, in groups that are read one at a time: from memory, or from files.

Whatever holds them (`Arrays` here, `models.row_files.RowFile` on disk), an epoch goes over them the
same way (`shuffled`): groups in random order, as many of them at once as the pool holds, and those
rows in random order. So memory is bounded by the pool, and rows that fit into one pool come in the
same order, to the bit, from memory and from files.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

#: Arrays of equal length by name; the first axis is the row's.
Columns = dict[str, NDArray[Any]]


class Rows(Protocol):
    """Rows in groups."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each group."""

    @property
    def pool_rows(self) -> int:
        """So many rows are mixed with each other; a larger group is a pool of its own."""

    def read(self, group: int) -> Columns:
        """The columns of one group; not to be written to."""

    def only(self, *names: str) -> Self:
        """The same rows, of which only some columns are read."""

    def part(self, start: int, stop: int) -> Self:
        """The rows from one position to another.

        Raises:
            ValueError: groups do not end there.
        """


@dataclass(frozen=True)
class Arrays:
    """Rows in memory, one group."""

    columns: Columns

    @property
    def sizes(self) -> tuple[int, ...]:
        """One number."""
        return (length(self.columns),)

    @property
    def pool_rows(self) -> int:
        """All."""
        return length(self.columns)

    def read(self, group: int) -> Columns:
        """The arrays themselves."""
        del group
        return self.columns

    def only(self, *names: str) -> "Arrays":
        """Some of the arrays."""
        return Arrays({name: self.columns[name] for name in names})

    def part(self, start: int, stop: int) -> "Arrays":
        """Views; any positions will do."""
        return Arrays(take(self.columns, slice(start, stop)))


@dataclass(frozen=True)
class Stretches:
    """Rows in arrays, read a stretch at a time: the arrays may lie in files mapped into memory.

    Attributes:
        columns: all rows.
        pool_rows: so many are mixed with each other.
        group_rows: of a group; the last may have fewer.
    """

    columns: Columns
    pool_rows: int
    group_rows: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each group."""
        whole, rest = divmod(length(self.columns), self.group_rows)
        return (self.group_rows,) * whole + ((rest,) if rest else ())

    def read(self, group: int) -> Columns:
        """Views of one group."""
        start = group * self.group_rows
        return take(self.columns, slice(start, start + self.group_rows))

    def only(self, *names: str) -> "Stretches":
        """Some of the arrays."""
        columns = {name: self.columns[name] for name in names}
        return Stretches(columns, self.pool_rows, self.group_rows)

    def part(self, start: int, stop: int) -> "Stretches":
        """Views; any positions will do."""
        return Stretches(take(self.columns, slice(start, stop)), self.pool_rows, self.group_rows)


def length(columns: Columns) -> int:
    """Rows of some columns."""
    return len(next(iter(columns.values())))


def take(columns: Columns, at: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Columns:
    """The rows at some positions, or under a mask."""
    return {name: column[at] for name, column in columns.items()}


def joined(blocks: Sequence[Columns]) -> Columns:
    """Blocks one after the other; a single one is not copied."""
    if len(blocks) == 1:
        return blocks[0]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def total(rows: Rows) -> int:
    """Rows of all groups."""
    return sum(rows.sizes)


def groups(rows: Rows) -> Iterator[Columns]:
    """All groups in order."""
    return (rows.read(number) for number in range(len(rows.sizes)))


def gathered(rows: Rows) -> Columns:
    """All rows in order, in memory."""
    return joined(list(groups(rows)))


def shuffled(
    rows: Rows, batch: int, rng: np.random.Generator, *, whole: bool = False
) -> Iterator[Columns]:
    """One epoch: every row once, in random order, `batch` rows at a time.

    Holds a pool in memory, twice while one is made of several groups.

    Args:
        rows: at least one.
        batch: rows of a batch; the last may have fewer.
        rng: draws the order.
        whole: leave out the last batch if it is not whole, unless it is the only one.
    """
    rest: Columns | None = None
    yielded = False
    for pool in _pools(rows, rng):
        blocks = [rows.read(number) for number in pool]
        mixed = joined(blocks if rest is None else [rest, *blocks])
        del blocks
        order = rng.permutation(length(mixed))
        end = len(order) // batch * batch
        for start in range(0, end, batch):
            yielded = True
            yield take(mixed, order[start : start + batch])
        rest = take(mixed, order[end:])
    if rest is not None and length(rest) and not (whole and yielded):
        yield rest


def steps(count: int, batch: int, *, whole: bool) -> int:
    """Batches of an epoch over so many rows."""
    return max(count // batch, 1) if whole else -(-count // batch)


def _pools(rows: Rows, rng: np.random.Generator) -> Iterator[list[int]]:
    """Numbers of the groups that are mixed with each other."""
    sizes, room = rows.sizes, rows.pool_rows
    if sum(sizes) <= room or len(sizes) == 1:
        yield list(range(len(sizes)))
        return
    pool: list[int] = []
    held = 0
    for number in rng.permutation(len(sizes)).tolist():
        if pool and held + sizes[number] > room:
            yield pool
            pool, held = [], 0
        pool.append(number)
        held += sizes[number]
    yield pool
