"""Reading the archive: what was streamed, as columns, for training and for recomputation.

Layout: `<archive>/<stream>/day=YYYY-MM-DD/*.parquet`, by day of the event (UTC). A crash may
leave an event in two files, so readers keep one row for each partition and offset.

Readers pass over the rows that erased interactions have left (`online_features.erased_rows`), and
over those of whoever is on the list of the erased (`online_features.erased`).
"""

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import stamina
from numpy.typing import NDArray

from contracts.events import ContextUpdate, decode
from online_features.archive_schema import (
    CONTEXT,
    INTERACTION_SCHEMA,
    INTERACTIONS,
    PLACE_UPDATES,
    SCHEMAS,
)
from online_features.arrow_columns import hashes_of, numpy_of
from online_features.catalogue import Catalogue
from online_features.catalogue_history import catalogue_of
from online_features.columns import EventColumns
from online_features.context import ContextLog, ContextState
from online_features.erased import Erased
from online_features.erased_rows import NOBODY, WHOSE, erased_rows

#: Makes an array of a shape and a type, to be filled.
MakeArray = Callable[[tuple[int, ...], Any], NDArray[Any]]
#: What events are sorted by, the least weighty first.
_ORDER = ("offset", "partition", "time_s")


@dataclass(frozen=True)
class EventLog(EventColumns):
    """Interactions of the archive; columns of `EventColumns` and:

    Attributes:
        partition, offset: position in Kafka.
        user_id, place_id, request_id: object arrays of canonical strings (request_id may be None).
    """

    partition: NDArray[np.int32]
    offset: NDArray[np.int64]
    user_id: NDArray[np.object_]
    place_id: NDArray[np.object_]
    request_id: NDArray[np.object_]

    def in_arrival_order(self) -> "EventLog":
        """Sorted by partition and offset: the order in which the stream folded each user."""
        return self.take(np.lexsort((self.offset, self.partition)))


@dataclass(frozen=True)
class ArrivalLog(EventLog):
    """Interactions with the time at which Kafka received each: `received_s`, Unix seconds."""

    received_s: NDArray[np.float64]


def read_interactions(
    archive_dir: Path, since_s: float | None = None, until_s: float | None = None
) -> EventLog:
    """Interactions in order of event time (then partition and offset), each once.

    Read day by day: beside the log itself, memory is taken for one day and one column.

    Args:
        archive_dir: root of the archive.
        since_s, until_s: only events in `[since_s, until_s)`, Unix seconds.
    """
    columns = [name for name in INTERACTION_SCHEMA.names if name not in ("received_s", "raw")]
    return EventLog(**read_sorted(archive_dir, columns, since_s, until_s))


def read_sorted(
    archive_dir: Path,
    columns: list[str],
    since_s: float | None = None,
    until_s: float | None = None,
    *,
    hashed: Sequence[str] = (),
    array: MakeArray = np.empty,
) -> dict[str, NDArray[Any]]:
    """Some columns of the interactions, in the order of `read_interactions` and as it reads.

    Args:
        archive_dir: root of the archive.
        columns: which, at least one.
        since_s, until_s: only events in `[since_s, until_s)`, Unix seconds.
        hashed: those of `columns` that are ids, and of which the hashes are wanted; 0 for null.
        array: makes the columns that are returned.
    """
    same: dict[Any, Any] = {}
    held = _Rising(rows_written(archive_dir), array)
    wanted = list(dict.fromkeys([*columns, *_ORDER]))
    for day in _days(archive_dir / INTERACTIONS):
        table = read_columns(archive_dir, INTERACTIONS, wanted, since_s, until_s, day=day)
        found = {
            name: hashes_of(table[name]) if name in hashed else numpy_of(table[name], same)
            for name in wanted
        }
        del table
        order = np.lexsort([found[name] for name in _ORDER])
        held.append({name: found[name][order] for name in columns})
    pa.default_memory_pool().release_unused()
    return held.columns


class _Rising:
    """Columns that are written part after part, into memory that was laid out at once.

    Parts that are kept and joined at the end leave holes: half as much again as the columns take.

    Args:
        room: rows expected; more may come.
        array: makes the memory of a column.
    """

    def __init__(self, room: int, array: MakeArray) -> None:
        self._room, self._done, self._array = room, 0, array
        self._held: dict[str, NDArray[Any]] = {}

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """What was written."""
        return {name: values[: self._done] for name, values in self._held.items()}

    def append(self, part: dict[str, NDArray[Any]]) -> None:
        """Write some more rows."""
        end = self._done + len(next(iter(part.values())))
        grown = end > self._room  # a file came meanwhile
        self._room = max(self._room, end)
        for name, values in part.items():
            if name not in self._held or grown:
                wider = self._array((self._room,), values.dtype)
                if self._done:
                    wider[: self._done] = self._held[name][: self._done]
                self._held[name] = wider
            self._held[name][self._done : end] = values
        self._done = end


def rows_written(archive_dir: Path) -> int:
    """Interactions in all files, repeated and erased ones too."""
    data = open_stream(archive_dir, INTERACTIONS)
    return 0 if data is None else data.count_rows()


def _days(stream_dir: Path) -> Sequence[str | None]:
    """Names of the days of a stream, ascending; `None` alone if it has none."""
    names = sorted(folder.name.removeprefix("day=") for folder in stream_dir.glob("day=*"))
    return names or [None]


def read_arrivals(archive_dir: Path, partition: int | None = None) -> ArrivalLog:
    """Interactions by partition and offset, each once; of one partition or of all."""
    columns = [name for name in INTERACTION_SCHEMA.names if name != "raw"]
    only = None if partition is None else pc.field("partition") == partition
    table = read_columns(archive_dir, INTERACTIONS, columns, only=only)
    log = ArrivalLog(**{name: numpy_of(table[name]) for name in columns})
    return log.take(np.lexsort((log.offset, log.partition)))


def read_positions(archive_dir: Path) -> pa.Table:
    """Partition, offset and received_s of every archived interaction, each once; also of the
    erased."""
    columns = ["partition", "offset", "received_s"]
    return read_columns(archive_dir, INTERACTIONS, columns, erased_too=True)


def read_updates(archive_dir: Path, stream: str) -> list[tuple[int, int, float, str, bytes | None]]:
    """Rows of place updates or context as they arrived: by partition and offset.

    Returns:
        (partition, offset, received_s, key, the event's bytes or `None` for a tombstone).
    """
    columns = ["partition", "offset", "received_s", "key", "raw"]
    table = read_columns(archive_dir, stream, columns).sort_by(
        [("partition", "ascending"), ("offset", "ascending")]
    )
    return list(zip(*(table[name].to_pylist() for name in columns), strict=True))


def read_catalogue(archive_dir: Path) -> Catalogue:
    """The catalogue as all archived updates of places, in order, make it; it knows its past."""
    return catalogue_of(_rows(archive_dir, PLACE_UPDATES))


def read_context(archive_dir: Path) -> ContextLog:
    """The past of weather and traffic."""
    decoder = msgspec.json.Decoder(ContextUpdate)
    return ContextLog(
        [
            (key, ContextState.of(decode(decoder, raw)))
            for _, _, key, raw in _rows(archive_dir, CONTEXT)
            if raw is not None
        ]
    )


#: A worker may put one file in the place of several while we read: then we look again.
looking_again = stamina.retry(on=FileNotFoundError, attempts=5, wait_initial=0.05)


@looking_again
def read_columns(
    archive_dir: Path,
    stream: str,
    columns: list[str],
    since_s: float | None = None,
    until_s: float | None = None,
    only: pc.Expression | None = None,
    *,
    erased_too: bool = False,
    day: str | None = None,
) -> pa.Table:
    """Some columns of a stream, one row for each position in Kafka, in no order.

    Args:
        archive_dir: root of the archive.
        stream: a key of `SCHEMAS`.
        columns: partition and offset must be among them.
        since_s, until_s: only events in `[since_s, until_s)`, Unix seconds.
        only: a further condition.
        erased_too: whether the positions of what was erased are among them.
        day: only events of this day, as its folder is named.
    """
    data = open_stream(archive_dir, stream, day)
    if data is None:
        return SCHEMAS[stream].empty_table().select(columns)
    schema = SCHEMAS[stream]
    erased = Erased.read(archive_dir)
    personal = "user_id" in schema.names and not erased_too
    # What tells whether an event is erased.
    wanted_too = WHOSE if personal and erased else ()
    more = [name for name in wanted_too if name in schema.names and name not in columns]
    not_erased = pc.field("user") != NOBODY if personal and "user" in schema.names else None
    filters = (time_filter(since_s, until_s), only, not_erased)
    conditions = [c for c in filters if c is not None]
    wanted = functools.reduce(operator.and_, conditions) if conditions else None
    table = data.to_table(columns=[*columns, *more], filter=wanted)
    # One row for each position in Kafka.
    position = np.stack([numpy_of(table["partition"]), numpy_of(table["offset"])])
    _, first = np.unique(position, axis=1, return_index=True)
    table = table.take(pa.array(np.sort(first)))
    if personal and erased:
        table = table.filter(pa.array(~erased_rows(table, erased))).select(columns)
    return table


def open_stream(archive_dir: Path, stream: str, day: str | None = None) -> ds.Dataset | None:
    """All files of a stream, or of one day of it; `None` if nothing was ever written."""
    root = archive_dir / stream
    if not root.exists():
        return None
    by_day = pa.field("day", pa.string())
    return ds.dataset(
        str(root if day is None else root / f"day={day}"),
        schema=pa.schema([*SCHEMAS[stream], by_day]),
        partitioning=ds.partitioning(pa.schema([by_day]), flavor="hive"),
        partition_base_dir=str(root),
        exclude_invalid_files=False,
        format="parquet",
    )


def time_filter(since_s: float | None, until_s: float | None) -> pc.Expression | None:
    """Events in `[since_s, until_s)`, and only the folders of their days."""
    conditions = []
    if since_s is not None:
        conditions += [pc.field("time_s") >= since_s, pc.field("day") >= _day(since_s)]
    if until_s is not None:
        conditions += [pc.field("time_s") < until_s, pc.field("day") <= _day(until_s)]
    result = None
    for condition in conditions:
        result = condition if result is None else result & condition
    return result


def _day(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d")


def _rows(archive_dir: Path, stream: str) -> list[tuple[int, float, str, bytes | None]]:
    """(offset, received_s, key, raw) of a raw stream, in order of partition and offset."""
    return [row[1:] for row in read_updates(archive_dir, stream)]
