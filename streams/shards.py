"""The shards that this worker owns: what it may write, and from where it must go on."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import structlog
from faust.types import TP
from redis import RedisError

from online_features.keys import ShardKind
from online_features.store import FENCED, OWNED, Commit, Store
from streams.metrics import CONFLICTS

log = structlog.get_logger(__name__)
T = TypeVar("T")
RETRY_S = 0.5


@dataclass
class Shard:
    """One owned partition; replaced as a whole at every assignment.

    Attributes:
        tp: the source partition.
        kind: what its shard holds.
        epoch: this worker's fencing token.
        position: next offset to fold; what lies before it is in the store.
        watermarks: highest folded source offset per source partition (re-keyed streams).
    """

    tp: TP
    kind: ShardKind
    epoch: int
    position: int
    watermarks: dict[int, int]


class Rewinder(Protocol):
    """The part of the consumer that shards need."""

    async def rewind(self, tp: TP, offset: int) -> None:
        """Fetch again from an offset."""


class Shards:
    """Takes shards over, commits to them, and finds the way back after a conflict."""

    def __init__(self, store: Store, kinds: dict[str, ShardKind]) -> None:
        """`kinds` maps each source topic to the kind of shard that it feeds."""
        self.store = store
        self._kinds = kinds
        self._owned: dict[TP, Shard] = {}

    def get(self, topic: str, partition: int) -> Shard | None:
        """The shard of a partition, if this worker owns it."""
        return self._owned.get(TP(topic, partition))

    def offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Where the stored state of some partitions stands."""
        return {tp: self._owned[tp].position for tp in tps if tp in self._owned}

    async def assigned(self, tps: Iterable[TP]) -> None:
        """Own these partitions and no others."""
        wanted = {TP(tp.topic, tp.partition) for tp in tps if tp.topic in self._kinds}
        self._owned = {}
        for tp in sorted(wanted):
            self._owned[tp] = await self._acquire(tp)
        log.info("shards acquired", shards=len(wanted))

    def revoked(self, tps: Iterable[TP]) -> None:
        """Give partitions up; what is under way for them will be refused or is done."""
        for tp in tps:
            self._owned.pop(TP(tp.topic, tp.partition), None)

    async def _acquire(self, tp: TP) -> Shard:
        kind = self._kinds[tp.topic]
        held = await patiently(lambda: self.store.acquire(kind, tp.partition))
        return Shard(tp, kind, held.epoch, held.offset, held.watermarks)

    async def commit(self, prepared: Sequence[tuple[Shard, Commit]], consumer: Rewinder) -> set[TP]:
        """Commit each shard atomically; return the partitions whose states are now stored.

        Where Redis does not answer, it is asked until it does: a commit that did arrive is then
        seen by the offset it left, and is not written twice.
        """
        done = set()
        commits = [commit for _, commit in prepared]
        outcomes = await patiently(lambda: self.store.commit(commits))
        for (shard, commit), outcome in zip(prepared, outcomes, strict=True):
            arrived_before = outcome.status != OWNED and outcome.value == commit.to_offset
            if outcome.status == OWNED or (outcome.status != FENCED and arrived_before):
                shard.position = commit.to_offset
                shard.watermarks.update(commit.watermarks)
                done.add(shard.tp)
            else:
                await self._conflict(shard, outcome.status == FENCED, consumer)
        return done

    async def _conflict(self, shard: Shard, fenced: bool, consumer: Rewinder) -> None:
        CONFLICTS.labels("fenced" if fenced else "moved").inc()
        if self._owned.get(shard.tp) is not shard:
            log.info("batch of a lost partition dropped", partition=str(shard.tp))
            return
        # Still assigned: the store went back (it lost writes), or another worker that has not
        # heard of its loss took the shard. The stored offset decides where to go on.
        log.warning("commit refused, going on from the store", partition=str(shard.tp))
        fresh = await self._acquire(shard.tp)
        if self._owned.get(shard.tp) is shard:
            self._owned[shard.tp] = fresh
            await consumer.rewind(shard.tp, fresh.position)


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until Redis answers; says in the log that it waits."""
    while True:
        try:
            return await attempt()
        except (RedisError, OSError) as error:
            log.warning("waiting for Redis", cause=f"{type(error).__name__}: {error}")
            await asyncio.sleep(RETRY_S)


def commit_of(
    shard: Shard, to_offset: int, writes: dict[str, bytes], ttl_s: int, marks: dict[int, int]
) -> Commit:
    """The commit that moves a shard from where it stands to `to_offset`."""
    return Commit(
        kind=shard.kind,
        partition=shard.tp.partition,
        epoch=shard.epoch,
        from_offset=shard.position,
        to_offset=to_offset,
        writes=writes,
        ttl_s=ttl_s,
        watermarks=marks,
    )
