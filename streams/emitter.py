"""Sends what the stream itself produces, and knows when all of it has arrived."""

import asyncio
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from contracts.kafka import producer_config
from contracts.settings import Settings
from contracts.topics import LARGEST_LETTER_BYTES


class Emitter:
    """An idempotent, gapless producer: the order of sends is the order in the partition.

    The place shard's watermarks rest on that: were a failed record passed over and a later one
    delivered, its retry would look like a replay.
    """

    def __init__(self, settings: Settings) -> None:
        config: dict[str, Any] = producer_config(settings) | {
            "enable.gapless.guarantee": True,
            "message.timeout.ms": 0,  # wait for the broker as long as it takes
            "linger.ms": 1,
            # A dead letter holds a whole message of up to a megabyte, in base64.
            "message.max.bytes": LARGEST_LETTER_BYTES,
            "queue.buffering.max.messages": 500_000,
        }
        self._producer = Producer(config)
        self._failed: KafkaError | None = None
        self._closing = False

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int = -1,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """Queue one message; `partition` -1 lets the key decide."""
        options: dict[str, Any] = {"partition": partition} if partition >= 0 else {}
        if headers:
            options["headers"] = headers
        while True:
            try:
                self._producer.produce(
                    topic, value=value, key=key, on_delivery=self._delivered, **options
                )
                return
            except BufferError:
                self._producer.poll(0.05)

    async def arrived(self) -> None:
        """Wait until the broker holds all that was sent.

        Raises:
            KafkaException: the broker refused a message for good.
        """
        if len(self._producer):
            await asyncio.get_running_loop().run_in_executor(None, self._flush)
        if self._failed is not None:
            # For every agent that shares this producer, and for good: no gap is passed over.
            raise KafkaException(self._failed)
        if self._closing and len(self._producer):
            raise RuntimeError("ended before Kafka had taken everything")

    def close(self) -> None:
        """Wait no longer for a broker that is away: the process ends."""
        self._closing = True

    def _flush(self) -> None:
        while self._producer.flush(0.5) and self._failed is None and not self._closing:
            pass

    def _delivered(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._failed = error
