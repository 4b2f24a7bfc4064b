"""A source of events as the archive that `stream` would have written, without servers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.events import encode
from online_features.archive import CONTEXT, INTERACTIONS, PLACE_UPDATES, SCHEMAS
from placestream.simulation.source import Source, messages
from streams.decode import decode_interactions

STREAMS = {
    "interactions": INTERACTIONS,
    "place_updates": PLACE_UPDATES,
    "context": CONTEXT,
}


@dataclass(frozen=True)
class Record:
    """A message as it would lie in Kafka, in the shape that the worker's own decoder takes."""

    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes


def write_archive(source: Source, archive_dir: Path) -> int:
    """Write everything that the source holds, and return the number of interactions."""
    by_stream: dict[str, list[Record]] = {stream: [] for stream in STREAMS}
    for message in messages(source):
        records = by_stream[message.stream]
        at_ms = int(datetime.fromisoformat(message.event["timestamp"]).timestamp() * 1000)
        value = encode(message.event)
        records.append(Record(0, len(records), at_ms, message.key.encode(), value))
    # One partition: then no event can be in another one than its user's.
    batch = decode_interactions(by_stream["interactions"], 1)
    assert not batch.bad
    _write(archive_dir, INTERACTIONS, pa.table(batch.columns(), schema=SCHEMAS[INTERACTIONS]))
    for stream in ("place_updates", "context"):
        rows = list(_raw_rows(by_stream[stream]))
        _write(archive_dir, STREAMS[stream], pa.Table.from_pylist(rows, SCHEMAS[STREAMS[stream]]))
    return len(batch)


def _raw_rows(records: list[Record]) -> Iterator[dict[str, Any]]:
    for record in records:
        yield {
            "partition": record.partition,
            "offset": record.offset,
            "received_s": record.timestamp / 1000,
            "time_s": record.timestamp / 1000,
            "key": record.key.decode(),
            "raw": record.value,
        }


def _write(archive_dir: Path, stream: str, table: pa.Table) -> None:
    day = datetime.fromtimestamp(table["time_s"][0].as_py(), UTC).strftime("%Y-%m-%d")
    folder = archive_dir / stream / f"day={day}"
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "all.parquet")
