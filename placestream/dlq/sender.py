"""Sends replayed events to Kafka, and tells which of them arrived."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from contracts.kafka import QUIET, producer_config, silence
from contracts.settings import Settings
from contracts.topics import LARGEST_LETTER_BYTES
from placestream.dlq.check import Ready
from placestream.dlq.letters import Letter

#: Names the letter that an event was replayed from.
HEADER = "placestream-dlq"
TIMEOUT_S = 30.0


class NotSent(RuntimeError):
    """Kafka did not acknowledge an event; it may or may not be in the topic."""


@dataclass(frozen=True)
class Outgoing:
    """A letter, and as what it is sent."""

    letter: Letter
    ready: Ready

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        """Those that the event had, and where it comes from now."""
        own = [header for header in self.letter.dead.headers if header[0] != HEADER]
        return [*own, (HEADER, str(self.letter.id))]


class Sender:
    """An idempotent producer: its own retries do not double an event."""

    def __init__(self, settings: Settings, timeout_s: float = TIMEOUT_S) -> None:
        self._kafka = settings.kafka_bootstrap
        self._timeout_s = timeout_s
        self._producer = Producer(
            producer_config(settings)
            | QUIET
            | {
                "message.timeout.ms": int(timeout_s * 1_000),
                "linger.ms": 0,  # each batch is waited for
                # It came in somehow; how large an event may be is the broker's to say.
                "message.max.bytes": LARGEST_LETTER_BYTES,
            }
        )

    def send(self, batch: Sequence[Outgoing], arrived: Callable[[Outgoing], None]) -> None:
        """Send a batch and wait; `arrived` is called with each event that Kafka holds.

        Raises:
            NotSent: not all arrived.
        """
        failed: list[tuple[Outgoing, KafkaError]] = []
        for outgoing in batch:
            try:
                self._produce(outgoing, arrived, failed)
            except KafkaException as error:
                failed.append((outgoing, error.args[0]))
                break
        left = self._producer.flush(self._timeout_s + 1)
        if failed:
            outgoing, why = failed[0]
            raise NotSent(
                f"Kafka at {self._kafka} did not take {outgoing.letter.id}: {why.str()}"
            ) from KafkaException(why)
        if left:
            raise NotSent(
                f"Kafka at {self._kafka} did not answer within {self._timeout_s:.0f} s"
            ) from silence()

    def _produce(
        self,
        outgoing: Outgoing,
        arrived: Callable[[Outgoing], None],
        failed: list[tuple[Outgoing, KafkaError]],
    ) -> None:
        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is None:
                arrived(outgoing)
            else:
                failed.append((outgoing, error))

        ready, dead = outgoing.ready, outgoing.letter.dead
        # 0 means now, as the client's and (where the topic asks for it) the broker's clock say.
        stamp_ms = 0 if ready.at is None else int(ready.at.timestamp() * 1_000)
        self._producer.produce(
            dead.topic,
            value=ready.value,
            key=ready.key,
            headers=outgoing.headers(),
            timestamp=stamp_ms,
            on_delivery=delivered,
        )
