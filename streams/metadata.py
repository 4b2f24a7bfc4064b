"""Place updates and context: the newer wins, and whole places go to their compacted topic."""

from typing import Any

import msgspec
import pyarrow as pa
from faust.types import TP

from contracts.events import (
    MAX_PLACE_BYTES,
    BadEvent,
    ContextUpdate,
    checked_id,
    checked_time_s,
    decode,
)
from contracts.ids import partition_of
from contracts.settings import Settings
from online_features.archive_schema import CONTEXT, PLACE_UPDATES, RAW_SCHEMA
from online_features.context import ContextState
from online_features.keys import Keys, ShardKind
from online_features.places import document_of, merge, read_update
from online_features.store import Commit
from streams.archive import Archive
from streams.dead_letters import DeadLetters
from streams.decode import Record
from streams.emitter import Emitter
from streams.metrics import EVENTS
from streams.shards import Shards, commit_of, patiently
from streams.taken import Taken, take
from streams.transport import Poll, PollConsumer

_CONTEXT = msgspec.json.Decoder(ContextUpdate)
_STATE = msgspec.json.Decoder(ContextState)
Values = dict[str, bytes | None]


class MetadataSink:
    """Keeps one document for each key of a topic: the same steps for places and for context."""

    kind: ShardKind
    stream: str

    def __init__(
        self,
        settings: Settings,
        topic: str,
        shards: Shards,
        emitter: Emitter,
        dead_letters: DeadLetters,
        archive: Archive,
    ) -> None:
        self._topic = topic
        self._partitions = settings.partitions
        self._keys = Keys.of(settings)
        self._shards = shards
        self._emitter = emitter
        self._dead_letters = dead_letters
        self._archive = archive

    def read(self, record: Record, key: str) -> tuple[float, Any]:
        """Check one record; return its time, Unix seconds, and what it says.

        Raises:
            BadEvent: names the field.
        """
        raise BadEvent("", f"{type(self).__name__} takes no records")

    def change(self, value: bytes | None, key: str, time_s: float, said: Any, offset: int) -> Any:
        """The document of a key after a record; `None` for none.

        Raises:
            BadEvent: there can be no such document.
        """

    def publish(self, key: str, value: bytes | None) -> None:
        """Pass a committed document on."""

    async def process(self, poll: Poll, consumer: PollConsumer) -> None:
        """Apply one poll; on return it is committed, or was refused and will be fetched again.

        Documents are published after the commit, so that only the owner publishes. A crash in
        between leaves Kafka's offset behind the store's: the records come again as replayed, and
        the documents of their keys are published as they are stored.
        """
        await self._archive.room()
        taken = take(poll, self._shards, consumer)
        values = await self._stored(taken)
        rows: list[dict[str, Any]] = []
        touched = {part.shard.tp: self._apply(part, values, rows) for part in taken}
        await self._emitter.arrived()
        prepared = [
            (part.shard, self._commit(part, touched[part.shard.tp], values))
            for part in taken
            if part.fresh
        ]
        done = await self._shards.commit(prepared, consumer) if prepared else set()
        positions = {p.shard.tp: p.seen_to for p in taken if p.shard.tp in done or not p.fresh}
        for tp in positions:
            for key in touched[tp]:
                self.publish(key, values[key])
        await self._emitter.arrived()

        def written() -> None:
            for tp, position in positions.items():
                consumer.mark_durable(tp, position)

        rows = [row for row in rows if TP(self._topic, row["partition"]) in positions]
        self._archive.append(self.stream, pa.Table.from_pylist(rows, RAW_SCHEMA), written)

    async def _stored(self, taken: list[Taken]) -> Values:
        keyed = {
            record.key.decode(errors="replace"): part.shard.tp.partition
            for part in taken
            for record in (*part.replayed, *part.fresh)
            if record.key
            # A key in a foreign partition is bad, and must not be looked for there.
            and partition_of(record.key.decode(errors="replace"), self._partitions)
            == record.partition
        }
        keys = [self._keys.entity(self.kind, key, p) for key, p in keyed.items()]
        stored = await patiently(lambda: self._shards.store.read(keys))
        return dict(zip(keyed, stored, strict=True))

    def _apply(self, part: Taken, values: Values, rows: list[dict[str, Any]]) -> set[str]:
        """Apply fresh records to `values`, add all to `rows`; return the keys they speak of."""
        touched = set()
        for record in (*part.replayed, *part.fresh):
            fresh = record.offset >= part.shard.position
            try:
                key = self._key(record)
                time_s, said = self.read(record, key)
                if fresh:
                    values[key] = self.change(values[key], key, time_s, said, record.offset)
            except BadEvent as error:
                if fresh:
                    self._dead_letters.send(record, error)
                continue
            touched.add(key)
            rows.append(_row(record, key, time_s))
        EVENTS.labels(self._topic, "folded").inc(len(part.fresh))
        EVENTS.labels(self._topic, "replayed").inc(len(part.replayed))
        return touched

    def _commit(self, part: Taken, touched: set[str], values: Values) -> Commit:
        partition = part.shard.tp.partition
        writes = {self._keys.entity(self.kind, k, partition): values[k] or b"" for k in touched}
        return commit_of(part.shard, part.to_offset, writes, 0, {})

    def _key(self, record: Record) -> str:
        if not record.key:
            raise BadEvent("key", "the message has no key")
        try:
            key = checked_id("key", record.key.decode())
        except UnicodeDecodeError as error:
            raise BadEvent("key", "the message's key is not UTF-8") from error
        if partition_of(key, self._partitions) != record.partition:
            raise BadEvent("key", "sent to another partition than its own: use murmur2")
        return key


class PlaceUpdates(MetadataSink):
    """Merges partial updates; publishes each whole place, and a tombstone for a closed one."""

    kind: ShardKind = "d"
    stream = PLACE_UPDATES

    def __init__(self, settings: Settings, *args: object) -> None:
        super().__init__(settings, settings.topics.place_updates.name, *args)  # type: ignore[arg-type]
        self._places = settings.topics.places.name

    def read(self, record: Record, key: str) -> tuple[float, Any]:
        """The time and the fields of an update; `None` for a tombstone."""
        received_s = record.timestamp / 1_000
        if record.value is None:
            return received_s, None
        place_id, time_s, updates = read_update(record.value, received_s)
        if place_id != key:
            raise BadEvent("place_id", f"is {place_id!r}, but the message's key is {key!r}")
        return time_s, updates

    def change(self, value: bytes | None, key: str, time_s: float, said: Any, offset: int) -> Any:
        """Merge an update, unless it is older than what is known; a tombstone closes."""
        if said is None:
            return None
        merged = merge(value, key, time_s, said, offset)
        if merged is not None and len(merged) > MAX_PLACE_BYTES:
            reason = f"the whole place would be {len(merged)} bytes, over {MAX_PLACE_BYTES}"
            raise BadEvent("updates", reason)
        if merged is not None:
            document_of(merged)  # updates that are good each by itself may make too much together
        return value if merged is None else merged

    def publish(self, key: str, value: bytes | None) -> None:
        """Send the whole place, or its tombstone, to the compacted topic."""
        partition = partition_of(key, self._partitions)
        self._emitter.send(self._places, key.encode(), value, partition=partition)


class ContextUpdates(MetadataSink):
    """Keeps the newest weather and traffic of each region."""

    kind: ShardKind = "c"
    stream = CONTEXT

    def __init__(self, settings: Settings, *args: object) -> None:
        super().__init__(settings, settings.topics.context.name, *args)  # type: ignore[arg-type]

    def read(self, record: Record, key: str) -> tuple[float, Any]:
        """The time and the state that a measurement states."""
        update = decode(_CONTEXT, record.value)
        time_s = checked_time_s("timestamp", update.timestamp, record.timestamp / 1_000)
        return time_s, ContextState.of(update)

    def change(self, value: bytes | None, key: str, time_s: float, said: Any, offset: int) -> Any:
        """Take a measurement, unless a newer one is known."""
        newer_known = value is not None and _STATE.decode(value).timestamp_s > time_s
        return value if newer_known else msgspec.json.encode(said)


def _row(record: Record, key: str, time_s: float) -> dict[str, Any]:
    return {
        "partition": record.partition,
        "offset": record.offset,
        "received_s": record.timestamp / 1_000,
        "time_s": time_s,
        "key": key,
        "raw": record.value,
    }
