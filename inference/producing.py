"""A Kafka producer of the service: it sends in the background, and tells of deliveries there."""

import logging
import threading
from collections.abc import Callable

import structlog
from confluent_kafka import KafkaError, Message, Producer

from contracts.kafka import Config, producer_config
from contracts.settings import Settings

log = structlog.get_logger(__name__)
Delivered = Callable[[KafkaError | None, Message], None]


class BackgroundProducer:
    """librdkafka's producer and the thread that serves its delivery reports.

    `Delivered` callbacks run on that thread.
    """

    def __init__(self, settings: Settings, name: str, config: Config) -> None:
        """Take what differs from every producer's configuration, and the thread's name."""
        self._producer = Producer(
            producer_config(settings) | config, logger=logging.getLogger("librdkafka")
        )
        self._stop = threading.Event()
        self._poller = threading.Thread(target=self._poll, name=name, daemon=True)
        self._poller.start()

    def produce(self, topic: str, value: bytes, key: str, delivered: Delivered) -> None:
        """Hand a message over; returns at once.

        Raises:
            BufferError: too many wait already.
            KafkaException: it can never be sent.
        """
        self._producer.produce(topic, value, key.encode(), on_delivery=delivered)

    def close(self, timeout_s: float) -> None:
        """Send what is buffered, for at most so long; the rest is given up, and reported so."""
        self._stop.set()
        self._poller.join()
        if self._producer.flush(timeout_s):
            self._producer.purge()
            self._producer.flush(timeout_s)

    def _poll(self) -> None:
        while not self._stop.is_set():
            try:
                self._producer.poll(0.1)
            except Exception:  # of a callback; the reports of the others must go on
                log.exception("delivery_report_failed")
