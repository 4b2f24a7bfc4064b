"""Interactions: from a poll to user states, re-keyed records, dead letters and archive rows."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import structlog
from faust.types import TP

from contracts.events import BadEvent
from contracts.settings import Settings
from online_features.archive_schema import INTERACTIONS
from online_features.definitions import USER
from online_features.duplicates import mark_new
from online_features.erased import Erased, followed
from online_features.keys import Keys
from streams.archive import Archive
from streams.dead_letters import DeadLetters
from streams.decode import Interactions, Record, decode_interactions
from streams.emitter import Emitter
from streams.metrics import EVENT_AGE_SECONDS, EVENTS
from streams.rekeyed import Rekeyed
from streams.shards import RETRY_S, Shard, Shards, commit_of
from streams.taken import Taken, fresh_records, take
from streams.transport import Poll, PollConsumer

log = structlog.get_logger(__name__)


class InteractionSink:
    """Folds interactions into user states. One batch at a time.

    Order of one batch: what it sends (dead letters, re-keyed records) has arrived, then states
    and offset are committed in one step, then it is archived, then Kafka is told. A crash between
    any two of these repeats the batch from the same state, with the same result.
    """

    def __init__(
        self,
        settings: Settings,
        shards: Shards,
        emitter: Emitter,
        dead_letters: DeadLetters,
        archive: Archive,
        clock: Callable[[], float],
    ) -> None:
        self._topic = settings.topics.interactions.name
        self._by_place = settings.topics.by_place.name
        self._partitions = settings.partitions
        self._keys = Keys.of(settings)
        self._shards = shards
        self._emitter = emitter
        self._dead_letters = dead_letters
        self._archive = archive
        self._clock = clock
        self._erased = followed(settings.archive_dir)

    async def process(self, poll: Poll, consumer: PollConsumer) -> None:
        """Fold one poll; on return it is committed, or was refused and will be fetched again."""
        await self._archive.room()
        taken = take(poll, self._shards, consumer)
        self._archive_replayed(taken)
        batch = decode_interactions(fresh_records(taken), self._partitions)
        kept = self._not_erased(batch, await self._who_is_erased())
        writes = await self._fold(kept, [part.shard for part in taken if part.fresh], consumer)
        if writes is None:
            return
        self._send_bad(batch.bad)
        await self._emitter.arrived()
        prepared = []
        for part in taken:
            its_writes = writes.get(part.shard.tp.partition, {})
            commit = commit_of(part.shard, part.to_offset, its_writes, USER.ttl_s, {})
            if part.fresh:
                prepared.append((part.shard, commit))
        done = await self._shards.commit(prepared, consumer)
        done |= {part.shard.tp for part in taken if not part.fresh}
        now_s = self._clock()
        for received_s in batch.received_s[:: max(1, len(batch) // 64)]:
            EVENT_AGE_SECONDS.observe(max(now_s - received_s, 0.0))
        self._store_away(batch, done, {p.shard.tp: p.seen_to for p in taken}, consumer)

    async def _who_is_erased(self) -> Erased:
        """The list as it is now. Where it cannot be read, this waits: a batch that failed instead
        would soon be taken for poisonous, and its events put aside one by one."""
        while True:
            try:
                return self._erased()
            except OSError as error:
                log.error("list of the erased cannot be read, trying again", cause=str(error))
                await asyncio.sleep(RETRY_S)

    def _not_erased(self, batch: Interactions, erased: Erased) -> Interactions:
        """Leave out what people did who have been erased: it came late, or comes again."""
        if not erased or not len(batch):
            return batch
        earliest_s = np.minimum(batch.time_s, batch.received_s)
        gone = erased.events(np.array(batch.user, np.uint64), batch.user_id, earliest_s)
        EVENTS.labels(self._topic, "erased").inc(int(gone.sum()))
        return batch.take(~gone) if gone.any() else batch

    async def _fold(
        self, batch: Interactions, shards: list[Shard], consumer: PollConsumer
    ) -> dict[int, dict[str, bytes]] | None:
        """Fold into states and queue the re-keyed records; return packed states by partition.

        `None`: the stored states are not those of the shards' positions; nothing was sent.
        """
        if not len(batch):
            return {}
        events = batch.folded()
        _, first, rows = np.unique(events.user, return_index=True, return_inverse=True)
        owners = [(batch.partition[i], batch.user_id[i]) for i in first.tolist()]
        keys = [self._keys.entity("i", user_id, partition) for partition, user_id in owners]
        stored = await self._shards.read(keys, shards, consumer)
        if stored is None:
            return None
        states, _ = USER.unpack(stored)
        new = mark_new(states["seen"], rows, events.event_hash)
        late = USER.fold(states, rows[new], events.take(new))
        self._count(new, late)
        self._send_rekeyed(Rekeyed.of(batch, events, np.flatnonzero(new)))
        writes: dict[int, dict[str, bytes]] = {}
        for (partition, _), key, value in zip(owners, keys, USER.pack(states), strict=True):
            writes.setdefault(partition, {})[key] = value
        return writes

    def _send_rekeyed(self, counted: Rekeyed) -> None:
        for partition, part in counted.by_partition(self._partitions):
            self._emitter.send(self._by_place, None, part.encode(), partition=partition)

    def _send_bad(self, bad: list[tuple[Record, BadEvent]]) -> None:
        for record, cause in bad:
            self._dead_letters.send(record, cause)

    def _count(self, new: Any, late: int) -> None:
        EVENTS.labels(self._topic, "folded").inc(int(new.sum()))
        EVENTS.labels(self._topic, "duplicate").inc(int((~new).sum()))
        EVENTS.labels(self._topic, "late").inc(late)

    def _archive_replayed(self, taken: list[Taken]) -> None:
        """Archive what is in the store already: a crash may have come before its file."""
        records = [record for part in taken for record in part.replayed]
        if records:
            EVENTS.labels(self._topic, "replayed").inc(len(records))
            batch = decode_interactions(records, self._partitions)
            self._archive.append(INTERACTIONS, batch.table(), lambda: None)

    def _store_away(
        self,
        batch: Interactions,
        done: set[TP],
        positions: dict[TP, int],
        consumer: PollConsumer,
    ) -> None:
        table = batch.table()
        if len(done) < len(positions):
            partitions = np.array([tp.partition for tp in done])
            table = table.filter(pa.array(np.isin(batch.partition, partitions)))

        def written() -> None:
            for tp in done:
                consumer.mark_durable(tp, positions[tp])

        self._archive.append(INTERACTIONS, table, written)
