"""Writes the archive: Parquet, partitioned by day, whole files only, and not many small ones."""

import asyncio
import fcntl
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from contracts.settings import Settings
from online_features.archive_schema import SCHEMAS
from online_features.erased import writing
from online_features.erased_rows import without_erased
from streams.metrics import ARCHIVE_FILES, ARCHIVE_ROWS

log = structlog.get_logger(__name__)
#: A day's folder with more small files than this gets one file in their place. So much is read
#: into memory at once then.
MAX_FILES = 16
SMALL_BYTES = 4 * 2**20
DAY_S = 86_400
#: Batches of the greatest size that may wait for a disk that is slow, or full.
MOST_HELD_BATCHES = 3

#: Columns whose values repeat. To look for repeats in the others costs more than it saves.
_REPEATED = (
    *("partition", "user_id", "place_id", "user", "place", "kind", "age_group", "key"),
    *("variant", "degradation", "feature_set"),
)

Written = Callable[[], None]


class Archive:
    """Buffers rows of all streams and writes them every so many rows, bytes or seconds."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._root = settings.archive_dir
        self._flush_rows = settings.archive_flush_rows
        self._flush_s = settings.archive_flush_s
        self._flush_bytes = settings.batch_max_bytes
        self._clock = clock
        self._buffers: dict[str, list[pa.Table]] = {}
        self._written: list[Written] = []
        self._rows = 0
        self._bytes = 0
        self._oldest_s: float | None = None
        self._busy = asyncio.Lock()
        # One thread for good: allocators keep a heap for each that they have seen.
        self._writer = ThreadPoolExecutor(1, "archive")
        #: Bytes that are not on disk, those included that are being written.
        self._held_bytes = 0
        self._filled, self._has_room = asyncio.Event(), asyncio.Event()
        self._has_room.set()

    def append(self, stream: str, rows: pa.Table, written: Written) -> None:
        """Buffer rows; `written` is called when they, and all before them, are on disk."""
        self._written.append(written)
        if not rows.num_rows:
            return
        self._buffers.setdefault(stream, []).append(rows.cast(SCHEMAS[stream]))
        nbytes = rows.nbytes
        self._rows += rows.num_rows
        self._bytes += nbytes
        self._held(nbytes)
        if self._oldest_s is None:
            self._oldest_s = self._clock()
        if self.due:
            self._filled.set()

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        waited_s = 0.0 if self._oldest_s is None else self._clock() - self._oldest_s
        full = self._rows >= self._flush_rows or self._bytes >= self._flush_bytes
        return full or waited_s >= self._flush_s

    async def wait_due(self, most_s: float) -> None:
        """Wait until rows or bytes are due, or so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._filled.wait(), most_s)

    async def room(self) -> None:
        """Wait while too much is held: what comes meanwhile waits in Kafka."""
        await self._has_room.wait()

    async def flush(self) -> None:
        """Write everything that is buffered, and tell those who wait for it.

        Raises:
            OSError: it cannot be written; then it is still buffered.
        """
        async with self._busy:
            buffers, written = self._buffers, self._written
            taken = self._rows, self._bytes
            self._buffers, self._written, self._oldest_s = {}, [], None
            self._rows = self._bytes = 0
            self._filled.clear()
            loop = asyncio.get_running_loop()
            try:
                for stream, tables in buffers.items():
                    rows = pa.concat_tables(tables)
                    await loop.run_in_executor(self._writer, self._write, stream, rows)
            except BaseException:
                self._put_back(buffers, written, *taken)
                raise
            self._held(-taken[1])
            del buffers
            pa.default_memory_pool().release_unused()
            for done in written:
                done()

    def _held(self, more_bytes: int) -> None:
        self._held_bytes += more_bytes
        if self._held_bytes < MOST_HELD_BATCHES * self._flush_bytes:
            self._has_room.set()
        else:
            self._has_room.clear()

    def _put_back(
        self, buffers: dict[str, list[pa.Table]], written: list[Written], rows: int, nbytes: int
    ) -> None:
        """After a failure nothing counts as written; what is on disk twice is read once."""
        for stream, tables in buffers.items():
            self._buffers[stream] = tables + self._buffers.get(stream, [])
        self._written = written + self._written
        self._rows += rows
        self._bytes += nbytes
        self._oldest_s = self._clock()

    def _write(self, stream: str, rows: pa.Table) -> None:
        with writing(self._root) as erased:
            self._write_days(stream, without_erased(stream, rows, erased))

    def _write_days(self, stream: str, rows: pa.Table) -> None:
        for part, folder in by_day(rows, self._root / stream):
            write_whole(part, folder)
            ARCHIVE_ROWS.labels(stream).inc(part.num_rows)
            ARCHIVE_FILES.labels(stream).inc()
            if len(_small_files(folder)) > MAX_FILES:
                merge_files(folder)


def by_day(rows: pa.Table, stream_dir: Path) -> Iterator[tuple[pa.Table, Path]]:
    """Rows of an archived stream by the day of their event, each with its folder, which is made."""
    days = rows["time_s"].to_numpy() // DAY_S
    for day in np.unique(days).tolist():
        folder = stream_dir / f"day={_day_name(day)}"
        folder.mkdir(parents=True, exist_ok=True)
        yield rows.filter(pa.array(days == day)), folder


def _day_name(day: float) -> str:
    return datetime.fromtimestamp(day * DAY_S, UTC).strftime("%Y-%m-%d")


def _small_files(folder: Path) -> list[Path]:
    small = []
    for file in sorted(folder.glob("*.parquet")):
        with suppress(FileNotFoundError):  # another worker has merged it meanwhile
            if file.stat().st_size < SMALL_BYTES:
                small.append(file)
    return small


def write_whole(rows: pa.Table, folder: Path) -> Path:
    """Write a file that appears under its name only when it is complete."""
    name = uuid.uuid4().hex
    temporary = folder / f".{name}.tmp"
    pq.write_table(
        rows,
        temporary,
        compression="zstd",
        use_dictionary=[name for name in _REPEATED if name in rows.column_names],
    )
    final = folder / f"{name}.parquet"
    temporary.rename(final)
    return final


def merge_files(folder: Path) -> None:
    """Make one file of a day's many small ones; at every moment all rows are in at least one file.

    Rows that a crash leaves in two files are told apart by readers (partition and offset).
    """
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another worker is at it
        files = _small_files(folder)
        tables = [pq.ParquetFile(file).read() for file in files]
        # A column that an earlier version did not write is null there.
        merged = pa.concat_tables(tables, promote_options="default")
        write_whole(merged.sort_by([("partition", "ascending"), ("offset", "ascending")]), folder)
        for file in files:
            file.unlink()
    log.info("archive files merged", folder=folder.name, files=len(files), rows=merged.num_rows)
