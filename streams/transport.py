"""A transport for Faust that hands an agent a whole poll at once.

Stock Faust passes each record through conductor, channel, stream and acknowledgement by itself,
which costs far more than folding it. Here one Faust message carries all the records of one topic
that a poll brought, from all partitions, so that Faust's cost is paid once per micro-batch.

Acknowledgements change with it: an offset is committed to Kafka when the agent says that what
lies before it is safe elsewhere (`mark_durable`), not when a message left the stream.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord
from faust import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage, Message


@dataclass(frozen=True)
class Poll:
    """Records of one topic, by partition, each in order of offset.

    `generation` tells polls that were fetched before a seek from those after it.
    """

    topic: str
    records: Mapping[int, list[ConsumerRecord]]
    generation: int


class WholePoll(Schema):  # type: ignore[type-arg]
    """Passes a poll to the agent as it is."""

    def compile(self, app: Any, **_: Any) -> Any:
        """Return Faust's decoding function: here, none."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, message.headers, message)

        return decode


class PollConsumer(driver.Consumer):
    """Faust's aiokafka consumer, delivering polls and committing what agents call durable."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.generation = 0
        self._durable: dict[TP, int] = {}

    def mark_durable(self, tp: TP, offset: int) -> None:
        """Everything before `offset` may be committed to Kafka."""
        self._durable[tp] = offset

    def forget_fetched(self) -> None:
        """Mark every poll fetched so far as stale."""
        self.generation += 1

    async def rewind(self, tp: TP, offset: int) -> None:
        """Fetch again from `offset`; polls fetched before this are marked as stale."""
        self.forget_fetched()
        await self.seek(tp, offset)

    async def perform_seek(self) -> None:
        """Take the assigned shards over, then seek.

        To the committed offsets, or to where the stored state stands if that is earlier. Faust
        calls this once for each assignment, before it lets records flow.
        """
        self.forget_fetched()
        await super().perform_seek()
        app: Any = self.app
        for tp, offset in (await app.take_over(self.assignment())).items():
            committed = self._committed_offset.get(tp)
            if committed is not None and offset < committed:
                await self.rewind(tp, offset)

    async def getmany(
        self,
        timeout: float,  # noqa: ASYNC109  (Faust's signature)
    ) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Yield one message for each topic that a poll brought records of."""
        generation = self.generation
        records, _ = await self._wait_next_records(timeout)
        if not records or self.should_stop:
            return
        if not self.flow_active:
            # A rebalance began meanwhile: what was fetched is fetched again after it.
            await super().perform_seek()
            return
        topics: dict[str, dict[int, list[Any]]] = {}
        for tp, batch in records.items():
            topics.setdefault(tp.topic, {})[tp.partition] = batch
        for topic, by_partition in topics.items():
            if not self.flow_active or self.generation != generation:
                return
            yield self._message(Poll(topic, by_partition, generation))

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
