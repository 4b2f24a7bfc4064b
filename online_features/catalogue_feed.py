"""Keeps a catalogue fresh from the compacted topic of whole places."""

import threading
import time
import uuid

import msgspec
import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from contracts.events import BadEvent, PlaceDocument, decode
from contracts.kafka import consumer_config
from contracts.settings import Settings
from online_features.catalogue import Catalogue

log = structlog.get_logger(__name__)
_DECODER = msgspec.json.Decoder(PlaceDocument)


class CatalogueFeed:
    """A thread that reads every place from the beginning, then follows the changes."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._loaded = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="catalogue-feed", daemon=True)

    def start(self) -> None:
        """Begin to read; waits for Kafka by itself, saying so in the log."""
        self._thread.start()

    def wait_loaded(self, timeout_s: float) -> bool:
        """Wait until all that was in the topic at the start has been read."""
        return self._loaded.wait(timeout_s)

    def close(self) -> None:
        """Stop reading and wait for the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        # Every service reads all partitions, so the group is its own and commits nothing.
        group = f"{self._settings.topic_prefix}-catalogue-{uuid.uuid4().hex[:8]}"
        consumer = Consumer(consumer_config(self._settings, group))
        try:
            ends = self._assign_all(consumer)
            while not self._stop.is_set():
                for message in consumer.consume(num_messages=1_000, timeout=0.1):
                    self._follow(message)
                if not self._loaded.is_set() and self._reached(consumer, ends):
                    log.info("catalogue loaded", places=len(self._catalogue))
                    self._loaded.set()
        finally:
            consumer.close()

    def _assign_all(self, consumer: Consumer) -> dict[int, int]:
        """Assign every partition from its beginning; return their end offsets."""
        name = self._settings.topics.places.name
        while not self._stop.is_set():
            try:
                found = consumer.list_topics(name, timeout=5).topics[name].partitions
                if not found:
                    raise LookupError(f"topic {name} does not exist yet")
                parts = [TopicPartition(name, p, OFFSET_BEGINNING) for p in found]
                ends = {p.partition: consumer.get_watermark_offsets(p, timeout=5)[1] for p in parts}
                consumer.assign(parts)
                return ends
            except Exception as error:  # the broker may be away in many ways; all mean "wait"
                log.warning("waiting for Kafka", topic=name, cause=str(error))
                time.sleep(1)
        return {}

    def _reached(self, consumer: Consumer, ends: dict[int, int]) -> bool:
        name = self._settings.topics.places.name
        positions = consumer.position([TopicPartition(name, p) for p in ends])
        return all(p.offset >= ends[p.partition] or ends[p.partition] <= 0 for p in positions)

    def _follow(self, message: Message) -> None:
        try:
            self._apply(message)
        except Exception:  # whatever one message holds, the others must not go stale
            at = {"partition": message.partition(), "offset": message.offset()}
            log.exception("a place cannot be taken in", **at)

    def _apply(self, message: Message) -> None:
        key = message.key()
        if message.error() is not None or key is None:
            log.warning("catalogue feed", cause=str(message.error() or "a message with no key"))
            return
        value = message.value()
        if value is None:
            self._catalogue.close(key.decode())
            return
        try:
            self._catalogue.upsert(decode(_DECODER, value))
        except BadEvent as error:
            log.error("a place cannot be read", place=key.decode(), cause=str(error))
