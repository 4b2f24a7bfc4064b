"""The shards that this worker owns: what it may write, and from where it must go on."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import structlog
from faust.types import TP
from redis import RedisError

from online_features.keys import ShardKind
from online_features.store import FENCED, OWNED, Commit, Store
from streams.metrics import CONFLICTS, MESSAGES, REDIS_AWAY

log = structlog.get_logger(__name__)
T = TypeVar("T")
RETRY_S = 0.5
#: Set while the stream waits for Redis.
redis_away = threading.Event()


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

    async def rewind(self, offsets: Mapping[TP, int]) -> None:
        """Fetch again from these offsets."""

    def durable(self, tp: TP) -> int:
        """Everything before this is in the archive."""


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

    def all(self) -> list[Shard]:
        """Every owned shard."""
        return list(self._owned.values())

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

    async def read(
        self, keys: Sequence[str], shards: Sequence[Shard], consumer: Rewinder
    ) -> list[bytes | None] | None:
        """States as they stand at the positions of their shards, or `None` if they stand elsewhere.

        The commit would refuse such a batch, but what is sent before it could not be taken back:
        from states of another offset other events would pass for duplicates, and the watermarks
        of those who read what was sent would run ahead of what was left out.
        """
        of = [(shard.kind, shard.tp.partition) for shard in shards]
        values, stored = await patiently(lambda: self.store.read_at(keys, of))
        moved = [s for s, offset in zip(shards, stored, strict=True) if offset != s.position]
        for shard in moved:
            await self._conflict(shard, False, consumer)
        return None if moved else values

    async def commit(self, prepared: Sequence[tuple[Shard, Commit]], consumer: Rewinder) -> set[TP]:
        """Commit each shard atomically; return the partitions whose states are now stored.

        Where Redis does not answer, it is asked until it does: a commit that did arrive is then
        seen by the offset it left, and is not written twice.
        """
        if not prepared:
            return set()
        done = set()
        commits = [commit for _, commit in prepared]
        outcomes = await patiently(lambda: self.store.commit(commits))
        for (shard, commit), outcome in zip(prepared, outcomes, strict=True):
            arrived_before = outcome.status != OWNED and outcome.value == commit.to_offset
            if outcome.status == OWNED or (outcome.status != FENCED and arrived_before):
                MESSAGES.labels(shard.tp.topic).inc(commit.to_offset - shard.position)
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
            await self.go_back(consumer)

    async def look_for_losses(self, consumer: Rewinder) -> None:
        """Go back if the store lost what it had; a partition where nothing comes notices here.

        Raises:
            RedisError, OSError: Redis does not answer.
        """
        before = {tp: (shard, shard.position) for tp, shard in self._owned.items()}
        stored = await self.store.offsets([(s.kind, tp.partition) for tp, (s, _) in before.items()])
        for offset, (tp, (shard, position)) in zip(stored, before.items(), strict=True):
            if offset < position and self._owned.get(tp) is shard:
                await self._conflict(shard, False, consumer)

    async def go_back(self, consumer: Rewinder) -> None:
        """Fetch again all that is not both stored and archived, by what this worker knows.

        Not from the stored offset alone: what another owner stored may not be archived yet.
        """
        owned = self._owned.items()
        await consumer.rewind({tp: min(s.position, consumer.durable(tp)) for tp, s in owned})


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until Redis answers; says in the log, and in a metric, that it waits."""
    while True:
        try:
            result = await attempt()
            redis_away.clear()
            REDIS_AWAY.set(0)
            return result
        except (RedisError, OSError) as error:
            redis_away.set()
            REDIS_AWAY.set(1)
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
