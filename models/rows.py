"""Rows of a training, in groups that are read one at a time: from memory, or from files.

Whatever holds them (`Arrays` here, `models.row_files.RowFile` on disk), an epoch goes over them the
same way (`shuffled`): groups in random order, as many of them at once as `pool_rows` allows, and
those rows in random order. So memory is bounded by the pool, and rows that fit into one pool come
in the same order, to the bit, from memory and from files.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

#: Arrays of equal length by name; the first axis is the row's.
Columns = dict[str, NDArray[Any]]


class Rows(Protocol):
    """Rows in groups."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each group."""

    def read(self, group: int) -> Columns:
        """The columns of one group; not to be written to."""


@dataclass(frozen=True)
class Arrays:
    """Rows in memory, one group."""

    columns: Columns

    @property
    def sizes(self) -> tuple[int, ...]:
        """One number."""
        return (length(self.columns),)

    def read(self, group: int) -> Columns:
        """The arrays themselves."""
        del group
        return self.columns


@dataclass(frozen=True)
class Mapped:
    """Rows made from others, group by group, whenever they are read.

    Attributes:
        rows: what they are made from.
        make: of the columns of a group, those of as many rows.
    """

    rows: Rows
    make: Callable[[Columns], Columns]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Those of the rows below."""
        return self.rows.sizes

    def read(self, group: int) -> Columns:
        """Made anew at each call."""
        return self.make(self.rows.read(group))


@dataclass(frozen=True)
class Beside:
    """The columns of several rows that lie side by side, group by group.

    Raises:
        ValueError: their groups differ in size.
    """

    several: tuple[Rows, ...]

    def __post_init__(self) -> None:
        """Check the groups."""
        if len({rows.sizes for rows in self.several}) != 1:
            raise ValueError(f"groups differ: {[rows.sizes for rows in self.several]}")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Those of each."""
        return self.several[0].sizes

    def read(self, group: int) -> Columns:
        """All columns; of equal names the last counts."""
        return {name: c for rows in self.several for name, c in rows.read(group).items()}


def length(columns: Columns) -> int:
    """Rows of some columns."""
    return len(next(iter(columns.values())))


def take(columns: Columns, at: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Columns:
    """The rows at some positions, or under a mask."""
    return {name: column[at] for name, column in columns.items()}


def total(rows: Rows) -> int:
    """Rows of all groups."""
    return sum(rows.sizes)


def groups(rows: Rows) -> Iterator[Columns]:
    """All groups in order."""
    return (rows.read(number) for number in range(len(rows.sizes)))


def gathered(rows: Rows) -> Columns:
    """All rows in order, in memory."""
    return _joined(list(groups(rows)))


def shuffled(
    rows: Rows, batch: int, rng: np.random.Generator, *, pool_rows: int, whole: bool = False
) -> Iterator[Columns]:
    """One epoch: every row once, in random order, `batch` rows at a time.

    Args:
        rows: at least one.
        batch: rows of a batch; the last may have fewer.
        rng: draws the order.
        pool_rows: so many rows are mixed with each other, and held in memory: twice while a pool
            is made of several groups. A larger group is a pool of its own.
        whole: leave out the last batch if it is not whole, unless it is the only one.
    """
    rest: Columns | None = None
    yielded = False
    for pool in _pools(rows.sizes, rng, pool_rows):
        blocks = [rows.read(number) for number in pool]
        mixed = _joined(blocks if rest is None else [rest, *blocks])
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


def _pools(sizes: Sequence[int], rng: np.random.Generator, pool_rows: int) -> Iterator[list[int]]:
    """Numbers of the groups that are mixed with each other."""
    if sum(sizes) <= pool_rows or len(sizes) == 1:
        yield list(range(len(sizes)))
        return
    pool: list[int] = []
    held = 0
    for number in rng.permutation(len(sizes)).tolist():
        if pool and held + sizes[number] > pool_rows:
            yield pool
            pool, held = [], 0
        pool.append(number)
        held += sizes[number]
    yield pool


def _joined(blocks: list[Columns]) -> Columns:
    """Blocks one after the other; a single one is not copied."""
    if len(blocks) == 1:
        return blocks[0]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
