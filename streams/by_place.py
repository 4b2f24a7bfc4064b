"""Re-keyed interactions: from a poll to place states."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from contracts.events import BadEvent
from contracts.settings import Settings
from online_features.definitions import PLACE
from online_features.keys import Keys
from streams.dead_letters import DeadLetters
from streams.decode import Record
from streams.emitter import Emitter
from streams.metrics import EVENTS
from streams.rekeyed import Rekeyed
from streams.shards import Shard, Shards, commit_of, patiently
from streams.taken import Taken, take
from streams.transport import Poll, PollConsumer

log = structlog.get_logger(__name__)
#: Messages of so many bytes are folded at once: some 10,000 events, whose states fit in memory.
FOLDED_BYTES = 2**19
Writes = dict[int, dict[str, bytes]]


@dataclass(frozen=True)
class _Share:
    """What one shard is to fold: the events that it has not seen, and its new watermarks."""

    shard: Shard
    events: Rekeyed
    marks: dict[int, int]
    to_offset: int


class PlaceSink:
    """Folds re-keyed interactions into place states, each source offset once."""

    def __init__(
        self, settings: Settings, shards: Shards, emitter: Emitter, dead_letters: DeadLetters
    ) -> None:
        self._topic = settings.topics.by_place.name
        self._keys = Keys.of(settings)
        self._shards = shards
        self._emitter = emitter
        self._dead_letters = dead_letters

    async def process(self, poll: Poll, consumer: PollConsumer) -> None:
        """Fold one poll; on return it is committed, or was refused and will be fetched again."""
        for portion in poll.portions(FOLDED_BYTES):
            taken = [part for part in take(portion, self._shards, consumer) if part.fresh]
            if taken:
                await self._process(taken, consumer)

    async def _process(self, taken: list[Taken], consumer: PollConsumer) -> None:
        shares = [self._share(part) for part in taken]
        try:
            writes = await self._fold(shares)
        except Exception:
            if len(taken) > 1 or len(taken[0].fresh) > 1:
                raise  # comes again message by message
            writes = await self._fold_what_can_be(shares[0], taken[0].fresh[0])
        prepared = [
            (
                share.shard,
                commit_of(
                    share.shard,
                    share.to_offset,
                    writes.get(share.shard.tp.partition, {}),
                    PLACE.ttl_s,
                    share.marks,
                ),
            )
            for share in shares
        ]
        await self._shards.commit(prepared, consumer)
        for share in shares:
            consumer.mark_durable(share.shard.tp, share.shard.position)

    def _share(self, part: Taken) -> _Share:
        arrived = Rekeyed.joined([Rekeyed.decode(record.value) for record in part.fresh])
        new, marks = unseen(arrived.rows, part.shard.watermarks)
        EVENTS.labels(self._topic, "folded").inc(int(new.sum()))
        EVENTS.labels(self._topic, "replayed").inc(int((~new).sum()))
        return _Share(part.shard, arrived.take(np.flatnonzero(new)), marks, part.to_offset)

    async def _fold(self, shares: Sequence[_Share]) -> Writes:
        """Fold into states; return them packed, by partition and key."""
        events = Rekeyed.joined([share.events for share in shares])
        if not len(events):
            return {}
        columns = events.columns()
        _, first, rows = np.unique(columns.place, return_index=True, return_inverse=True)
        partitions = np.repeat(
            [share.shard.tp.partition for share in shares], [len(share.events) for share in shares]
        )
        owners = partitions[first].tolist()
        keys = [
            self._keys.entity("b", events.place_ids[i], partition)
            for i, partition in zip(first.tolist(), owners, strict=True)
        ]
        states, _ = PLACE.unpack(await patiently(lambda: self._shards.store.read(keys)))
        PLACE.fold(states, rows, columns)
        writes: Writes = {}
        for partition, key, value in zip(owners, keys, PLACE.pack(states), strict=True):
            writes.setdefault(partition, {})[key] = value
        return writes

    async def _fold_what_can_be(self, share: _Share, record: Record) -> Writes:
        """Fold a message place by place; what fails goes to the dead letters, and only that."""
        written: dict[str, bytes] = {}
        for place in np.unique(share.events.rows["place"]):
            its_own = share.events.take(np.flatnonzero(share.events.rows["place"] == place))
            try:
                writes = await self._fold([dataclasses.replace(share, events=its_own)])
                written |= writes[share.shard.tp.partition]
            except Exception as error:
                reason = f"cannot be processed: {type(error).__name__}: {error}"
                letter = dataclasses.replace(record, value=its_own.encode())
                self._dead_letters.send(letter, BadEvent("place_id", reason))
                log.error("place set aside", position=str(share.shard.tp), cause=str(error))
        await self._emitter.arrived()
        return {share.shard.tp.partition: written}


def unseen(
    rows: NDArray[np.void], watermarks: dict[int, int]
) -> tuple[NDArray[np.bool_], dict[int, int]]:
    """Tell which events lie above their source's watermark, and the marks that they move.

    Events of one source partition come in order, but for whole stretches that are sent again
    after a crash; those lie at or below the watermark.

    Args:
        rows: [n] of `streams.rekeyed.ROW`, in order of arrival.
        watermarks: highest folded source offset per source partition.

    Returns:
        bool[n], and the new watermark of each source partition of which there was news.
    """
    new = np.zeros(len(rows), bool)
    marks: dict[int, int] = {}
    for source in np.unique(rows["source_partition"]).tolist():
        mine = np.flatnonzero(rows["source_partition"] == source)
        offset = rows["source_offset"][mine]
        before = watermarks.get(source, -1)
        new[mine] = offset > np.maximum.accumulate(np.r_[before, offset[:-1]])
        if offset.max() > before:
            marks[source] = int(offset.max())
    return new, marks
