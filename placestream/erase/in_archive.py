"""People in the archive: their rows found in every file of every stream, files rewritten."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from online_features.erased import nobody_writes
from placestream.erase.in_files import WHOSE, People, RemovedFromFiles, read, rewrite

_TIMES = ("time_s", "received_s")
#: Of crashed writers: see `streams.archive.write_whole`.
_LEFTOVERS = ".*.tmp"


class InArchive:
    """Some people in an archive.

    Every stream counts whose files say whose each row is: in a column `user_id` (ids), or `user`
    (their 64-bit hashes).

    Attributes:
        removed: what the last `remove` did, also of one that broke off.
    """

    def __init__(self, archive_dir: Path, user_ids: Sequence[str], erased_s: float) -> None:
        self._root = archive_dir
        self._people = People.of(user_ids)
        self._erased_s = erased_s
        self.removed = RemovedFromFiles()

    def remove(self) -> RemovedFromFiles:
        """Rewrite every file that holds rows of theirs from before they were erased.

        Safe beside workers: a folder's merge lock is held, files appear whole and new ones first.
        Broken off, it is done by running it again.
        """
        self.removed = RemovedFromFiles()
        for stream, folder in self._folders():
            with merge_lock(folder):
                self.removed.leftovers_removed += self._remove_leftovers(folder)
                for file in sorted(folder.glob("*.parquet")):
                    self.removed.looked_at(stream)
                    self._rewrite(stream, file)
        return self.removed

    def left(self) -> tuple[int, int]:
        """(Rows of theirs from before they were erased, rows of theirs from after)."""
        before = after = 0
        for _, folder in self._folders():
            for file in sorted(folder.glob("*.parquet")):
                try:
                    theirs, erased = self._rows(file)
                except FileNotFoundError:  # a worker has put another in the place of some
                    continue
                before += int(erased.sum())
                after += int((theirs & ~erased).sum())
        return before, after

    def _folders(self) -> Iterator[tuple[str, Path]]:
        """Stream and folder of everything that holds files."""
        if self._root.is_dir():
            held = (*self._root.rglob("*.parquet"), *self._root.rglob(_LEFTOVERS))
            for folder in sorted({file.parent for file in held}):
                yield folder.relative_to(self._root).as_posix().partition("/")[0], folder

    def _remove_leftovers(self, folder: Path) -> int:
        """With the merge lock held and nobody writing, a temporary file is nobody's."""
        with nobody_writes(self._root):
            leftovers = list(folder.glob(_LEFTOVERS))
            for file in leftovers:
                file.unlink()
        return len(leftovers)

    def _rows(self, file: Path) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which rows are theirs, and which of these are from before they were erased."""
        table = read(file, (*WHOSE, *_TIMES))
        theirs = self._people.rows(table)
        times = [table[name].to_numpy() for name in _TIMES if name in table.column_names]
        return theirs, theirs & (np.min(times, axis=0) <= self._erased_s) if times else theirs

    def _rewrite(self, stream: str, file: Path) -> None:
        _, gone = self._rows(file)
        if gone.any():
            self.removed.rewritten.append(rewrite(self._root, stream, file, gone))


@contextmanager
def merge_lock(folder: Path) -> Iterator[None]:
    """The lock that `streams.archive.merge_files` takes."""
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
