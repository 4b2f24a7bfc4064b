"""Folds the archive into the states of this version, as `stream` workers would have.

Users: one partition's events in order of offset, a chunk at a time; states and offset of the
shard are committed in one step. Places: the events that count, of one source partition after the
other; each chunk moves the place shards' watermarks of that source partition. Broken off anywhere,
it goes on from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.ids import partition_of
from online_features.archive import ArrivalLog
from online_features.definitions import PLACE, USER
from online_features.duplicates import SEEN_DTYPE, mark_new
from online_features.feature_set import FeatureSet
from online_features.keys import Keys, ShardKind
from online_features.store import FENCED, OWNED, Commit, Ownership, Store

#: Events folded at once: a few thousand states, some MB of them, in one step of Redis.
CHUNK = 10_000
Report = Callable[[int], None]


class TakenOver(RuntimeError):
    """A worker took a shard while it was being filled."""


@dataclass
class Held:
    """A shard that we own, and where it stands."""

    kind: ShardKind
    partition: int
    epoch: int
    offset: int
    watermarks: dict[int, int]

    @classmethod
    def of(cls, kind: ShardKind, partition: int, held: Ownership) -> "Held":
        """A shard as it was acquired."""
        return cls(kind, partition, held.epoch, held.offset, dict(held.watermarks))


class Folder:
    """Folds into shards that are held. Raises `redis.RedisError` when Redis is away."""

    def __init__(self, store: Store, keys: Keys, report: Report = lambda events: None) -> None:
        self._store = store
        self._keys = keys
        self._report = report

    async def users(self, shard: Held, log: ArrivalLog, end: int) -> None:
        """Fold the events of the shard's partition before offset `end`.

        Raises:
            TakenOver: a worker took the shard.
        """
        first = int(np.searchsorted(log.offset, shard.offset))
        self._report(first)
        for start in range(first, len(log), CHUNK):
            part = log.take(slice(start, start + CHUNK))
            owners, rows = _first_of(part.user, part.user_id)
            keys = [self._keys.entity("i", user_id, shard.partition) for user_id in owners]
            states, _ = USER.unpack(await self._store.read(keys))
            new = mark_new(states["seen"], rows, part.event_hash)
            USER.fold(states, rows[new], part.take(new))
            writes = dict(zip(keys, USER.pack(states), strict=True))
            await self.commit([shard], [writes], USER, to=int(part.offset[-1]) + 1)
            self._report(len(part))
        if end > shard.offset:
            await self.commit([shard], [{}], USER, to=end)

    async def places(self, shards: Sequence[Held], source: int, log: ArrivalLog, end: int) -> None:
        """Fold the events of one source partition before offset `end` into all place shards.

        Raises:
            TakenOver: a worker took a shard.
        """
        counted = log.take(count_once(log))
        marks = np.array([shard.watermarks.get(source, -1) for shard in shards])
        owner = np.array([partition_of(p, len(shards)) for p in counted.place_id], np.int64)
        first = int(np.searchsorted(counted.offset, marks.min() + 1))
        for start in range(first, len(counted), CHUNK):
            chunk = slice(start, start + CHUNK)
            last = int(counted.offset[chunk][-1])
            due = counted.offset[chunk] > marks[owner[chunk]]
            part, its_owner = counted.take(chunk).take(due), owner[chunk][due]
            writes = await self._fold_places(part, its_owner, len(shards))
            await self.commit(shards, writes, PLACE, marks={source: last})
        self._report(len(log))
        await self.commit(shards, [{} for _ in shards], PLACE, marks={source: end - 1})

    async def _fold_places(
        self, part: ArrivalLog, owner: NDArray[np.int64], shards: int
    ) -> list[dict[str, bytes]]:
        owners, rows = _first_of(part.place, part.place_id)
        shard_of = np.zeros(len(owners), np.int64)
        shard_of[rows] = owner
        pairs = zip(owners, shard_of.tolist(), strict=True)
        keys = [self._keys.entity("b", place_id, shard) for place_id, shard in pairs]
        states, _ = PLACE.unpack(await self._store.read(keys))
        PLACE.fold(states, rows, part)
        writes: list[dict[str, bytes]] = [{} for _ in range(shards)]
        for shard, key, value in zip(shard_of.tolist(), keys, PLACE.pack(states), strict=True):
            writes[shard][key] = value
        return writes

    async def start_at(self, shards: Sequence[Held], offsets: Sequence[int]) -> None:
        """Let the stream begin to read what feeds the shards at some offsets, or where it stands.

        Raises:
            TakenOver: a worker took a shard.
        """
        for shard, offset in zip(shards, offsets, strict=True):
            await self.commit([shard], [{}], PLACE, to=max(offset, shard.offset))

    async def commit(
        self,
        shards: Sequence[Held],
        writes: Sequence[dict[str, bytes]],
        features: FeatureSet,
        *,
        to: int | None = None,
        marks: dict[int, int] | None = None,
    ) -> None:
        """Write states of some shards, and where they stand from then on.

        Args:
            shards: each as we know it.
            writes: of each, packed states by key.
            features: of the kind of the shards.
            to: next offset of their source; `None`: they stand where they stood.
            marks: watermarks of theirs, by source partition; none is lowered.

        Raises:
            TakenOver: a worker took a shard.
        """
        commits = [
            Commit(
                kind=shard.kind,
                partition=shard.partition,
                epoch=shard.epoch,
                from_offset=shard.offset,
                to_offset=shard.offset if to is None else to,
                writes=its_writes,
                ttl_s=features.ttl_s,
                watermarks=_raised(shard, marks or {}),
            )
            for shard, its_writes in zip(shards, writes, strict=True)
        ]
        outcomes = await self._store.commit(commits)
        for shard, commit, outcome in zip(shards, commits, outcomes, strict=True):
            if outcome.status != OWNED:
                how = "took" if outcome.status == FENCED else "moved"
                raise TakenOver(
                    f"a worker of this version {how} shard {shard.kind}{shard.partition} while it "
                    "was being filled: its states are not whole. Stop the workers of this version, "
                    "then `placestream rebuild --force`"
                )
            shard.offset = commit.to_offset
            shard.watermarks.update(commit.watermarks)


def count_once(log: ArrivalLog) -> NDArray[np.bool_]:
    """Which events of one partition count, the others being duplicates: as its user shard saw it.

    From the first event on, since the shard itself may be of a version that is not rebuilt.
    """
    users, rows = np.unique(log.user, return_inverse=True)
    return mark_new(np.zeros(len(users), SEEN_DTYPE), rows.astype(np.int64), log.event_hash)


def _first_of(
    hashes: NDArray[np.uint64], ids: NDArray[np.object_]
) -> tuple[list[str], NDArray[np.int64]]:
    """Ids of the distinct entities, and for each event the position of its entity among them."""
    _, first, rows = np.unique(hashes, return_index=True, return_inverse=True)
    return ids[first].tolist(), rows.astype(np.int64)


def _raised(shard: Held, marks: dict[int, int]) -> dict[int, int]:
    return {p: mark for p, mark in marks.items() if mark > shard.watermarks.get(p, -1)}
