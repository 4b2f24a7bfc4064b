"""People in the archive: their rows found in every file of every stream, files rewritten."""

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.ids import id64
from online_features.erased import nobody_writes
from online_features.erased_rows import cleared
from streams.archive import write_whole

READ_BYTES = 2**20


@dataclass(frozen=True)
class Rewritten:
    """One file that held rows of theirs, and the one in its place.

    Attributes:
        stream: whose folder it lies in.
        before, after: paths in the archive; `after` is empty where nothing was left.
        sha256_before, sha256_after: of the whole files.
        rows_before, rows_removed: interactions that were removed leave a row with their position.
    """

    stream: str
    before: str
    sha256_before: str
    rows_before: int
    rows_removed: int
    after: str
    sha256_after: str


@dataclass(frozen=True)
class RemovedFromArchive:
    """What was done.

    Attributes:
        files_looked_at: by stream.
        rewritten: those that held rows of theirs.
        leftovers_removed: half-written files of crashed writers, which no reader sees.
    """

    files_looked_at: dict[str, int]
    rewritten: tuple[Rewritten, ...]
    leftovers_removed: int


class InArchive:
    """Some people in an archive.

    Every stream counts whose files say whose each row is: in a column `user_id` (ids), or `user`
    (their 64-bit hashes).
    """

    def __init__(self, archive_dir: Path, user_ids: Sequence[str], erased_s: float) -> None:
        self._root = archive_dir
        self._ids = pa.array(user_ids, pa.string())
        self._hashes = pa.array([id64(user_id) for user_id in user_ids], pa.uint64())
        self._erased_s = erased_s

    def remove(self) -> RemovedFromArchive:
        """Rewrite every file that holds rows of theirs from before they were erased.

        Safe beside workers: a folder's merge lock is held, files appear whole and new ones first.
        Broken off, it is done by running it again.
        """
        looked_at: dict[str, int] = {}
        rewritten: list[Rewritten] = []
        leftovers = 0
        for stream, folder in self._folders():
            with merge_lock(folder):
                leftovers += self._remove_leftovers(folder)
                files = sorted(folder.glob("*.parquet"))
                looked_at[stream] = looked_at.get(stream, 0) + len(files)
                rewritten += filter(None, [self._rewrite(stream, file) for file in files])
        return RemovedFromArchive(looked_at, tuple(rewritten), leftovers)

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
            for folder in sorted({file.parent for file in self._root.rglob("*.parquet")}):
                yield folder.relative_to(self._root).parts[0], folder

    def _remove_leftovers(self, folder: Path) -> int:
        """With the merge lock held and nobody writing, a temporary file is nobody's."""
        with nobody_writes(self._root):
            leftovers = list(folder.glob(".*.tmp"))
            for file in leftovers:
                file.unlink()
        return len(leftovers)

    def _rows(self, file: Path) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which rows are theirs, and which of these are from before they were erased."""
        wanted = ("user_id", "user", "time_s", "received_s")
        with pq.ParquetFile(file) as opened:
            columns = [name for name in wanted if name in opened.schema_arrow.names]
            table = opened.read(columns=columns)
        theirs = np.zeros(table.num_rows, bool)
        if "user_id" in columns:
            theirs |= _is_in(table["user_id"].cast(pa.string()), self._ids)
        if "user" in columns and table["user"].type == pa.uint64():
            theirs |= _is_in(table["user"], self._hashes)
        times = [table[name].to_numpy() for name in columns if name in ("time_s", "received_s")]
        return theirs, theirs & (np.min(times, axis=0) <= self._erased_s) if times else theirs

    def _rewrite(self, stream: str, file: Path) -> Rewritten | None:
        _, gone = self._rows(file)
        if not gone.any():
            return None
        before, digest = pq.ParquetFile(file).read(), _sha256(file)
        kept = cleared(stream, before, gone)
        after = write_whole(kept, file.parent) if kept.num_rows else None
        file.unlink()
        return Rewritten(
            stream=stream,
            before=str(file.relative_to(self._root)),
            sha256_before=digest,
            rows_before=before.num_rows,
            rows_removed=int(gone.sum()),
            after="" if after is None else str(after.relative_to(self._root)),
            sha256_after="" if after is None else _sha256(after),
        )


def _is_in(column: Any, values: pa.Array) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.is_in(column, value_set=values).to_numpy()
    return found


@contextmanager
def merge_lock(folder: Path) -> Iterator[None]:
    """The lock that `streams.archive.merge_files` takes."""
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
