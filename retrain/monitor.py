"""Watches what is served and what comes of it: drift, outcomes, unseen samples, the model's age."""

import threading
import time
from collections.abc import Callable

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
from retrain.drift_watch import DriftWatch
from retrain.in_service import InService, NoCard, load_in_service, newest_trained_at_s
from retrain.lease import LeaseLost
from retrain.outcome_watch import OutcomeWatch
from retrain.publish import NotPublished
from retrain.rewind import Rewind
from retrain.rollout import current
from retrain.trigger_state import Triggers
from retrain.triggers import Observation

_log = structlog.get_logger(__name__)

GROUP = "retrain-monitor"
#: Impressions taken from Kafka at once, and how long to wait for the first.
BATCH = 500
POLL_S = 0.5
#: How often detectors, samples and age are judged.
LOOK_S = 5.0
_KAFKA_S = 10.0


class Monitor:
    """Reads impressions, and asks for a training when it is time; one of all that run, by lease.

    Two would each judge the part of the answers that Kafka gives them. So the others wait, read
    nothing and show nothing, and one of them takes over when the lease is free.

    The windows live in memory; who restarts or takes over fills them again from what Kafka still
    has, within bounds (`retrain.rewind`), and judges once they hold enough.

    Args:
        settings: of the installation.
        triggers: decides and asks.
        clock: Unix seconds, for telling when it looked.
    """

    def __init__(
        self, settings: Settings, triggers: Triggers, clock: Callable[[], float] = time.time
    ) -> None:
        self.died_of: Exception | None = None
        self._settings = settings
        self._clock = clock
        self._rng = np.random.default_rng(settings.seed)
        self._triggers = triggers
        self._decoder = msgspec.json.Decoder(Impression)
        #: The version that was found in service last.
        self.version: int | None = None
        self._watch: DriftWatch | None = None
        self._outcomes = OutcomeWatch(settings)
        self._consumer = confluent_kafka.Consumer(
            consumer_config(settings, f"{settings.topic_prefix}.{GROUP}")
        )
        self._rewind = Rewind(settings, clock)

    def run(self, stop: threading.Event, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Until `stop`. What is away (Kafka, Redis) is named in the log and tried again.

        Anything else sets `stop` and is kept in `died_of`.
        """
        try:
            while not stop.is_set():
                if not self._takes_over():
                    stop.wait(POLL_S)
                    continue
                try:
                    self._watch_on(stop, monotonic)
                except LeaseLost as lost:
                    self._step_down(str(lost))
        except Exception as error:
            _log.exception("monitor_died")
            self.died_of = error
            stop.set()
        finally:
            # In this order: who takes over finds the partitions free.
            self._consumer.close()
            self._triggers.lease.release()

    def _takes_over(self) -> bool:
        """Whether this is the one that watches, from now on."""
        try:
            if not self._triggers.lease.acquire():
                return False
        except redis.RedisError as error:
            _log.warning("monitor_waits", error=str(error))
            return False
        self._rewind = Rewind(self._settings, self._clock)
        topics = self._settings.topics
        names = [topics.impressions.name, topics.interactions.name]
        self._consumer.subscribe(names, on_assign=self._rewind.assigned)
        _log.info("monitor_takes_over", fence=self._triggers.lease.token)
        return True

    def _watch_on(self, stop: threading.Event, monotonic: Callable[[], float]) -> None:
        """Until `stop`.

        Raises:
            LeaseLost: another watches.
        """
        next_look = monotonic()
        # What is read again fills the windows of the version in service, and so needs it first.
        self._tried(self._follow)
        while not stop.is_set():
            self._read(self._consumer.consume(BATCH, POLL_S))
            if monotonic() >= next_look and not self._rewind.under_way:
                if self._tried(self._look_as_the_one):
                    metrics.DRIFT_LOOK.set(self._clock())
                next_look = monotonic() + LOOK_S

    def _look_as_the_one(self) -> None:
        lease = self._triggers.lease
        try:
            lease.check()
        except LeaseLost:
            # It ran out while Redis was away. If nobody took it, nothing in memory is stale.
            lease.release()
            if not lease.acquire():
                raise
        self.look()

    def _step_down(self, why: str) -> None:
        """Read no more, and forget all of it: another reads on from here."""
        _log.warning("monitor_steps_down", error=why)
        self._consumer.unsubscribe()
        self.version, self._watch = None, None
        self._outcomes = OutcomeWatch(self._settings)
        self._outcomes.follow(None)
        self._outcomes.show()
        metrics.show_no_watch()

    def _tried(self, step: Callable[[], object]) -> bool:
        """Whether a step succeeded; what was away or damaged is named in the log."""
        try:
            step()
        except (redis.RedisError, NotPublished, confluent_kafka.KafkaException) as error:
            _log.warning("monitor_waits", error=str(error))
        except (OSError, ValueError) as error:
            # Nobody can tell what is in service until someone has mended the file.
            _log.error("configuration_unreadable", error=str(error))
        else:
            return True
        return False

    def _read(self, came: list[confluent_kafka.Message]) -> None:
        """Take in what was consumed: what was read before a restart apart from what is new."""
        messages = []
        for message in came:
            error = message.error()
            if error is None:
                messages.append(message)
            else:
                _log.warning("impressions_not_read", error=error.str())
        again, new = self._rewind.taken(self._consumer, messages)
        if again:
            self._take(again, again=True)
        if self._rewind.under_way:
            return  # nothing is committed: who is killed now begins where this one did
        self._take(new, again=False, drained=not came)
        if new:
            self._consumer.commit(offsets=self._rewind.reached(), asynchronous=True)

    def _take(
        self, messages: list[confluent_kafka.Message], *, again: bool, drained: bool = False
    ) -> None:
        """`again`: all of them were counted before a restart, and only fill the windows now."""
        impressions: list[Impression] = []
        interactions: list[tuple[bytes | None, float]] = []
        for message in messages:
            if message.topic() != self._settings.topics.impressions.name:
                interactions.append((message.value(), message.timestamp()[1] / 1_000))
                continue
            try:
                impressions.append(decode(self._decoder, message.value()))
            except BadEvent as bad:
                if not again:
                    metrics.IMPRESSIONS_SKIPPED.labels(reason="unreadable").inc()
                    _log.warning("impression_unreadable", error=str(bad), offset=message.offset())
        self._outcomes.update(impressions, interactions, drained=drained, again=again)
        if self._watch is not None:
            self._watch.update(impressions, again=again)
        elif not again:
            metrics.IMPRESSIONS_SKIPPED.labels(reason="no_reference").inc(len(impressions))

    def look(self) -> str | None:
        """Judge what is known now; return the audit id if a training was asked for."""
        self._follow()
        self._outcomes.show()
        seen = Observation()
        if self._watch is not None:
            model = self._watch.model
            self._watch.show()
            samples = self._samples_since(model.trained_at_s)
            metrics.SAMPLES.set(samples)
            self._show_newest(model, samples)
            accuracy, accuracy_high = self._outcomes.accuracy() or (None, None)
            asking = self._watch.asking() | self._outcomes.asking()
            seen = Observation(
                psi={column: psi for column, (psi, _) in asking.items()},
                chance={column: chance for column, (_, chance) in asking.items()},
                samples_since_training=samples,
                trained_at_s=model.trained_at_s,
                context={
                    "version": model.version,
                    **self._watch.evidence(),
                    **self._outcomes.evidence(),
                },
                accuracy=accuracy,
                accuracy_high=accuracy_high,
                window_s=self._watch.window.span_s,
                version=model.version,
            )
        return self._triggers.look(seen)

    def _follow(self) -> None:
        """Start over with the reference of the version in service, when that has changed."""
        version = current(self._settings)
        if version == self.version:
            return
        metrics.forget_drift()
        metrics.IN_SERVICE.set(version or 0)
        self.version, self._watch = version, None
        self._outcomes.follow(None)
        if version is not None:
            self._begin(version)
        watched = {"columns": self._watch is not None, **self._outcomes.watched()}
        metrics.show_watched({} if version is None else watched)

    def _begin(self, version: int) -> None:
        try:
            model = load_in_service(self._settings, version)
        except NoCard as error:
            # Samples and age cannot be told either; the week counts from the first look.
            _log.error("nothing_to_compare_with", version=version, error=str(error))
            return
        self._watch = DriftWatch(self._settings, model, self._rng)
        self._outcomes.follow(model)
        for name, value in model.metrics.items():
            metrics.QUALITY.labels(metric=name).set(value)
        _log.info("watching_drift", version=version)

    def _show_newest(self, model: InService, samples: int) -> None:
        """A pair on trial for weeks has seen what the one in service has not."""
        newest_s = newest_trained_at_s(self._settings)
        if newest_s is not None and newest_s > model.trained_at_s:
            samples = self._samples_since(newest_s)
        metrics.NEW_SAMPLES.set(samples)
        metrics.NEWEST_PAIR.set(max(newest_s or 0, model.trained_at_s))

    def _samples_since(self, trained_at_s: float) -> int:
        """Interactions that reached Kafka after a training read its data."""
        topic = self._settings.topics.interactions
        trained_ms = int(trained_at_s * 1000)
        asked = [TopicPartition(topic.name, p, trained_ms) for p in range(topic.partitions)]
        samples = 0
        for first in self._consumer.offsets_for_times(asked, timeout=_KAFKA_S):
            # Negative: nothing has come since.
            if first.offset >= 0:
                _, end = self._consumer.get_watermark_offsets(first, timeout=_KAFKA_S)
                samples += end - first.offset
        return samples
