"""redis-py's clients of a Redis Cluster, told apart from its other ones by as little as can be.

They find the node of a key by themselves. Two things remain: MGET of keys of many slots, which no
node answers, is asked slot by slot; and what they raise while the cluster as a whole cannot be
reached is no `redis.RedisError`, by which everybody here knows that Redis is away.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import redis
from redis.asyncio import cluster as asynchronous
from redis.exceptions import RedisClusterException


@contextmanager
def _away_as_ever() -> Iterator[None]:
    try:
        yield
    except RedisClusterException as error:
        raise redis.ConnectionError(str(error)) from error


class Pipeline(asynchronous.ClusterPipeline):
    """Commands in one round trip to each node that they concern, in order on each; no MULTI.

    redis-py runs each command of an asynchronous transaction in a thread with an event loop of its
    own: what must be atomic is a script here, of keys of one slot.
    """

    async def __aenter__(self) -> Self:
        """Learn the nodes, if they are not known yet."""
        with _away_as_ever():
            await super().__aenter__()
        return self

    async def execute(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Send them; return the answers in the order of the commands."""
        with _away_as_ever():
            return list(await super().execute(*args, **kwargs))


class Cluster(asynchronous.RedisCluster):
    """The asynchronous client; learns the nodes at first use."""

    async def initialize(self, *args: Any, **kwargs: Any) -> Self:
        """Learn the nodes.

        Raises:
            redis.ConnectionError: none answers, or some slot has no node.
        """
        with _away_as_ever():
            await super().initialize(*args, **kwargs)
        return self

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Send one command to its node."""
        with _away_as_ever():
            return await super().execute_command(*args, **kwargs)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> Pipeline:
        """Commands to be sent at once.

        Raises:
            ValueError: they are to be a transaction.
        """
        if transaction:
            raise ValueError("in a cluster use a script: see `Pipeline`")
        return Pipeline(self, transaction)  # type: ignore[abstract] # so is redis-py's own

    async def mget(self, keys: Any, *args: Any) -> Any:
        """Values of keys of any slots: one MGET a slot, one round trip a node, all at once."""
        with _away_as_ever():
            return await self.mget_nonatomic(keys, *args)


def is_cluster(client: object) -> bool:
    """Whether an asynchronous client is that of a cluster."""
    return isinstance(client, Cluster)


class BlockingCluster(redis.RedisCluster):
    """The blocking client; learns the nodes when it is made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Learn the nodes.

        Raises:
            redis.ConnectionError: none answers, or some slot has no node.
        """
        with _away_as_ever():
            super().__init__(*args, **kwargs)

    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Send one command to its node."""
        with _away_as_ever():
            return super().execute_command(*args, **kwargs)  # type: ignore[no-untyped-call]

    def mget(self, keys: Any, *args: Any) -> Any:
        """Values of keys of any slots: one MGET a slot."""
        with _away_as_ever():
            return self.mget_nonatomic(keys, *args)
