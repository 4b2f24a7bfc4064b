"""States of the whole archive into Redis, by Spark, where the stream then goes on.

As `placestream rebuild` does, and by its plan, its ownership of shards and its atomic commits: a
worker that holds a shard is fresher than any archive, and is left alone. Tasks write the states
of entities as they end, under the shard's epoch; when all are there, the driver moves the shards
to the offsets and watermarks at which the archive ends. Broken off, all is written again: a state
is whole, whoever writes it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from rich.console import Console

from contracts.ids import partitions_of
from contracts.settings import Settings
from online_features.definitions import PLACE, USER
from online_features.feature_set import FeatureSet
from online_features.grouped import Snapshots
from online_features.keys import Keys, ShardKind
from online_features.redis_client import client_of
from online_features.store import Store
from placestream.backfill.engine import session
from placestream.backfill.rows import Batches
from placestream.backfill.steps import BY_ARRIVAL, Fold, Log, mapped, read_log
from placestream.rebuild import run as rebuild
from placestream.rebuild.fold import Folder, Held, TakenOver
from placestream.rebuild.plan import Plan, Refused

FEATURES: dict[ShardKind, FeatureSet] = {"i": USER, "b": PLACE}


def load(settings: Settings, console: Console, *, with_gaps: bool = False) -> None:
    """Fill Redis, and say what was done.

    Raises:
        Refused, TakenOver, KafkaSilent: as `placestream rebuild`.
        NoSpark: it is not installed.
    """
    rebuild.run(settings, console, with_gaps=with_gaps, engine=_by_spark)


async def _by_spark(
    folder: Folder, settings: Settings, plan: Plan, held: dict[ShardKind, list[Held]]
) -> None:
    _refuse_fresher(plan, held)
    if held:
        await asyncio.to_thread(_write_states, settings, plan, held)
    for shard, part in zip(held.get("i", ()), plan.parts, strict=False):
        await folder.commit([shard], [{}], USER, to=part.end)
    if "b" in held:
        places = held["b"]
        for source, part in enumerate(plan.parts):
            await folder.commit(places, [{} for _ in places], PLACE, marks={source: part.end - 1})
        await folder.start_at(places, plan.place_offsets)


def _refuse_fresher(plan: Plan, held: dict[ShardKind, list[Held]]) -> None:
    """A rebuild of a longer archive may have left states that this one would set back."""
    ends = [part.end for part in plan.parts]
    ahead = any(shard.offset > end for shard, end in zip(held.get("i", ()), ends, strict=False))
    marks = (shard.watermarks for shard in held.get("b", ()))
    if ahead or any(mark >= ends[p] for its in marks for p, mark in its.items()):
        raise Refused("Redis holds the states of events that this archive does not have")


def _write_states(settings: Settings, plan: Plan, held: dict[ShardKind, list[Held]]) -> None:
    ends = tuple(part.end for part in plan.parts)
    with session(settings) as spark:
        log = read_log(spark, settings.archive_dir, BY_ARRIVAL, ends)
        for kind, shards in held.items():
            _write_kind(log, LoadStates(settings, kind, tuple(shards)))


def _write_kind(log: Log, task: "LoadStates") -> int:
    from pyspark.errors import PySparkException

    try:
        written = mapped(log.by_entity(FEATURES[task.kind]), task, "written long").collect()
    except PySparkException as error:
        if TakenOver.__name__ in str(error):
            raise TakenOver(_last_line(str(error))) from error
        raise RuntimeError(f"Spark failed: {_last_line(str(error))}") from error
    return sum(row.written for row in written)


def _last_line(trace: str) -> str:
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"


@dataclass(frozen=True)
class LoadStates:
    """Writes the final states of rows by entity into Redis.

    Attributes:
        settings: where Redis is.
        kind: of the entities.
        shards: as the driver holds them.
    """

    settings: Settings
    kind: ShardKind
    shards: tuple[Held, ...]

    def __call__(self, batches: Batches) -> Batches:
        """Yield how many states were written."""
        written = 0
        with asyncio.Runner() as runner:
            keys = Keys.of(self.settings)
            redis = client_of(self.settings, socket_timeout=60)
            folder = Folder(Store(redis, keys), keys)
            try:
                for found in Fold(FEATURES[self.kind], None)(batches):
                    if len(found):
                        runner.run(self._write(folder, keys, found))
                        written += len(found)
            finally:
                runner.run(redis.aclose())
        yield pa.RecordBatch.from_arrays([pa.array([written])], ["written"])

    async def _write(self, folder: Folder, keys: Keys, found: Snapshots) -> None:
        features = FEATURES[self.kind]
        named: Sequence[str] = found.ids.tolist()
        shard_of = partitions_of(named, len(self.shards)).tolist()
        writes: list[dict[str, bytes]] = [{} for _ in self.shards]
        for entity_id, shard, value in zip(
            named, shard_of, features.pack(found.states), strict=True
        ):
            writes[shard][keys.entity(self.kind, entity_id, shard)] = value
        some = [number for number, its in enumerate(writes) if its]
        await folder.commit(
            [self.shards[number] for number in some], [writes[number] for number in some], features
        )
