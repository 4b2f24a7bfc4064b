"""A Kafka producer of the service: it sends in the background, and tells of deliveries there."""

import logging
import threading
import time
from collections.abc import Callable

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from contracts.kafka import Config, producer_config
from contracts.settings import Settings

log = structlog.get_logger(__name__)
Delivered = Callable[[KafkaError | None, Message], None]
#: Between two producers, at least.
PAUSE_S = 10.0


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
        self._drain(timeout_s)
        if len(self._producer):
            self._producer.purge()
            self._drain(timeout_s)

    def _new(self) -> Producer:
        return Producer(self._config, logger=logging.getLogger("librdkafka"))

    def _poll(self) -> None:
        made_s = time.monotonic()
        while not self._stop.is_set():
            if self._can_go_on():
                continue
            self._producer.purge()
            self._drain(PAUSE_S)
            # One whose reason to end lasts must not be followed by others without end.
            self._stop.wait(made_s + PAUSE_S - time.monotonic())
            while not self._replaced():
                self._stop.wait(PAUSE_S)
            made_s = time.monotonic()

    def _replaced(self) -> bool:
        """Whether another producer is there; where we are to end, none is wanted."""
        if self._stop.is_set():
            return True
        try:
            self._producer = self._new()
        except KafkaException as error:  # such as of a file that it needs
            log.error("producer_not_replaced", cause=str(error))
            return False
        log.warning("producer_replaced")
        return True

    def _drain(self, timeout_s: float) -> None:
        # Not by `flush`: where it meets a fatal error, it goes on to run callbacks with that
        # exception set, which then fail (confluent-kafka 2.16).
        ends_s = time.monotonic() + timeout_s
        while len(self._producer) and time.monotonic() < ends_s:
            self._can_go_on()

    def _can_go_on(self) -> bool:
        """Serve reports for a moment; whether the producer can go on."""
        try:
            self._producer.poll(0.1)
        except Exception as error:  # of a callback; the reports of the others must go on
            cause = error.args[0] if isinstance(error, KafkaException) else None
            if isinstance(cause, KafkaError) and cause.fatal():
                log.error("producer_ended", cause=str(cause))
                return False
            log.exception("delivery_report_failed")
        return True
