"""`placestream rebuild --drop-old`: deletes states of definitions that nobody reads any more."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from redis import RedisError
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from contracts.settings import Settings
from online_features.keys import Keys, ShardKind
from online_features.redis_client import client_of
from placestream.rebuild.plan import Refused
from placestream.rebuild.shards import delete, scan

KINDS: dict[ShardKind, str] = {"i": "users", "b": "places"}


def run(settings: Settings, console: Console, confirm: Callable[[str], bool]) -> None:
    """List the other versions' keys, ask, and delete them.

    Args:
        confirm: asked once, with a question.

    Raises:
        Refused: there is no state of the current version yet, or Redis fails.
    """
    try:
        asyncio.run(_run(settings, console, confirm))
    except RedisError as error:
        raise Refused(f"Redis failed ({error}); run this again") from error


async def _run(settings: Settings, console: Console, confirm: Callable[[str], bool]) -> None:
    keys = Keys.of(settings)
    redis = client_of(settings, socket_timeout=60)
    async with aclosing(redis):
        for kind in KINDS:
            await _refuse_unless_filled(redis, keys, kind)
        found = [(kind, await count_versions(redis, keys, kind)) for kind in KINDS]
        old = [(k, v, n) for k, counts in found for v, n in counts.items() if v != keys.version(k)]
        if not old:
            console.print("There are no states of other versions.")
            return
        table = Table(box=None, pad_edge=False)
        for heading in ("states of", "version", "keys"):
            table.add_column(heading, justify="right" if heading == "keys" else "left")
        for kind, version, count in sorted(old):
            table.add_row(KINDS[kind], version, f"{count:,}")
        console.print(table)
        if not confirm("Delete these? Workers and services of those versions must be gone."):
            console.print("Nothing was deleted.")
            return
        for kind, version, _ in old:
            async for batch in scan(redis, keys.pattern(kind, version)):
                await delete(redis, batch)
        console.print("Deleted.")


async def _refuse_unless_filled(redis: Redis, keys: Keys, kind: ShardKind) -> None:
    asked: Any = redis.hget(keys.shard(kind, 0), "epoch")
    if await asked is None:
        raise Refused(
            f"there are no states of {KINDS[kind]} of version {keys.version(kind)} yet, which this "
            "code reads: run `placestream rebuild` or a `stream` worker first"
        )


async def count_versions(redis: Redis, keys: Keys, kind: ShardKind) -> Counter[str]:
    """Number of keys of a kind, by version."""
    counts: Counter[str] = Counter()
    async for batch in scan(redis, keys.pattern(kind, "*")):
        parsed = (keys.version_of(key.decode()) for key in batch)
        counts.update(part[1] for part in parsed if part is not None and part[0] == kind)
    return counts
