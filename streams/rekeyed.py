"""The message that carries counted interactions from the users' shards to a place's shard.

One message holds all that a micro-batch counted for one place partition, as columns: a message
an event would cost more to send, fetch and decode than the event's whole fold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.ids import partitions_of
from online_features.columns import EventColumns
from streams.decode import Interactions

#: Most events in one message: with ids of the greatest length it stays under half a megabyte.
MOST_ROWS = 2_000
#: One event: its position in the source topic, and what a place needs of it.
ROW = np.dtype(
    [
        ("source_partition", "<i4"),
        ("source_offset", "<i8"),
        ("user", "<u8"),
        ("place", "<u8"),
        ("kind", "i1"),
        ("time_s", "<f8"),
        ("rating", "<f4"),
        ("age_group", "i1"),
        ("dwell_s", "<f4"),
    ]
)
_EVENT_COLUMNS = ("user", "place", "kind", "time_s", "rating", "age_group", "dwell_s")


class _Message(msgspec.Struct, array_like=True, frozen=True):
    """As it lies in Kafka, packed with MessagePack: rows of `ROW`, and the place of each."""

    rows: bytes
    place_ids: list[str]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Message).decode


@dataclass(frozen=True)
class Rekeyed:
    """Counted interactions of places, in order of offset within each source partition.

    The place's shard remembers the highest `source_offset` per `source_partition`, so that an
    event which is sent again after a crash counts once.

    Attributes:
        rows: [n] of `ROW`.
        place_ids: [n] canonical ids.
    """

    rows: NDArray[np.void]
    place_ids: list[str]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, batch: Interactions, events: EventColumns, counted: NDArray[np.int64]) -> Self:
        """The interactions of a batch, with their columns, at some positions."""
        rows = np.empty(len(counted), ROW)
        rows["source_partition"] = np.asarray(batch.partition)[counted]
        rows["source_offset"] = np.asarray(batch.offset)[counted]
        for name in _EVENT_COLUMNS:
            rows[name] = getattr(events, name)[counted]
        return cls(rows, [batch.place_id[i] for i in counted.tolist()])

    def take(self, indices: NDArray[np.int64]) -> Self:
        """The same at some positions."""
        return type(self)(self.rows[indices], [self.place_ids[i] for i in indices.tolist()])

    def by_partition(self, partitions: int) -> Iterator[tuple[int, Self]]:
        """Yield the parts that belong to each place partition, none longer than `MOST_ROWS`."""
        owner = partitions_of(self.place_ids, partitions)
        for partition in np.unique(owner).tolist():
            mine = np.flatnonzero(owner == partition)
            for start in range(0, len(mine), MOST_ROWS):
                yield partition, self.take(mine[start : start + MOST_ROWS])

    def columns(self) -> EventColumns:
        """What folds work on; what a place does not need is unknown in it."""
        return EventColumns.of(**{name: self.rows[name] for name in _EVENT_COLUMNS})

    def encode(self) -> bytes:
        """One message."""
        return _encode(_Message(self.rows.tobytes(), self.place_ids))

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """Read a message.

        Raises:
            ValueError: it is none (`msgspec.ValidationError` is one).
        """
        read = _decode(message)
        rows = np.frombuffer(read.rows, ROW)
        if len(rows) != len(read.place_ids):
            raise ValueError(f"{len(rows)} rows, but {len(read.place_ids)} place ids")
        return cls(rows, read.place_ids)

    @classmethod
    def joined(cls, parts: "list[Rekeyed]") -> Self:
        """Several, one after the other."""
        rows = np.concatenate([part.rows for part in parts]) if parts else np.empty(0, ROW)
        return cls(rows, [place_id for part in parts for place_id in part.place_ids])
