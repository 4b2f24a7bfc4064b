"""Served answers: from a poll to rows of the archive, from which models are trained (DESIGN D7)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from faust.types import TP
from numpy.typing import NDArray

from contracts.events import (
    BadEvent,
    Impression,
    Location,
    ServedPlace,
    checked_id,
    checked_time_s,
    decode,
)
from contracts.settings import Settings
from online_features.archive_schema import IMPRESSION_SCHEMA, IMPRESSIONS
from streams.archive import Archive
from streams.dead_letters import DeadLetters
from streams.decode import Record
from streams.emitter import Emitter
from streams.metrics import EVENTS
from streams.shards import Shards, commit_of
from streams.taken import Taken, fresh_records, take
from streams.transport import Poll, PollConsumer

#: Messages of so many bytes are decoded at once: some 40 answers, a few milliseconds in which no
#: interaction is folded. Between two such portions the others have their turn.
DECODED_BYTES = 2**19
_DECODER = msgspec.json.Decoder(Impression)
#: A field whose name and colon our own encoder did not write: `_unknown` would overlook it.
_SPACED = re.compile(rb'"\s+:')
_KNOWN = frozenset(
    name.encode()
    for struct in (Impression, Location, ServedPlace)
    for name in struct.__struct_fields__
)


class ImpressionSink:
    """Archives served answers; of their shard nothing is kept but how far it has come.

    Once in the archive for each position in Kafka, like all streams: a crash before the file is
    written repeats a portion, and readers keep one row of each position.
    """

    def __init__(
        self,
        settings: Settings,
        shards: Shards,
        emitter: Emitter,
        dead_letters: DeadLetters,
        archive: Archive,
    ) -> None:
        self._topic = settings.topics.impressions.name
        self._shards = shards
        self._emitter = emitter
        self._dead_letters = dead_letters
        self._archive = archive

    async def process(self, poll: Poll, consumer: PollConsumer) -> None:
        """Archive one poll; on return it is committed, or was refused and will be fetched again."""
        for portion in poll.portions(DECODED_BYTES):
            await self._archive.room()
            taken = take(portion, self._shards, consumer)
            if taken:
                await self._process(taken, consumer)

    async def _process(self, taken: list[Taken], consumer: PollConsumer) -> None:
        replayed = decode_impressions(record for part in taken for record in part.replayed)
        fresh = decode_impressions(fresh_records(taken))
        for record, cause in fresh.bad:
            self._dead_letters.send(record, cause)
        await self._emitter.arrived()
        prepared = [
            (part.shard, commit_of(part.shard, part.to_offset, {}, 0, {}))
            for part in taken
            if part.fresh
        ]
        done = await self._shards.commit(prepared, consumer)
        EVENTS.labels(self._topic, "folded").inc(len(fresh.events))
        EVENTS.labels(self._topic, "replayed").inc(len(replayed.events))
        positions = {p.shard.tp: p.seen_to for p in taken if p.shard.tp in done or not p.fresh}

        def written() -> None:
            for tp, position in positions.items():
                consumer.mark_durable(tp, position)

        both = Served(replayed.records + fresh.records, replayed.events + fresh.events)
        mine = [TP(self._topic, record.partition) in positions for record in both.records]
        self._archive.append(IMPRESSIONS, both.table().filter(pa.array(mine, pa.bool_())), written)


@dataclass
class Served:
    """Good answers of a portion beside the records that they came in, and bad records."""

    records: list[Record] = field(default_factory=list)
    events: list[Impression] = field(default_factory=list)
    bad: list[tuple[Record, BadEvent]] = field(default_factory=list)

    def table(self) -> pa.Table:
        """The good ones as rows of the archive."""
        records, events = self.records, self.events
        columns: dict[str, Any] = {
            "partition": [r.partition for r in records],
            "offset": [r.offset for r in records],
            "received_s": [r.timestamp / 1_000 for r in records],
            "time_s": [e.timestamp.timestamp() for e in events],
            "request_id": [e.request_id for e in events],
            "user_id": [e.user_id for e in events],
            "lat": [e.location.lat for e in events],
            "lng": [e.location.lng for e in events],
            "variant": [e.variant for e in events],
            "degradation": [e.degradation for e in events],
            "models": [list(e.models.items()) for e in events],
            "feature_set": [e.feature_set for e in events],
            "place_ids": [[p.place_id for p in e.places] for e in events],
            "positions": [[p.position for p in e.places] for e in events],
            "scores": [[p.score for p in e.places] for e in events],
            "probabilities": [[p.probability for p in e.places] for e in events],
            "propensities": [[p.propensity for p in e.places] for e in events],
            "features": _nested(events, [p.values for e in events for p in e.places]),
            "raw": [_unknown(r.value, e) for r, e in zip(records, events, strict=True)],
            "parts": _nested(events, [p.told for e in events for p in e.places]),
        }
        return pa.table(columns, schema=IMPRESSION_SCHEMA)


def decode_impressions(records: Iterable[Record]) -> Served:
    """Decode and check served answers."""
    served = Served()
    for record in records:
        try:
            event = decode(_DECODER, record.value)
            _check(event, record.timestamp / 1_000)
        except BadEvent as error:
            served.bad.append((record, error))
        else:
            served.records.append(record)
            served.events.append(event)
    return served


def _check(event: Impression, received_s: float) -> None:
    checked_time_s("timestamp", event.timestamp, received_s)
    checked_id("user_id", event.user_id)
    if not event.request_id:
        raise BadEvent("request_id", "must not be empty")
    for i, place in enumerate(event.places):
        checked_id(f"places[{i}].place_id", place.place_id)
    for what in ("values", "told"):
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            rows = [getattr(place, what) for place in event.places]
        if len({len(row) for row in rows} - {0}) > 1:
            raise BadEvent("places", "features, or parts, of different lengths in one answer")
        if rows and not np.isfinite(np.concatenate(rows)).all():
            raise BadEvent("places", "a feature, or part, is no finite number of single precision")


def _nested(events: list[Impression], rows: list[NDArray[np.float32]]) -> pa.Array:
    """Rows of all places as nested lists; built flat: value by value takes much longer."""
    flat = np.concatenate(rows, dtype=np.float32) if rows else np.zeros(0, np.float32)
    by_place = pa.ListArray.from_arrays(_ends([len(row) for row in rows]), flat)
    return pa.ListArray.from_arrays(_ends([len(e.places) for e in events]), by_place)


def _ends(counts: list[int]) -> pa.Array:
    return pa.array(np.r_[0, np.cumsum(counts, dtype=np.int64)].astype(np.int32))


def _unknown(value: bytes, event: Impression) -> bytes | None:
    """The event's bytes if they have fields that this code does not know: those survive so.

    A name is what lies between a quote and `":`. Text that looks like a name keeps the bytes, too.
    """
    names = {part.rpartition(b'"')[2] for part in value.split(b'":')[:-1]} - _KNOWN
    odd = names - {name.encode() for name in event.models} or _SPACED.search(value)
    return value if odd else None
