"""Rows of interactions as Spark moves them, and as the folds take them.

Spark has no unsigned integers: hashes travel as signed ones of the same bits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from online_features.archive_schema import INTERACTION_SCHEMA
from online_features.columns import EventColumns
from online_features.erased import Erased
from online_features.erased_rows import erased_rows
from placestream.backfill.engine import BATCH_ROWS

FOLDED = tuple(field.name for field in fields(EventColumns))
COLUMNS = (*FOLDED, "partition", "offset", "user_id", "place_id")
_HASHES = frozenset({"user", "place", "event_hash"})
_SPARK = {
    "uint64": "long",
    "int64": "long",
    "int32": "int",
    "int8": "byte",
    "float": "float",
    "double": "double",
    "string": "string",
}


def schema_of(columns: Sequence[str]) -> str:
    """Of Spark, for some columns of interactions."""
    types = {name: _SPARK[str(INTERACTION_SCHEMA.field(name).type)] for name in columns}
    return ", ".join(f"`{name}` {kind}" for name, kind in types.items())


#: Of Spark, for `COLUMNS`.
SCHEMA = schema_of(COLUMNS)
Batches = Iterator[pa.RecordBatch]


def events_of(rows: pa.RecordBatch) -> EventColumns:
    """What folds need, with no copy."""
    columns = {name: numbers(rows, name) for name in FOLDED}
    return EventColumns(**{n: v.view("u8") if n in _HASHES else v for n, v in columns.items()})


def numbers(rows: pa.RecordBatch, name: str) -> NDArray[Any]:
    """A column of numbers."""
    found: NDArray[Any] = rows.column(name).to_numpy(zero_copy_only=False)
    return found


def ids(rows: pa.RecordBatch, entity: str) -> NDArray[np.object_]:
    """Ids of the entities of the rows."""
    found: NDArray[np.object_] = rows.column(f"{entity}_id").to_numpy(zero_copy_only=False)
    return found


def position(rows: pa.RecordBatch) -> NDArray[np.int64]:
    """Partition and offset, int64[2, n]."""
    both = [numbers(rows, name).astype(np.int64) for name in ("partition", "offset")]
    return np.stack(both)


@dataclass(frozen=True)
class ReadFiles:
    """Reads files of the archive, named by the rows that come, some rows at a time.

    Attributes:
        erased: whose events are passed over.
        ends: of each partition, events from this offset on are passed over; `None`: none is.
    """

    erased: Erased
    ends: tuple[int, ...] | None = None

    def __call__(self, batches: Batches) -> Batches:
        """Yield rows of `COLUMNS`."""
        for batch in batches:
            for path in batch.column("path").to_pylist():
                with pq.ParquetFile(path) as file:
                    wanted = [*COLUMNS, "received_s"]
                    for rows in file.iter_batches(BATCH_ROWS, columns=wanted):
                        yield self._signed(rows.filter(pa.array(self._counts(rows))))

    def _counts(self, rows: pa.RecordBatch) -> NDArray[np.bool_]:
        counts: NDArray[np.bool_] = numbers(rows, "user") != 0  # of the erased the place is kept
        if self.erased:
            counts &= ~erased_rows(pa.Table.from_batches([rows]), self.erased)
        if self.ends is not None:
            partition, offset = position(rows)
            known = partition < len(self.ends)
            counts &= known & (offset < np.array([*self.ends, 0])[np.where(known, partition, -1)])
        return counts

    @staticmethod
    def _signed(rows: pa.RecordBatch) -> pa.RecordBatch:
        columns = [
            pa.array(numbers(rows, name).view(np.int64)) if name in _HASHES else rows.column(name)
            for name in COLUMNS
        ]
        return pa.RecordBatch.from_arrays(columns, list(COLUMNS))
