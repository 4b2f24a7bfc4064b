"""How far the stream is: what lies in Kafka, what of it is in Redis, what of it is archived."""

import time
from collections.abc import Callable
from typing import Any

import redis
from confluent_kafka import Consumer, TopicPartition
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from contracts.kafka import consumer_config
from contracts.settings import Settings
from online_features.keys import Keys, ShardKind

POLL_S = 0.25


class Following:
    """Watches the `stream` workers from outside, by their stored and committed offsets."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        topics = settings.topics
        self._kinds: dict[str, ShardKind] = {
            topics.place_updates.name: "d",
            topics.context.name: "c",
            topics.interactions.name: "i",
            topics.by_place.name: "b",
            topics.impressions.name: "s",
        }
        self._keys = Keys.of(settings)
        self._partitions = settings.partitions
        self._redis = client
        # Of the workers' own group, to see what they committed; it never joins.
        self._consumer = Consumer(consumer_config(settings, f"{settings.topic_prefix}-stream"))

    def close(self) -> None:
        """Let the broker go."""
        self._consumer.close()

    def sent(self) -> int:
        """Messages in all topics that the stream reads."""
        return sum(self._ends().values())

    def folded(self) -> int:
        """How many of them are in Redis."""
        pipe = self._redis.pipeline(transaction=False)
        for kind in self._kinds.values():
            for partition in range(self._partitions):
                pipe.hget(self._keys.shard(kind, partition), "offset")
        return sum(int(offset or 0) for offset in pipe.execute())

    def archived(self) -> int:
        """How many of them are safe everywhere: folded, passed on and in the archive's files."""
        committed = self._consumer.committed(
            [TopicPartition(topic, p) for topic, p in self._ends()], timeout=10
        )
        return sum(max(part.offset, 0) for part in committed)

    def behind(self) -> int:
        """Messages that are not folded yet."""
        return max(self.sent() - self.folded(), 0)

    def wait(
        self,
        reached: Callable[[], int],
        title: str,
        console: Console,
        check: Callable[[], None],
        timeout_s: float = 600,
    ) -> None:
        """Show a progress bar until `reached()` is all that was sent.

        Args:
            reached: `folded` or `archived`.
            title: what the bar says.
            console: where to show it.
            check: called again and again; raises if waiting has no point any more.
            timeout_s: seconds after which it is given up.

        Raises:
            TimeoutError: not within `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        columns: list[Any] = [
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            TimeElapsedColumn(),
        ]
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(title, total=self.sent())
            while True:
                done, total = reached(), self.sent()
                progress.update(task, completed=done, total=total)
                if done >= total:
                    return
                check()
                if time.monotonic() > deadline_s:
                    raise TimeoutError(f"{title}: {done} of {total} after {timeout_s:.0f} s")
                time.sleep(POLL_S)

    def _ends(self) -> dict[tuple[str, int], int]:
        return {
            (topic, p): self._consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[
                1
            ]
            for topic in self._kinds
            for p in range(self._partitions)
        }
