"""`placestream rebuild`: fills the states of new definitions from the archive, while others serve.

The states of another version lie under other keys, so nothing that serves is touched. Where the
archive ends, a `stream` worker of the new code reads on from Kafka.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from redis import RedisError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from contracts.settings import Settings
from online_features.archive import read_arrivals
from online_features.keys import Keys, ShardKind
from online_features.redis_client import client_of
from placestream.rebuild.fold import Folder, Held
from placestream.rebuild.kafka import KafkaFacts
from placestream.rebuild.plan import Plan, Refused, make_plan
from placestream.rebuild.shards import Holder, RebuildShards

KINDS: dict[ShardKind, str] = {"i": "users", "b": "places"}
Shards = dict[ShardKind, list[Held]]
#: Folds what a plan says into the shards that are held, and moves their offsets and watermarks.
Fold = Callable[[Folder, Settings, Plan, Shards], Awaitable[None]]


def run(
    settings: Settings,
    console: Console,
    *,
    force: bool = False,
    with_gaps: bool = False,
    clock: Callable[[], float] = time.time,
    engine: Fold | None = None,
) -> None:
    """Rebuild, and say what was done.

    Args:
        force: drop states of this version that a worker has folded, and fold anew.
        with_gaps: fold although events are missing.
        engine: folds all anew, elsewhere, and writes states before it moves their offsets; what
            workers have folded is fresher, and left as it is. `None`: folded here, from where the
            shards stand.

    Raises:
        Refused: see its message.
        TakenOver: a worker of this version started meanwhile.
        KafkaSilent: Kafka does not answer.
    """
    plan = make_plan(settings, clock, with_gaps=with_gaps)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    try:
        with bar:
            filled = asyncio.run(_rebuild(settings, plan, force, bar, engine))
    except RedisError as error:
        raise Refused(f"Redis failed ({error}); run this again, it goes on from there") from error
    for kind, name in KINDS.items():
        version = Keys.of(settings).version(kind)
        done = "filled" if kind in filled else "in service already, left as they are"
        console.print(f"{name}, version {version}: {done}")
    ends = ", ".join(f"{p}: {part.end}" for p, part in enumerate(plan.parts))
    console.print(f"The stream goes on at these offsets of its partitions: {ends}.")
    if plan.lost:
        console.print(f"{plan.lost} events are neither in the archive nor in Kafka: passed over.")


async def _rebuild(
    settings: Settings, plan: Plan, force: bool, bar: Progress, engine: Fold | None
) -> set[ShardKind]:
    keys = Keys.of(settings)
    redis = client_of(settings, socket_timeout=60)
    async with aclosing(redis):
        shards = RebuildShards(redis, keys)
        kinds = await _to_fill(shards, settings, force, leave=engine is not None)
        total = sum(part.end for part in plan.parts) * len(kinds)
        task = bar.add_task("events", total=total)
        folder = Folder(shards.store, keys, lambda events: bar.advance(task, events))
        held = {
            kind: [Held.of(kind, p, mine) for p, mine in enumerate(await shards.claim(kind))]
            for kind in kinds
        }
        if engine is not None:
            for kind in kinds:
                await shards.reopen(kind)
        await (engine or _fold)(folder, settings, plan, held)
        for kind in kinds:
            await shards.finish(kind)
        bar.update(task, completed=total)
    return set(kinds)


async def _to_fill(
    shards: RebuildShards, settings: Settings, force: bool, *, leave: bool
) -> list[ShardKind]:
    """Which kinds are ours to fill; those of a worker only by force, and then from nothing.

    Raises:
        Refused: workers have folded too early, or (unless that is to be left as it is) all of them,
            and there is no force.
    """
    holders = {kind: await shards.holder(kind) for kind in KINDS}
    workers_own = [k for k, holder in holders.items() if holder in (Holder.WORKER, Holder.TORN)]
    if force:
        for kind in workers_own:
            await shards.clear(kind)
        return list(KINDS)
    if Holder.TORN in holders.values() or (len(workers_own) == len(KINDS) and not leave):
        raise Refused(_whose(settings, torn=Holder.TORN in holders.values()))
    return [kind for kind in KINDS if kind not in workers_own]


def _whose(settings: Settings, *, torn: bool) -> str:
    with KafkaFacts(settings) as kafka:
        workers = kafka.workers()
    versions = "-".join(Keys.of(settings).version(kind) for kind in KINDS)
    how = (
        "a worker took them over before they were filled: they lack events"
        if torn
        else "they hold what workers have folded"
    )
    return (
        f"the states of version {versions} are a worker's ({workers} `stream` workers, of whatever "
        f"version, are at work); {how}. To drop them and fold anew, stop the workers of this "
        "version, then `placestream rebuild --force`"
    )


async def _fold(folder: Folder, settings: Settings, plan: Plan, held: Shards) -> None:
    for p, part in enumerate(plan.parts):
        log = await asyncio.to_thread(read_arrivals, settings.archive_dir, p)
        log = log.take(log.offset < part.end)
        if "i" in held:
            await folder.users(held["i"][p], log, part.end)
        if "b" in held:
            await folder.places(held["b"], p, log, part.end)
    if "b" in held:
        await folder.start_at(held["b"], plan.place_offsets)
