"""Sends a source to Kafka: in order, with bounded memory, at a rate or as fast as it goes."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import stamina
import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Delivery
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from contracts.events import encode
from contracts.kafka import producer_config, silence
from contracts.settings import Settings
from placestream.simulation.source import Message, Stream

log = structlog.get_logger(__name__)

#: Messages between two looks at the backlog, the delivery errors and the progress bar.
CHUNK = 1_000
_TURN_S = 0.05  # at a given rate: messages go out in turns of this length
_POLL_S = 0.1
FLUSH_S = 60.0


class DeliveryFailed(RuntimeError):
    """Kafka did not take a message.

    Attributes:
        topic: where it was meant to go.
    """

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(f"{topic}: {reason}")
        self.topic = topic


@dataclass(frozen=True)
class Backpressure:
    """Holds the producer while readers are behind (for a broker that keeps all in memory).

    Attributes:
        unprocessed: events that wait for their reader.
        limit: no more is sent while there are more than this.
    """

    unprocessed: Callable[[], int]
    limit: int = 50_000


@dataclass(frozen=True)
class Sent:
    """What was sent, and how long it took until Kafka had it all."""

    messages: dict[Stream, int]
    seconds: float

    @property
    def total(self) -> int:
        """Messages in all streams."""
        return sum(self.messages.values())

    @property
    def events_s(self) -> float:
        """Messages a second."""
        return self.total / self.seconds if self.seconds > 0 else 0.0


@dataclass
class _Errors:
    """The first message that Kafka refused."""

    first: DeliveryFailed | None = None

    def note(self, error: KafkaError | None, message: Delivery) -> None:
        if error is not None and self.first is None:
            self.first = DeliveryFailed(str(message.topic()), error.str())
            self.first.__cause__ = KafkaException(error)

    def check(self) -> None:
        if self.first is not None:
            raise self.first


@dataclass(frozen=True)
class Sender:
    """Sends messages with one producer.

    Attributes:
        settings: brokers and topics.
        clock: seconds, monotonic.
        sleep: waits for so many seconds.
        backpressure: holds the producer while readers are behind.
        console: where the progress bar goes; the terminal if None.
        make_producer: makes the producer of a configuration.
        probe_s: how long one question to the brokers may take, seconds.
    """

    settings: Settings
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    backpressure: Backpressure | None = None
    console: Console | None = field(default=None, repr=False)
    make_producer: Callable[[dict[str, Any]], Producer] = Producer
    probe_s: float = 5.0

    def wait_for_kafka(self, wait_s: float = 60.0) -> None:
        """Wait until a broker answers, saying so in the log.

        Raises:
            KafkaException: none did within `wait_s`.
        """
        probe = self.make_producer({**producer_config(self.settings)})
        for attempt in stamina.retry_context(
            on=KafkaException, attempts=None, timeout=wait_s, wait_max=2.0
        ):
            with attempt:
                self._probe(probe)

    def send(
        self, messages: Iterable[Message], *, total: int | None, rate: float | None, title: str
    ) -> Sent:
        """Send messages in their order and wait until Kafka has them.

        Args:
            messages: what to send; read as fast as it is sent, never all at once.
            total: how many there are, None where there is no end.
            rate: messages a second, None for as fast as possible.
            title: shown at the progress bar.

        Raises:
            DeliveryFailed: Kafka refused a message, or did not take all; names the topic.
            KafkaException: no broker answers.
            ValueError: the rate is not positive.
        """
        if rate is not None and rate <= 0:
            raise ValueError(f"rate must be positive, got {rate}")
        errors = _Errors()
        config = producer_config(self.settings) | {"delivery.report.only.error": True}
        producer = self.make_producer({**config, "on_delivery": errors.note})
        self._check_topics(producer)
        counts: Counter[Stream] = Counter()
        start_s = self.clock()
        size = CHUNK if total is not None else 1  # what lives must not wait for a full chunk
        with _bar(self.console) as progress:
            task = progress.add_task(title, total=total, speed=0.0)
            try:
                for chunk in self._paced(messages, size, rate):
                    self._hold(producer)
                    for message in chunk:
                        self._produce(producer, message)
                        counts[message.stream] += 1
                    producer.poll(0)
                    errors.check()
                    speed = counts.total() / max(1e-3, self.clock() - start_s)
                    progress.update(task, completed=counts.total(), speed=speed)
            finally:
                # Also when Ctrl-C ends a stream that has no end: what was counted, is sent.
                left = producer.flush(FLUSH_S)
        errors.check()
        if left:
            raise DeliveryFailed(
                "Kafka", f"{left} messages not taken within {FLUSH_S:.0f} s"
            ) from silence()
        return Sent(dict(counts), self.clock() - start_s)

    def _paced(
        self, messages: Iterable[Message], size: int, rate: float | None
    ) -> Iterator[list[Message]]:
        """Chunks of at most `size`; at a rate, each when the first of it is due."""
        if rate is not None:
            size = max(1, min(size, int(rate * _TURN_S)))
        rest, start_s, sent = iter(messages), self.clock(), 0
        while chunk := list(itertools.islice(rest, size)):
            if rate is not None:
                self.sleep(max(0.0, start_s + sent / rate - self.clock()))
            yield chunk
            sent += len(chunk)

    def _hold(self, producer: Producer) -> None:
        pressure = self.backpressure
        while pressure is not None and pressure.unprocessed() > pressure.limit:
            producer.poll(0)
            self.sleep(_POLL_S)

    def _produce(self, producer: Producer, message: Message) -> None:
        """Hand one message to librdkafka; while its queue is full, let it send."""
        topic, value = self._topic(message.stream), encode(message.event)
        while True:
            try:
                producer.produce(topic, key=message.key.encode(), value=value)
            except BufferError:
                producer.poll(_POLL_S)
            except KafkaException as error:
                raise DeliveryFailed(topic, error.args[0].str()) from error
            else:
                return

    def _check_topics(self, producer: Producer) -> None:
        """Raise `DeliveryFailed` where a topic is missing.

        librdkafka itself holds messages to a missing topic for half a minute before it gives up.
        A topic that was created a moment ago may not have reached the broker that answers.
        """
        for attempt in stamina.retry_context(
            on=DeliveryFailed, attempts=None, timeout=self.probe_s, wait_max=0.5
        ):
            with attempt:
                existing = producer.list_topics(timeout=self.probe_s).topics
                for topic in self.settings.topics.inputs():
                    if topic.name not in existing:
                        raise DeliveryFailed(
                            topic.name, "there is no such topic"
                        ) from KafkaException(KafkaError(KafkaError._UNKNOWN_TOPIC))

    def _topic(self, stream: Stream) -> str:
        topics = self.settings.topics
        if stream == "interactions":
            return topics.interactions.name
        return topics.place_updates.name if stream == "place_updates" else topics.context.name

    def _probe(self, probe: Producer) -> None:
        try:
            probe.list_topics(timeout=self.probe_s)
        except KafkaException as error:
            log.warning("kafka_missing", brokers=self.settings.kafka_bootstrap, error=str(error))
            raise


def _bar(console: Console | None) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]:,.0f} events/s"),
        TimeRemainingColumn(),
        console=console,
    )
