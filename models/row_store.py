"""Where the rows of a training are kept: in memory while they are few, else in files."""

import itertools
import math
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Settings
from models.row_files import POOL_GROUPS, RowFile, RowWriter, row_bytes
from models.rows import Arrays, Columns, Rows, Stretches, length, take
from online_features.archive import MakeArray

#: A pool of rows that are mixed takes so much of the memory, and as much again while it is made.
_POOL_SHARE = 4


@dataclass(frozen=True)
class RowStore:
    """Keeps rows that are made block by block.

    Files have no name: they are gone with the rows, and with the process however it ends.

    Attributes:
        folder: on the disk that files go to; made if need be.
        memory_bytes: rows that take more go through a file.
    """

    folder: Path
    memory_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> "RowStore":
        """Beside the models, which have room anyhow."""
        return cls(settings.models_dir, settings.train_memory_mb * 2**20)

    def keep(self, blocks: Iterable[Columns], count: int, cut: int = 0) -> Rows:
        """Keep rows.

        Args:
            blocks: at least one row, one block after another.
            count: how many rows there will be, at most.
            cut: a group shall end at this position.
        """
        several = iter(blocks)
        first = next(several)
        all_blocks = itertools.chain([first], several)
        if row_bytes(first) * count <= self.memory_bytes:
            return _in_memory(all_blocks, count)
        pool_rows = max(self.memory_bytes // _POOL_SHARE // row_bytes(first), 1)
        return RowFile.open(self._file(all_blocks, cut), pool_rows)

    def array(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """An array to be filled; a large one lies in a file, see `arrays`."""
        return self.arrays(math.prod(shape) * np.dtype(dtype).itemsize)(shape, dtype)

    def arrays(self, size_bytes: int) -> MakeArray:
        """What makes arrays that take so many bytes in all.

        If that is more than may be in memory, each lies in a file that is mapped into it: what of
        it is in memory then is given back when others need the room.
        """
        return np.empty if size_bytes <= self.memory_bytes else self._mapped

    def _mapped(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.folder) as file:
            return np.asarray(np.memmap(file, dtype, "w+", shape=shape))

    def mixed(self, columns: Columns) -> Rows:
        """Rows that lie in arrays, to be mixed all at once if they are few, else in pools."""
        if row_bytes(columns) * length(columns) <= self.memory_bytes:
            return Arrays(columns)
        pool_rows = max(self.memory_bytes // _POOL_SHARE // row_bytes(columns), 1)
        return Stretches(columns, pool_rows, max(pool_rows // POOL_GROUPS, 1))

    def _file(self, blocks: Iterable[Columns], cut: int) -> BinaryIO:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115  # closed with the rows
        done = 0
        with RowWriter(file) as writer:
            for block in blocks:
                if done < cut <= done + length(block):
                    writer.append(take(block, slice(0, cut - done)))
                    writer.cut()
                    block, done = take(block, slice(cut - done, None)), cut
                writer.append(block)
                done += length(block)
        return file


def _in_memory(blocks: Iterable[Columns], count: int) -> Arrays:
    held: Columns = {}
    done = 0
    for block in blocks:
        for name, column in block.items():
            if name not in held:
                held[name] = np.empty((count, *column.shape[1:]), column.dtype)
            held[name][done : done + len(column)] = column
        done += length(block)
    return Arrays(take(held, slice(0, done)))
