"""Bytewax counts events in windows, into Redis; runs in its own environment.

Its window operators emit when a window closes, so that the counts of this moment would come as
late as the window is long; its stateful operator emits at every event, and keeps what they need:
the times of a user's events. Recovery is on, as its documentation has it for production.
"""

from bisect import insort
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import orjson
import redis
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from benchmarks.counted import Counted
from benchmarks.peers.counts import LONGEST_MS, Task, counts, counts_after, redis_key, time_ms

#: The command line's default.
SNAPSHOT_EVERY = timedelta(seconds=10)


def decoded(messages: list[Any], what: str) -> Iterable[tuple[str, int]]:
    """(user, time) of what counts in a batch."""
    for message in messages:
        event = orjson.loads(message.value)
        if counts(event, what):
            yield message.key.decode(), time_ms(event)


def counted(times_ms: list[int] | None, at_ms: int) -> tuple[list[int], dict[str, int]]:
    """A user's times of the longest window, and the counts after one more."""
    kept = [] if times_ms is None else times_ms
    insort(kept, at_ms)
    while kept[0] < kept[-1] - LONGEST_MS:
        del kept[0]
    return kept, counts_after(kept, kept[-1])


class _Partition(StatelessSinkPartition[Any]):  # type: ignore[misc]
    def __init__(self, task: Task) -> None:
        self._task = task
        self._redis = redis.Redis(task.redis_host, task.redis_port)
        self._counted = Counted(task.events)
        self._written = 0

    def write_batch(self, items: list[tuple[str, dict[str, int]]]) -> None:
        """One MSET for all."""
        pairs = {redis_key(u, w): count for u, its in items for w, count in its.items()}
        self._redis.mset(pairs)
        self._written += len(items)
        # What counts is spread evenly among all events.
        self._counted(self._task.events * self._written // self._task.counted)


class _Sink(DynamicSink[Any]):  # type: ignore[misc]
    def __init__(self, task: Task) -> None:
        self._task = task

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Partition:
        """The one of a worker."""
        return _Partition(self._task)


def main() -> None:
    """Count to the end of the topic."""
    task = Task.given()
    flow = Dataflow("counts")
    source = KafkaSource([task.bootstrap], [task.topic], tail=False)
    messages = op.input("kafka", flow, source)
    times = op.flat_map_batch("decode", messages, lambda batch: decoded(batch, task.what))
    op.output("redis", op.stateful_map("count", times, counted), _Sink(task))
    init_db_dir(Path(task.folder), 1)
    cli_main(flow, epoch_interval=SNAPSHOT_EVERY, recovery_config=RecoveryConfig(task.folder))


if __name__ == "__main__":
    main()
