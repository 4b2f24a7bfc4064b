"""Every answer is logged with the features that the ranker saw (DESIGN.md, D7)."""

from datetime import UTC, datetime
from typing import Protocol

import numpy as np
import structlog
from confluent_kafka import KafkaError, KafkaException, Message
from numpy.typing import NDArray

from contracts.events import FAILED, PACKED, Impression, Location, ServedPlace, encode
from contracts.settings import Settings
from inference.answer import Answer
from inference.metrics import Metrics
from inference.producing import BackgroundProducer
from inference.query import Query

log = structlog.get_logger(__name__)

#: Answers that wait for Kafka, some 7 KB each: at 100 requests/s this bridges more than three
#: minutes within 128 MiB. What comes after is dropped, and counted.
BUFFERED_ANSWERS = 20_000
BUFFERED_KB = 131_072
#: An answer older than this is given up: no outcome could still be joined to it in time.
DELIVERY_TIMEOUT_MS = 300_000
#: Answers gather so long before they are sent, and a service that ends may take as long to be rid
#: of them. Nobody waits for them: their outcomes are held back for longer (`outcome_hold_s`). Sent
#: one by one, each costs Kafka, and the worker that archives it, several milliseconds; 100 a second
#: in portions of a quarter of a second still took a twentieth of two cores more than these.
LINGER_MS = 1_000
FLUSH_S = 5.0


class ImpressionLog(Protocol):
    """Where served answers are noted."""

    def record(self, query: Query, answer: Answer) -> None:
        """Note an answer; never blocks, never raises."""

    def failed(self, query: Query, variant: str, at_s: float) -> None:
        """Note that a variant had an error for an answer; never blocks, never raises."""


def impression(query: Query, answer: Answer, feature_set: str) -> Impression:
    """The event that tells what was served, in the order of the answer.

    Positions count on over the pages of an answer.
    """
    features, parts = _packed(answer.features), _packed(answer.parts)
    places = [
        ServedPlace(
            place_id=place.place_id,
            position=query.shown + position,
            score=place.score,
            probability=place.probability,
            propensity=place.propensity,
            features=features[position] if features else b"",
            parts=parts[position] if parts else b"",
        )
        for position, place in enumerate(answer.places)
    ]
    return Impression(
        request_id=query.request_id,
        user_id=query.user_id,
        timestamp=datetime.fromtimestamp(answer.answered_s, UTC),
        location=Location(query.lat, query.lng),
        variant=answer.variant,
        degradation=answer.level_name,
        models=answer.model_versions,
        feature_set=feature_set,
        places=places,
        took_ms=round(answer.took_ms, 3),
        models_ms=round(answer.models_ms, 3),
    )


def _packed(values: NDArray[np.float32] | None) -> list[bytes]:
    """Rows of places as an event holds them; one of NaN, of which nothing is known, as nothing."""
    if values is None:
        return []
    rows = values.astype(PACKED)
    return [b"" if np.isnan(row).any() else row.tobytes() for row in rows]


class KafkaImpressions:
    """Hands impressions to librdkafka, which keeps a bounded buffer and sends in the background.

    A missing Kafka costs the caller nothing: the buffer fills, then answers are dropped and
    counted as such.
    """

    def __init__(self, settings: Settings, metrics: Metrics, feature_set: str) -> None:
        self._topic = settings.topics.impressions.name
        self._feature_set = feature_set
        self._delivered = metrics.impressions.labels(outcome="delivered")
        self._dropped = metrics.impressions.labels(outcome="dropped")
        self._dropping = False
        self._producer = BackgroundProducer(
            settings,
            "impressions",
            {
                "queue.buffering.max.messages": BUFFERED_ANSWERS,
                "queue.buffering.max.kbytes": BUFFERED_KB,
                "message.timeout.ms": DELIVERY_TIMEOUT_MS,
                "linger.ms": LINGER_MS,
            },
        )

    def record(self, query: Query, answer: Answer) -> None:
        """Note an answer; never blocks, never raises."""
        self._send(impression(query, answer, self._feature_set))

    def failed(self, query: Query, variant: str, at_s: float) -> None:
        """Note that a variant had an error for an answer; never blocks, never raises."""
        event = Impression(
            request_id=query.request_id,
            user_id=query.user_id,
            timestamp=datetime.fromtimestamp(at_s, UTC),
            location=Location(query.lat, query.lng),
            variant=variant,
            degradation=FAILED,
            models={},
            feature_set=self._feature_set,
            places=[],
        )
        self._send(event)

    def _send(self, event: Impression) -> None:
        try:
            self._producer.produce(self._topic, encode(event), event.user_id, self._done)
        except BufferError:
            self._drop("the buffer is full")
        except KafkaException as error:
            self._drop(str(error))

    def close(self, timeout_s: float = FLUSH_S) -> None:
        """Send what is buffered, for at most so long; the rest is dropped, and counted."""
        self._producer.close(timeout_s)

    def _done(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._drop(str(error))
            return
        self._delivered.inc()
        self._dropping = False

    def _drop(self, cause: str) -> None:
        self._dropped.inc()
        if not self._dropping:
            log.warning("impressions_dropped", cause=cause)
        self._dropping = True
