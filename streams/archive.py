"""Writes the archive: Parquet, partitioned by day, whole files only, and not many small ones."""

import asyncio
import fcntl
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from contracts.settings import Settings
from online_features.archive import SCHEMAS
from streams.metrics import ARCHIVE_FILES, ARCHIVE_ROWS

log = structlog.get_logger(__name__)
#: A day's folder with more small files than this gets one file in their place.
MAX_FILES = 16
SMALL_BYTES = 64 * 2**20
DAY_S = 86_400

Written = Callable[[], None]


class Archive:
    """Buffers rows of all streams and writes them every so many rows or seconds."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._root = settings.archive_dir
        self._flush_rows = settings.archive_flush_rows
        self._flush_s = settings.archive_flush_s
        self._clock = clock
        self._buffers: dict[str, list[pa.Table]] = {}
        self._written: list[Written] = []
        self._rows = 0
        self._oldest_s: float | None = None
        self._busy = asyncio.Lock()

    def append(self, stream: str, rows: pa.Table, written: Written) -> None:
        """Buffer rows; `written` is called when they, and all before them, are on disk."""
        if rows.num_rows:
            self._buffers.setdefault(stream, []).append(rows.cast(SCHEMAS[stream]))
            self._rows += rows.num_rows
            if self._oldest_s is None:
                self._oldest_s = self._clock()
        self._written.append(written)

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        waited = 0.0 if self._oldest_s is None else self._clock() - self._oldest_s
        return self._rows >= self._flush_rows or waited >= self._flush_s

    async def flush(self) -> None:
        """Write everything that is buffered, and tell those who wait for it.

        Raises:
            OSError: it cannot be written; then it is still buffered.
        """
        async with self._busy:
            buffers, written = self._buffers, self._written
            self._buffers, self._written, self._rows, self._oldest_s = {}, [], 0, None
            loop = asyncio.get_running_loop()
            try:
                for stream, tables in buffers.items():
                    await loop.run_in_executor(None, self._write, stream, pa.concat_tables(tables))
            except BaseException:
                self._put_back(buffers, written)
                raise
            for done in written:
                done()

    def _put_back(self, buffers: dict[str, list[pa.Table]], written: list[Written]) -> None:
        """After a failure nothing counts as written; what is on disk twice is read once."""
        for stream, tables in buffers.items():
            self._buffers[stream] = tables + self._buffers.get(stream, [])
            self._rows += sum(table.num_rows for table in tables)
        self._written = written + self._written
        self._oldest_s = self._clock()

    def _write(self, stream: str, rows: pa.Table) -> None:
        days = rows["time_s"].to_numpy() // DAY_S
        for day in np.unique(days).tolist():
            part = rows.filter(pa.array(days == day))
            folder = self._root / stream / f"day={_day_name(day)}"
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(part, folder)
            ARCHIVE_ROWS.labels(stream).inc(part.num_rows)
            ARCHIVE_FILES.labels(stream).inc()
            if len(_small_files(folder)) > MAX_FILES:
                merge_files(folder)


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
    pq.write_table(rows, temporary, compression="zstd")
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
        merged = pa.concat_tables([pq.ParquetFile(file).read() for file in files])
        write_whole(merged.sort_by([("partition", "ascending"), ("offset", "ascending")]), folder)
        for file in files:
            file.unlink()
    log.info("archive files merged", folder=folder.name, files=len(files), rows=merged.num_rows)
