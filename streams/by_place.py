"""Re-keyed interactions: from a poll to place states."""

from collections.abc import Sequence

import numpy as np

from contracts.settings import Settings
from online_features.columns import EventColumns
from online_features.definitions import PLACE
from online_features.keys import Keys
from streams.metrics import EVENTS
from streams.rekeyed import Rekeyed, decode_rekeyed
from streams.shards import Shards, commit_of, patiently
from streams.taken import Taken, take
from streams.transport import Poll, PollConsumer


class PlaceSink:
    """Folds re-keyed interactions into place states, each source offset once."""

    def __init__(self, settings: Settings, shards: Shards) -> None:
        self._topic = settings.topics.by_place.name
        self._keys = Keys.of(settings)
        self._shards = shards

    async def process(self, poll: Poll, consumer: PollConsumer) -> None:
        """Fold one poll; on return it is committed, or was refused and will be fetched again."""
        taken = [part for part in take(poll, self._shards, consumer) if part.fresh]
        counted: list[tuple[int, Rekeyed]] = []
        marks = []
        for part in taken:
            new, its_marks = self._unseen(part)
            counted += [(part.shard.tp.partition, record) for record in new]
            marks.append(its_marks)
        writes = await self._fold(counted) if counted else {}
        prepared = [
            (
                part.shard,
                commit_of(
                    part.shard,
                    part.to_offset,
                    writes.get(part.shard.tp.partition, {}),
                    PLACE.ttl_s,
                    its_marks,
                ),
            )
            for part, its_marks in zip(taken, marks, strict=True)
        ]
        if prepared:
            await self._shards.commit(prepared, consumer)
        for part in taken:
            consumer.mark_durable(part.shard.tp, part.shard.position)

    def _unseen(self, part: Taken) -> tuple[list[Rekeyed], dict[int, int]]:
        """Records above their source's watermark, and the new watermarks.

        Records of one source partition come in order, but for whole stretches that are sent
        again after a crash; those lie at or below the watermark.
        """
        marks: dict[int, int] = {}
        new = []
        for raw in part.fresh:
            record = decode_rekeyed(raw.value)
            source = record.source_partition
            seen = marks.get(source, part.shard.watermarks.get(source, -1))
            if record.source_offset > seen:
                marks[source] = record.source_offset
                new.append(record)
        EVENTS.labels(self._topic, "folded").inc(len(new))
        EVENTS.labels(self._topic, "replayed").inc(len(part.fresh) - len(new))
        return new, marks

    async def _fold(self, counted: Sequence[tuple[int, Rekeyed]]) -> dict[int, dict[str, bytes]]:
        records = [record for _, record in counted]
        events = columns_of(records)
        _, first, rows = np.unique(events.place, return_index=True, return_inverse=True)
        owners = [(counted[i][0], records[i].place_id) for i in first.tolist()]
        keys = [self._keys.entity("b", place_id, partition) for partition, place_id in owners]
        states, _ = PLACE.unpack(await patiently(lambda: self._shards.store.read(keys)))
        PLACE.fold(states, rows, events)
        writes: dict[int, dict[str, bytes]] = {}
        for (partition, _), key, value in zip(owners, keys, PLACE.pack(states), strict=True):
            writes.setdefault(partition, {})[key] = value
        return writes


def columns_of(records: Sequence[Rekeyed]) -> EventColumns:
    """Re-keyed records as columns; what a place does not need is unknown in them."""
    return EventColumns.of(
        user=[r.user for r in records],
        place=[r.place for r in records],
        kind=[r.kind for r in records],
        time_s=[r.time_s for r in records],
        rating=[r.rating for r in records],
        age_group=[r.age_group for r in records],
        dwell_s=[r.dwell_s for r in records],
    )
