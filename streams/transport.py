"""A transport for Faust that hands an agent a whole poll at once.

Stock Faust passes each record through conductor, channel, stream and acknowledgement by itself,
which costs far more than folding it. Here one Faust message carries all the records of one topic
that a poll brought, from all partitions, so that Faust's cost is paid once per micro-batch.

Acknowledgements change with it: an offset is committed to Kafka when the agent says that what
lies before it is safe elsewhere (`mark_durable`), not when a message left the stream.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord
from faust import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage, Message

#: How long the broker may hold back an answer that has no records. Partitions whose records still
#: wait to be polled (for over 0.1 s, when this process was held up) are left out of a fetch, and
#: cannot be fetched again before it is answered: so long may fresh events of theirs be overlooked.
FETCH_MAX_WAIT_MS = 50
#: While one topic has a backlog, the others get every so many polls.
OTHERS_EVERY = 6


@dataclass(frozen=True)
class Poll:
    """Records of one topic, by partition, each in order of offset.

    `generation` tells polls that were fetched before a seek from those after it.
    """

    topic: str
    records: dict[int, list[ConsumerRecord]]
    generation: int

    def __len__(self) -> int:
        return sum(len(records) for records in self.records.values())

    @property
    def size_bytes(self) -> int:
        """Bytes of all values."""
        return sum(len(r.value or b"") for records in self.records.values() for r in records)

    def halves(self) -> list["Poll"]:
        """Two polls, each with every other partition; one if there is one partition."""
        parts = list(self.records.items())
        both = (dict(parts[::2]), dict(parts[1::2]))
        return [Poll(self.topic, half, self.generation) for half in both if half]

    def portions(self, most_bytes: int) -> Iterator["Poll"]:
        """The same records in turn, in polls that end where their values reach so many bytes."""
        held: dict[int, list[ConsumerRecord]] = {}
        held_bytes = 0
        for partition, records in self.records.items():
            for record in records:
                held.setdefault(partition, []).append(record)
                held_bytes += len(record.value or b"")
                if held_bytes >= most_bytes:
                    yield Poll(self.topic, held, self.generation)
                    held, held_bytes = {}, 0
        if held:
            yield Poll(self.topic, held, self.generation)


class WaitingPolls:
    """Polls on their way to their agents; a later one joins that of its topic which still waits.

    While an agent works, its topic's records gather in one batch. In a queue of small polls each
    would wait for all before it, at the fixed cost of each: several times as long. What gathers
    is bounded by its records and by their bytes: when a burst comes, it waits in Kafka.
    """

    def __init__(self, most_records: int, most_bytes: int) -> None:
        self._most_records = most_records
        self._most_bytes = most_bytes
        self._last: dict[str, Poll] = {}

    def joined(self, poll: Poll) -> bool:
        """Add a poll's records to the last one, if that waits still, is as fresh and has room."""
        last = self._last.get(poll.topic)
        fits = (
            last is not None
            and last.generation == poll.generation
            and len(last) + len(poll) <= self._most_records
            and last.size_bytes + poll.size_bytes <= self._most_bytes
        )
        if last is None or not fits:
            self._last[poll.topic] = poll
            return False
        for partition, records in poll.records.items():
            last.records.setdefault(partition, []).extend(records)
        return True

    def taken(self, poll: Poll) -> None:
        """An agent begins with a poll: from now on nothing joins it."""
        if self._last.get(poll.topic) is poll:
            del self._last[poll.topic]


class WholePoll(Schema):  # type: ignore[type-arg]
    """Passes a poll to the agent as it is."""

    def compile(self, app: Any, **_: Any) -> Any:
        """Return Faust's decoding function: here, none."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, message.headers, message)

        return decode


class _NoOffsets(dict):  # type: ignore[type-arg]
    """Keeps nothing. Faust drops a message below the last offset that it saw of a partition; after
    a rewind that would be a whole poll. `streams.taken.take` does this job here."""

    def __missing__(self, _: Any) -> None:
        return None

    def __setitem__(self, *_: Any) -> None:
        pass

    def update(self, *_: Any, **__: Any) -> None:
        pass


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's, but for a setting that Faust has fixed at 1.5 s."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer


class PollConsumer(driver.Consumer):
    """Faust's aiokafka consumer, delivering polls and committing what agents call durable.

    Every poll belongs to a generation. A seek begins a new one, and polls of an older one are
    stale wherever they wait: what is in them is fetched again from the new positions. A poll gets
    its generation in the fetching thread, where seeks are made too, so that none is taken for what
    it is not.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.generation = 0
        self._sought = False
        self._durable: dict[TP, int] = {}
        app: Any = self.app
        self.waiting = WaitingPolls(app.conf.broker_max_poll_records, app.batch_max_bytes)
        self._read_offset = _NoOffsets()
        #: The topic whose backlog fills whole polls, if one does.
        self._hungry: str | None = None
        self._polls = 0

    def _new_consumer_thread(self) -> Any:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def mark_durable(self, tp: TP, offset: int) -> None:
        """Everything before `offset` may be committed to Kafka."""
        self._durable[tp] = max(offset, self._durable.get(tp, 0))

    def durable(self, tp: TP) -> int:
        """Everything before this is safe elsewhere, as far as this worker knows."""
        return self._durable.get(tp) or self._committed_offset.get(tp) or 0

    def forget_fetched(self) -> None:
        """Make every poll fetched so far stale; shards are taken over before the next."""
        self.generation += 1
        self._sought = False

    async def rewind(self, offsets: Mapping[TP, int]) -> None:
        """Fetch again from these offsets, which must name all partitions that this worker owns."""
        await self._thread.call_thread(self._seek_all, offsets)

    async def _seek_all(self, offsets: Mapping[TP, int]) -> None:
        # No await in here: a poll was drained either before all of this, and is of an older
        # generation, or after it, from the new positions.
        consumer = self._thread._ensure_consumer()
        for tp, offset in offsets.items():
            consumer.seek(driver.ensure_aiokafka_TP(tp), offset)
        self.generation += 1

    async def perform_seek(self) -> None:
        """Seek to the committed offsets; the shards are taken over before the next poll.

        Not here: Faust gives this a time limit, and stands still for good after it.
        """
        self.forget_fetched()
        self._durable.clear()
        await super().perform_seek()

    async def _take_over(self) -> None:
        """Own the assigned shards; go on from what is both stored and committed."""
        generation = self.generation
        app: Any = self.app
        held = await app.take_over(self.assignment())
        if self.flow_active and self.generation == generation:
            committed = self._committed_offset
            await self.rewind({tp: min(o, committed.get(tp) or 0) for tp, o in held.items()})
            self._sought = True

    async def getmany(
        self,
        timeout: float,  # noqa: ASYNC109  (Faust's signature)
    ) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Yield a message for each topic that a poll brought records of, if none waits already."""
        if self.flow_active and not self._sought:
            await self._take_over()
            return
        fetched: Any
        fetched, _ = await self._wait_next_records(timeout)
        if not fetched or self.should_stop or not self.flow_active:
            return  # after a rebalance all is fetched again
        generation, records = fetched
        topics: dict[str, dict[int, list[Any]]] = {}
        for tp, batch in records.items():
            topics.setdefault(tp.topic, {})[tp.partition] = batch
        for topic, by_partition in topics.items():
            if not self.flow_active or self.generation != generation:
                return
            poll = Poll(topic, by_partition, generation)
            if not self.waiting.joined(poll):
                yield self._message(poll)

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109
        return await self._thread.call_thread(self._fetch, active_partitions, timeout)

    async def _fetch(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109
        """In the fetching thread: records, with the generation in which they were drained.

        Were all topics asked for together, a backlog of one would fill poll after poll, and the
        others would wait for its end. So a topic that fills a poll (`_hungry`) is passed over
        until the others have had theirs, and they are asked only every `OTHERS_EVERY` polls then:
        what gathers meanwhile is folded at once, many events of a place for one state.
        """
        thread = self._thread
        consumer = thread._ensure_consumer()
        most = consumer._max_poll_records
        self._polls += 1
        asked = active_partitions
        if self._hungry is not None:
            others = self._polls % OTHERS_EVERY == 0
            asked = {tp for tp in asked if (tp.topic == self._hungry) is not others}
        records = await thread._fetch_records(consumer, asked, timeout=0, max_records=most)
        if not records:
            records = await thread._fetch_records(
                consumer, active_partitions, timeout=timeout, max_records=most
            )
        counts: Counter[str] = Counter()
        for tp, its_own in records.items():
            counts[tp.topic] += len(its_own)
        if self._hungry is None or self._hungry in counts:
            full = [topic for topic, count in counts.items() if count >= most]
            self._hungry = full[0] if full else None
        return (self.generation, records) if records else None

    def on_buffer_full(self, tp: TP) -> None:
        """A full buffer holds the fetching loop itself; no partition is singled out."""

    def on_buffer_drop(self, tp: TP) -> None:
        """See `on_buffer_full`."""

    def _message(self, poll: Poll) -> tuple[TP, ConsumerMessage]:
        partition, batch = next(iter(poll.records.items()))
        tp, last = TP(poll.topic, partition), batch[-1]
        whole: Any = poll  # where Faust expects the bytes of one record
        message = ConsumerMessage(
            poll.topic,
            partition,
            last.offset,
            last.timestamp / 1_000,
            last.timestamp_type,
            None,
            None,
            whole,
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )
        return tp, message

    def ack(self, message: Message) -> bool:
        """A message left its stream: nothing to commit yet, see `mark_durable`."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """A message stands for many offsets: gaps mean nothing here."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in self._durable if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._durable.get(tp)


class Transport(driver.Transport):
    """Registered with Faust as the broker scheme `placestream://`."""

    Consumer = PollConsumer
