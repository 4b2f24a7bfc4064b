"""Watches what is served: drift of the ranker's columns, unseen samples, the age of the model."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import confluent_kafka
import msgspec
import numpy as np
import redis
import structlog
from confluent_kafka import TopicPartition

from contracts.events import BadEvent, Impression, decode
from contracts.kafka import consumer_config
from contracts.settings import Settings
from retrain import metrics
from retrain.in_service import InService, NoCard, load_in_service
from retrain.ks import KolmogorovSmirnov
from retrain.psi import PopulationStability
from retrain.publish import NotPublished
from retrain.reference import Floats
from retrain.rollout import current
from retrain.trigger_state import Triggers
from retrain.triggers import Observation
from retrain.window import BinnedWindow

_log = structlog.get_logger(__name__)

GROUP = "retrain-monitor"
#: Chance of a false warning by KS, over all columns, per independent window.
KS_ALPHA = 0.05
#: Impressions taken from Kafka at once, and how long to wait for the first.
BATCH = 500
POLL_S = 0.5
#: How often detectors, samples and age are judged.
LOOK_S = 5.0
_KAFKA_S = 10.0

#: Columns that follow the clock or the sky. A day's weather is not the training's weather, and
#: needs no training: these are measured and shown, and ask for nothing.
RHYTHM = ("temperature", "congestion", "context_known", "weather_", "place_busy_weekday")


@dataclass(frozen=True)
class Rows:
    """Features of many answers.

    Attributes:
        values: float64[k, F].
        weights: float64[k], 1 in all for each answer.
        time_s: float64[k], when it was answered, Unix seconds.
    """

    values: Floats
    weights: Floats
    time_s: Floats


class DriftWatch:
    """Both detectors over one window, for the version in service."""

    def __init__(self, settings: Settings, model: InService) -> None:
        self.model = model
        self._columns = model.reference.columns
        self.window = BinnedWindow(model.reference, settings.drift_window_s)
        least = settings.drift_min_answers
        self._psi = PopulationStability(self.window, settings.psi_retrain, least)
        self._ks = KolmogorovSmirnov(self.window, KS_ALPHA, least)

    def update(self, impressions: Sequence[Impression]) -> None:
        """Take in answers of this version; others are counted and passed over."""
        rows = self._rows(impressions)
        if rows is not None:
            self.window.update(rows.values, rows.weights, rows.time_s)

    def _rows(self, impressions: Sequence[Impression]) -> Rows | None:
        values, weights, times = [], [], []
        width = len(self.model.features)
        for answer in impressions:
            if answer.models.get("ranker") != self.model.version:
                metrics.IMPRESSIONS_SKIPPED.labels(reason="other_version").inc()
                continue
            seen = [
                [*place.values, place.probability]
                for place in answer.places
                if len(place.values) == width and place.probability is not None
            ]
            if not seen:
                metrics.IMPRESSIONS_SKIPPED.labels(reason="no_features").inc()
                continue
            values += seen
            weights += [1 / len(seen)] * len(seen)
            times += [answer.timestamp.timestamp()] * len(seen)
        if not values:
            return None
        return Rows(np.array(values), np.array(weights), np.array(times))

    def show(self) -> None:
        """Set the gauges of all columns; columns without a value yet have none."""
        for gauge, values in (
            (metrics.DRIFT_PSI, self._psi.values()),
            (metrics.DRIFT_KS_P, self._ks.values()),
        ):
            for column, value in zip(self._columns, values, strict=True):
                if not math.isnan(value):
                    gauge.labels(feature=column).set(value)

    def psi(self) -> dict[str, float]:
        """PSI of the columns that may ask for a training; empty until the window is spanned."""
        if not self.window.spanned:
            return {}
        return {
            column: float(value)
            for column, value in zip(self._columns, self._psi.values(), strict=True)
            if not math.isnan(value) and not column.startswith(RHYTHM)
        }


class Monitor:
    """Reads impressions, and asks for a training when it is time.

    The windows live in memory; a restart begins them anew and judges once they are spanned.

    Args:
        settings: of the installation.
        triggers: decides and asks.
    """

    def __init__(self, settings: Settings, triggers: Triggers) -> None:
        self.died_of: Exception | None = None
        self._settings = settings
        self._triggers = triggers
        self._decoder = msgspec.json.Decoder(Impression)
        #: The version that was found in service last.
        self.version: int | None = None
        self._watch: DriftWatch | None = None
        self._consumer = confluent_kafka.Consumer(
            consumer_config(settings, f"{settings.topic_prefix}.{GROUP}")
        )
        self._consumer.subscribe([settings.topics.impressions.name])

    def run(self, stop: threading.Event, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Until `stop`. What is away (Kafka, Redis) is named in the log and tried again.

        Anything else sets `stop` and is kept in `died_of`.
        """
        next_look = monotonic()
        try:
            while not stop.is_set():
                self._take(self._consumer.consume(BATCH, POLL_S))
                if monotonic() >= next_look:
                    self._try_look()
                    next_look = monotonic() + LOOK_S
        except Exception as error:
            _log.exception("monitor_died")
            self.died_of = error
            stop.set()
        finally:
            self._consumer.close()

    def _try_look(self) -> None:
        try:
            self.look()
        except (redis.RedisError, NotPublished, confluent_kafka.KafkaException) as error:
            _log.warning("monitor_waits", error=str(error))
        except (OSError, ValueError) as error:
            # Nobody can tell what is in service until someone has mended the file.
            _log.error("configuration_unreadable", error=str(error))

    def _take(self, messages: list[confluent_kafka.Message]) -> None:
        impressions = []
        for message in messages:
            error = message.error()
            if error is not None:
                _log.warning("impressions_not_read", error=error.str())
                continue
            try:
                impressions.append(decode(self._decoder, message.value()))
            except BadEvent as bad:
                metrics.IMPRESSIONS_SKIPPED.labels(reason="unreadable").inc()
                _log.warning("impression_unreadable", error=str(bad), offset=message.offset())
        if self._watch is not None:
            self._watch.update(impressions)
        else:
            metrics.IMPRESSIONS_SKIPPED.labels(reason="no_reference").inc(len(impressions))
        if messages:
            self._consumer.commit(asynchronous=True)

    def look(self) -> str | None:
        """Judge what is known now; return the audit id if a training was asked for."""
        self._follow()
        seen = Observation()
        if self._watch is not None:
            model = self._watch.model
            self._watch.show()
            samples = self._samples_since(model)
            metrics.SAMPLES.set(samples)
            seen = Observation(
                psi=self._watch.psi(),
                samples_since_training=samples,
                trained_at_s=model.trained_at_s,
                context={"version": model.version, "answers": round(self._watch.window.size)},
            )
        return self._triggers.look(seen)

    def _follow(self) -> None:
        """Start over with the reference of the version in service, when that has changed."""
        version = current(self._settings)
        if version == self.version:
            return
        metrics.DRIFT_PSI.clear()
        metrics.DRIFT_KS_P.clear()
        self.version, self._watch = version, None
        if version is None:
            return
        try:
            model = load_in_service(self._settings, version)
        except NoCard as error:
            # Samples and age cannot be told either; the week counts from the first look.
            _log.error("nothing_to_compare_with", version=version, error=str(error))
            return
        self._watch = DriftWatch(self._settings, model)
        for name, value in model.metrics.items():
            metrics.QUALITY.labels(metric=name).set(value)
        _log.info("watching_drift", version=version)

    def _samples_since(self, model: InService) -> int:
        """Interactions that reached Kafka after the training read its data."""
        topic = self._settings.topics.interactions
        trained_ms = int(model.trained_at_s * 1000)
        asked = [TopicPartition(topic.name, p, trained_ms) for p in range(topic.partitions)]
        samples = 0
        for first in self._consumer.offsets_for_times(asked, timeout=_KAFKA_S):
            # Negative: nothing has come since.
            if first.offset >= 0:
                _, end = self._consumer.get_watermark_offsets(first, timeout=_KAFKA_S)
                samples += end - first.offset
        return samples
