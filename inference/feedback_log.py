"""Brings what backends tell to Kafka, and waits until it is there."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, Message

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from inference.errors import KAFKA_UNAVAILABLE, NotNow
from inference.feedback import Told
from inference.producing import BackgroundProducer

log = structlog.get_logger(__name__)

#: Events that wait for Kafka at once, of all calls: 100 calls of 100.
BUFFERED_EVENTS = 10_000
#: An event that Kafka did not take by now is given up. Its caller has long been told to try again,
#: and what arrives late and again counts once.
DELIVERY_TIMEOUT_MS = 5_000
FLUSH_S = 5.0


class FeedbackLog(Protocol):
    """Where events are brought."""

    async def send(self, events: Sequence[Told], timeout_s: float) -> list[pb.EventPosition]:
        """Bring events there; where each lies, in their order.

        Raises:
            NotNow: not all are known to be there.
        """


class KafkaFeedback:
    """Sends to the topic of interactions, by user, as every producer does."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topics.interactions.name
        self._producer = BackgroundProducer(
            settings,
            "feedback",
            {
                "linger.ms": 0,  # the caller waits
                "queue.buffering.max.messages": BUFFERED_EVENTS,
                "message.timeout.ms": DELIVERY_TIMEOUT_MS,
            },
        )

    async def send(self, events: Sequence[Told], timeout_s: float) -> list[pb.EventPosition]:
        """See `FeedbackLog.send`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.gather(*(self._sent(event) for event in events))
        except TimeoutError as error:
            raise _unavailable(f"no answer within {1_000 * timeout_s:.0f} ms") from error
        except BufferError as error:
            raise _unavailable("too many events wait for it already") from error
        except KafkaException as error:
            raise _unavailable(str(error)) from error

    def close(self, timeout_s: float = FLUSH_S) -> None:
        """Send what is buffered, for at most so long."""
        self._producer.close(timeout_s)

    async def _sent(self, event: Told) -> pb.EventPosition:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[pb.EventPosition] = loop.create_future()

        def settle(error: KafkaError | None, partition: int | None, offset: int | None) -> None:
            if arrived.done():  # nobody waits any more
                return
            if error is not None or partition is None or offset is None:
                arrived.set_exception(KafkaException(error))
            else:
                arrived.set_result(
                    pb.EventPosition(topic=self._topic, partition=partition, offset=offset)
                )

        def delivered(error: KafkaError | None, message: Message) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, error, message.partition(), message.offset())

        self._producer.produce(self._topic, event.value, event.user_id, delivered)
        return await arrived


def _unavailable(cause: str) -> NotNow:
    return NotNow(KAFKA_UNAVAILABLE, f"Kafka did not acknowledge all events: {cause}")
