"""A source of events as the archive that `stream` would have written, without servers.

Stream by stream and some events at a time, so that a log of any length can be written.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

import pyarrow as pa

from contracts.events import encode
from contracts.ids import canonical_id
from online_features.archive_schema import CONTEXT, INTERACTIONS, PLACE_UPDATES, RAW_SCHEMA
from placestream.simulation.source import Event, Source
from streams.archive import by_day, write_whole
from streams.decode import decode_interactions

#: Events of a chunk: some 100 MB while they are decoded.
AT_ONCE = 100_000


@dataclass(frozen=True)
class Record:
    """A message as it would lie in Kafka, in the shape that the worker's own decoder takes."""

    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes


def write_archive(source: Source, archive_dir: Path) -> int:
    """Write everything that the source holds, and return the number of interactions.

    Each event was received at its own time.
    """
    count = 0
    for records in _chunks(source.interactions(), "user_id"):
        # One partition: then no event can be in another one than its user's.
        batch = decode_interactions(records, 1)
        assert not batch.bad
        _write(archive_dir / INTERACTIONS, batch.table())
        count += len(batch)
    for records in _chunks(source.place_updates(), "place_id"):
        _write(archive_dir / PLACE_UPDATES, _raw_table(records))
    for records in _chunks(source.context_updates(), None, source.region):
        _write(archive_dir / CONTEXT, _raw_table(records))
    return count


def _chunks(events: Iterable[Event], key: str | None, fixed: str = "") -> Iterator[list[Record]]:
    """Events as records of one partition; their key is a field of theirs, or fixed."""
    records = (
        Record(
            0,
            offset,
            int(datetime.fromisoformat(event["timestamp"]).timestamp() * 1000),
            (canonical_id(event[key]) if key else fixed).encode(),
            encode(event),
        )
        for offset, event in enumerate(events)
    )
    while chunk := list(islice(records, AT_ONCE)):
        yield chunk


def _raw_table(records: list[Record]) -> pa.Table:
    rows = [
        {
            "partition": record.partition,
            "offset": record.offset,
            "received_s": record.timestamp / 1000,
            "time_s": record.timestamp / 1000,
            "key": record.key.decode(),
            "raw": record.value,
        }
        for record in records
    ]
    return pa.Table.from_pylist(rows, RAW_SCHEMA)


def _write(stream_dir: Path, table: pa.Table) -> None:
    for part, folder in by_day(table, stream_dir):
        write_whole(part, folder)
