"""A Kafka producer of the service: it sends in the background, and tells of deliveries there."""

import logging
import threading
from collections.abc import Callable

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from contracts.kafka import Config, producer_config
from contracts.settings import Settings

log = structlog.get_logger(__name__)
Delivered = Callable[[KafkaError | None, Message], None]


class BackgroundProducer:
    """librdkafka's producer and the thread that serves its delivery reports.

    `Delivered` callbacks run on that thread. An idempotent producer that can no longer promise to
    send each message once, and in order, takes none ever after (a fatal error, as librdkafka calls
    it); what waits then is reported as failed, and another producer takes its place.
    """

    def __init__(self, settings: Settings, name: str, config: Config) -> None:
        """Take what differs from every producer's configuration, and the thread's name."""
        self._config = producer_config(settings) | config
        self._producer = self._new()
        self._stop = threading.Event()
        self._poller = threading.Thread(target=self._poll, name=name, daemon=True)
        self._poller.start()

    def produce(self, topic: str, value: bytes, key: str, delivered: Delivered) -> None:
        """Hand a message over; returns at once.

        Raises:
            BufferError: too many wait already.
            KafkaException: it cannot be sent.
        """
        self._producer.produce(topic, value, key.encode(), on_delivery=delivered)

    def close(self, timeout_s: float) -> None:
        """Send what is buffered, for at most so long; the rest is given up, and reported so."""
        self._stop.set()
        self._poller.join()
        if self._producer.flush(timeout_s):
            self._producer.purge()
            self._producer.flush(timeout_s)

    def _new(self) -> Producer:
        return Producer(self._config, logger=logging.getLogger("librdkafka"))

    def _poll(self) -> None:
        while not self._stop.is_set():
            if not self._reports(self._producer):
                ended, self._producer = self._producer, self._new()
                log.warning("producer_replaced")
                ended.purge()
                while len(ended):
                    self._reports(ended)

    def _reports(self, producer: Producer) -> bool:
        """Serve reports for a moment; whether the producer can go on."""
        try:
            producer.poll(0.1)
        except Exception as error:  # of a callback; the reports of the others must go on
            cause = error.args[0] if isinstance(error, KafkaException) else None
            if isinstance(cause, KafkaError) and cause.fatal():
                log.error("producer_ended", cause=str(cause))
                return False
            log.exception("delivery_report_failed")
        return True
