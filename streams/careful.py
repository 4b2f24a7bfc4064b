"""What an agent does with a poll that fails: nothing is skipped, and nothing blocks for ever.

A sink that raises has committed, of each partition, all records up to some offset and none after
it. The records are fetched again from what is durable; if they fail again, they are taken one by
one, and a record that fails alone goes to the dead letters. So one poisonous record costs its own
place in the features, no more.
"""

import asyncio
from typing import Any, Protocol

import structlog
from confluent_kafka import KafkaException

from contracts.events import BadEvent
from online_features.store import Commit
from streams.dead_letters import DeadLetters
from streams.emitter import Emitter
from streams.metrics import BATCH_SECONDS, FAILED_BATCHES
from streams.shards import Shards, commit_of
from streams.taken import take
from streams.transport import Poll, PollConsumer

log = structlog.get_logger(__name__)
#: A batch may fail so often as a whole before its records are taken one by one.
WHOLE_ATTEMPTS = 2
PAUSE_S = 0.5
#: From so much on it pays to process a poll in halves: each has its own cost, whatever is in it.
LEAST_HALVED_BYTES = 64 * 2**10


class Sink(Protocol):
    """What folds the records of one topic."""

    async def process(self, poll: Poll, consumer: PollConsumer) -> None:
        """Fold, commit, pass on; raises if the batch cannot be folded."""


class CarefulAgent:
    """Runs one topic's sink over its polls.

    Raises:
        KafkaException: the producer is broken for good; the process must start anew.
    """

    def __init__(
        self, sink: Sink, shards: Shards, emitter: Emitter, dead_letters: DeadLetters
    ) -> None:
        self._sink = sink
        self._shards = shards
        self._emitter = emitter
        self._dead_letters = dead_letters
        self._failures = 0

    async def handle(self, poll: Poll, consumer: PollConsumer) -> None:
        """Process a poll, however many attempts it takes."""
        try:
            with BATCH_SECONDS.labels(poll.topic).time():
                if self._failures < WHOLE_ATTEMPTS or poll.generation != consumer.generation:
                    await self._by_halves(poll, consumer)
                else:
                    await self._one_by_one(poll, consumer)
            if take(poll, self._shards, consumer):
                self._failures = 0
        except KafkaException:
            raise
        except Exception:
            self._failures += 1
            FAILED_BATCHES.labels(poll.topic).inc()
            log.exception("batch failed", topic=poll.topic, attempt=self._failures)
            await asyncio.sleep(PAUSE_S)
            await self._shards.go_back(consumer)

    async def _by_halves(self, poll: Poll, consumer: PollConsumer) -> None:
        """Process two halves of the partitions at a time: one is folded while the other waits for
        Redis or Kafka. Partitions share no state, and the order within each stays."""
        halves = poll.halves() if poll.size_bytes >= LEAST_HALVED_BYTES else [poll]
        outcomes = await asyncio.gather(
            *(self._sink.process(half, consumer) for half in halves), return_exceptions=True
        )
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _one_by_one(self, poll: Poll, consumer: PollConsumer) -> None:
        for partition, records in poll.records.items():
            for record in records:
                single = Poll(poll.topic, {partition: [record]}, poll.generation)
                try:
                    await self._sink.process(single, consumer)
                except KafkaException:
                    raise
                except Exception as error:
                    await self._set_aside(single, error, consumer)

    async def _set_aside(self, single: Poll, error: Exception, consumer: PollConsumer) -> None:
        """Send a record to the dead letters, and move the shard past it, its states untouched."""
        prepared: list[tuple[Any, Commit]] = []
        for part in take(single, self._shards, consumer):
            for record in part.fresh:
                cause = BadEvent("", f"cannot be processed: {type(error).__name__}: {error}")
                self._dead_letters.send(record, cause)
                log.error("record set aside", position=str(part.shard.tp), cause=str(error))
                prepared.append((part.shard, commit_of(part.shard, part.to_offset, {}, 0, {})))
        await self._emitter.arrived()
        await self._shards.commit(prepared, consumer)
