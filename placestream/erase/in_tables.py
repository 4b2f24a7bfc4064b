"""People in the tables of `placestream backfill`: their rows found in every one, files rewritten.

Every version of every table counts that says whose each row is: users by the day (`user_id`), and
choice sets (`user`, a hash). All rows of theirs go, whatever moment they tell of: the row of the
day on which somebody was erased, which bears the midnight that ends it, holds what they did
before. What they do later comes back with the next backfill.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from placestream.backfill.one_writer import writer
from placestream.erase.in_files import WHOSE, People, RemovedFromFiles, read, rewrite

#: What Spark leaves of a job that crashed: folders of files that no reader sees.
_STAGING = ("_temporary", ".spark-staging-*")


class InTables:
    """Some people in the tables of a folder.

    Attributes:
        removed: what the last `remove` did, also of one that broke off.
    """

    def __init__(self, backfill_dir: Path, user_ids: Sequence[str]) -> None:
        self._root = backfill_dir
        self._people = People.of(user_ids)
        self.removed = RemovedFromFiles()

    def alone(self) -> AbstractContextManager[None]:
        """Inside, no backfill writes the tables.

        Raises:
            BeingWritten: by a backfill, which may not know yet that they were erased.
        """
        return writer(self._root) if self._root.is_dir() else nullcontext()

    def remove(self) -> RemovedFromFiles:
        """Rewrite every file that holds rows of theirs, `alone`. Broken off, run it again."""
        self.removed = RemovedFromFiles(leftovers_removed=self._remove_leftovers())
        for table, file in self._files():
            self.removed.looked_at(table)
            gone = self._people.rows(read(file, WHOSE))
            if gone.any():
                self.removed.rewritten.append(rewrite(self._root, table, file, gone))
                _checksum_of_spark(file).unlink(missing_ok=True)
        return self.removed

    def left(self) -> int:
        """Rows of theirs."""
        return sum(int(self._people.rows(read(file, WHOSE)).sum()) for _, file in self._files())

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Table and file, of all that readers see."""
        for file in sorted(self._root.rglob("*.parquet")):
            below = file.relative_to(self._root).parts
            if not any(part.startswith((".", "_")) for part in below):
                yield below[0], file

    def _remove_leftovers(self) -> int:
        """With no backfill at work, what is unfinished is nobody's."""
        unfinished = [folder for name in _STAGING for folder in self._root.rglob(name)]
        held = {path for f in unfinished for path in f.rglob("*") if path.is_file()}
        held |= set(self._root.rglob(".*.tmp"))
        for file in held:
            file.unlink()
        for folder in unfinished:
            if folder.exists():  # one may lie in another
                shutil.rmtree(folder)
        return len(held)


def _checksum_of_spark(file: Path) -> Path:
    return file.with_name(f".{file.name}.crc")
