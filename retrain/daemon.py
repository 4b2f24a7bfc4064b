"""The trainer: waits for requests, works them off, and watches drift beside it."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from urllib.parse import urlsplit

import confluent_kafka
import msgspec
import redis
import structlog
from confluent_kafka.admin import AdminClient
from prometheus_client import start_http_server

from contracts.events import BadEvent, RetrainRequested, decode
from contracts.kafka import client_config, consumer_config
from contracts.settings import Settings
from contracts.topics import create_topics
from online_features.redis_client import blocking_client_of
from retrain import metrics
from retrain.child import Trainer, nothing_to_prepare
from retrain.controller import Controller
from retrain.dead_letters import dead_letter
from retrain.lease import TTL_S, LeaseLost
from retrain.model_admin import ModelAdmin
from retrain.model_config import DamagedConfig
from retrain.monitor import Monitor
from retrain.publish import NotPublished, Outbox, Publisher
from retrain.rollout import activate, ensure_config
from retrain.trainer import train_judge_export
from retrain.trigger_state import Triggers
from retrain.work import Activate, Stopping, Worker

_log = structlog.get_logger(__name__)

GROUP = "retrain"
POLL_S = 0.5
_RETRY_S = 2.0
#: A model is loaded (minutes) between two polls; who is silent for longer has died.
_SILENT_MS = 900_000
#: A killed trainer's successor gets its request after this, not after the default 45 s.
_DEAD_MS = 10_000


def run(
    settings: Settings,
    *,
    stop: threading.Event | None = None,
    trainer: Trainer = train_judge_export,
    clock: Callable[[], float] = time.time,
    activate: Activate = activate,
    prepare: Callable[[Settings], None] = nothing_to_prepare,
    lease_s: float = TTL_S,
) -> None:
    """Run the trainer until SIGTERM, SIGINT or `stop`.

    Args:
        settings: of the installation.
        stop: ends the run when set.
        trainer: trains, judges and exports, in a child process.
        clock: Unix seconds.
        activate: brings a version into service.
        prepare: called first in the child, e.g. to configure its logs.
        lease_s: how long a dead trainer keeps others waiting, seconds.
    """
    stop = _stop_on_signals() if stop is None else stop
    ensure_config(settings)
    with ExitStack() as closing:
        _serve_metrics(settings, closing)
        if not _wait_for_all(settings, stop):
            return
        client = closing.enter_context(_redis(settings))
        publisher = Publisher(settings)
        closing.callback(publisher.close)
        monitor = Monitor(settings, Triggers(settings, client, publisher, clock), clock)
        closing.enter_context(_beside("monitor", monitor, stop))
        controller = Controller(settings, client, publisher, clock, lease_s=lease_s)
        closing.enter_context(_beside("controller", controller, stop))
        requests = Requests(settings, publisher, stop)
        closing.callback(requests.close)
        worker = Worker(
            settings,
            client,
            publisher,
            trainer,
            clock,
            requests.idle,
            activate=activate,
            prepare=prepare,
            lease_s=lease_s,
            on_trial=controller.begin,
        )
        requests.run(worker)
    _log.info("trainer_stopped")


def _serve_metrics(settings: Settings, closing: ExitStack) -> None:
    if settings.retrain_metrics_port:
        server, _ = start_http_server(settings.retrain_metrics_port)
        closing.callback(server.server_close)
        closing.callback(server.shutdown)


@contextmanager
def _beside(name: str, part: Monitor | Controller, stop: threading.Event) -> Iterator[None]:
    """A part in a thread; a trainer that sees no drift or moves no label must not look alive."""
    run = threading.Thread(target=part.run, args=(stop,), name=f"retrain-{name}", daemon=True)
    run.start()
    try:
        yield
    finally:
        stop.set()
        run.join()
    if part.died_of is not None:
        raise part.died_of


class Requests:
    """The topic of requests, one at a time; an offset is committed when its request has ended."""

    def __init__(self, settings: Settings, outbox: Outbox, stop: threading.Event) -> None:
        self._topics = settings.topics
        self._outbox = outbox
        self._stop = stop
        self._decoder = msgspec.json.Decoder(RetrainRequested)
        self._consumer = confluent_kafka.Consumer(
            consumer_config(settings, f"{settings.topic_prefix}.{GROUP}")
            | {
                "max.poll.interval.ms": _SILENT_MS,
                "session.timeout.ms": _DEAD_MS,
                "enable.auto.offset.store": False,
            }
        )
        self._consumer.subscribe([self._topics.retrain.name])

    def run(self, worker: Worker) -> None:
        """Until stopped."""
        _log.info("waiting_for_requests", topic=self._topics.retrain.name)
        while not self._stop.is_set():
            message = self._consumer.poll(POLL_S)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                _log.warning("requests_not_read", error=error.str())
                continue
            try:
                self._handle(message, worker)
            except Stopping:
                return

    def _handle(self, message: confluent_kafka.Message, worker: Worker) -> None:
        """Bring one request to its end, however often what it needs goes away meanwhile."""
        self._consumer.pause(self._consumer.assignment())
        end = self._ending(message, worker)
        while True:
            try:
                end()
                break
            except (LeaseLost, NotPublished, DamagedConfig, redis.RedisError, OSError) as error:
                _log.warning("request_stays_open", offset=message.offset(), error=str(error))
                self._pause_s(_RETRY_S)
        self._commit(message)
        metrics.OPEN_REQUEST.set(0)
        self._consumer.resume(self._consumer.assignment())

    def _ending(self, message: confluent_kafka.Message, worker: Worker) -> Callable[[], object]:
        """What brings this request to its end: work, or the dead letters."""
        try:
            request = decode(self._decoder, message.value())
        except BadEvent as bad:
            _log.warning("request_unreadable", offset=message.offset(), error=str(bad))
            letters = self._topics.dlq(self._topics.retrain)
            return partial(self._outbox.send, letters, "", dead_letter(message, bad))
        _log.info("request_taken", audit_id=request.audit_id, reason=request.reason)
        metrics.REQUESTS.labels(reason=request.reason).inc()
        metrics.OPEN_REQUEST.set(request.requested_at.timestamp())
        return partial(worker.work, request)

    def _commit(self, message: confluent_kafka.Message) -> None:
        try:
            self._consumer.commit(message=message, asynchronous=False)
        except confluent_kafka.KafkaException as error:
            # The partition has moved on; its next owner finds the request ended in Redis.
            _log.warning("request_not_committed", offset=message.offset(), error=str(error))

    def idle(self) -> None:
        """Keep the membership alive while something else goes on.

        Raises:
            Stopping: the process is to end.
        """
        if self._stop.is_set():
            raise Stopping
        # Paused: nothing comes, but a poll shows the group that this member lives.
        message = self._consumer.poll(0.05)
        if message is not None and message.error() is None:
            # A rebalance has undone the pause: this one is for later.
            self._consumer.seek(_position(message))
            self._consumer.pause(self._consumer.assignment())

    def _pause_s(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.idle()

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()


def _position(message: confluent_kafka.Message) -> confluent_kafka.TopicPartition:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise AssertionError("a consumed message has a position")
    return confluent_kafka.TopicPartition(topic, partition, offset)


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _redis(settings: Settings) -> redis.Redis:
    return blocking_client_of(settings, socket_timeout=5, socket_connect_timeout=5)


def _wait_for_all(settings: Settings, stop: threading.Event) -> bool:
    """Wait for Kafka, Redis and the model server; False if stopped meanwhile."""
    return (
        _wait_for("Kafka", settings.kafka_bootstrap, partial(_kafka_ready, settings), stop)
        and _wait_for("Redis", _address(settings), partial(_redis_ready, settings), stop)
        and _wait_for(
            "the model server", settings.model_server, partial(_server_ready, settings), stop
        )
    )


def _wait_for(name: str, where: str, ready: Callable[[], str], stop: threading.Event) -> bool:
    """Call `ready` until it returns no complaint."""
    while complaint := ready():
        _log.warning("waiting_for", part=name, where=where, cause=complaint)
        if stop.wait(_RETRY_S):
            return False
    return True


def _kafka_ready(settings: Settings) -> str:
    admin = AdminClient({**client_config(settings)})
    topics = settings.topics
    used = (*topics.all(), topics.dlq(topics.retrain))
    try:
        if settings.kafka_declares_topics:
            create_topics(admin, used, replication=settings.replication, timeout_s=10)
        known = admin.list_topics(timeout=10).topics
    except confluent_kafka.KafkaException as error:
        return str(error)
    missing = [topic.name for topic in used if topic.name not in known]
    return f"missing topics: {', '.join(missing)}" if missing else ""


def _address(settings: Settings) -> str:
    """Where Redis is, without the secrets of its URL."""
    url = urlsplit(settings.redis_url.get_secret_value())
    return f"{url.hostname}:{url.port or 6379}" if url.hostname else url.path


def _redis_ready(settings: Settings) -> str:
    try:
        with _redis(settings) as client:
            client.ping()
    except redis.RedisError as error:
        return str(error)
    return ""


def _server_ready(settings: Settings) -> str:
    with ModelAdmin(settings.model_server, timeout_s=5) as server:
        return "" if server.present() else "no answer"
