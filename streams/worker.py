"""The `stream` role: waits for what it needs, then runs the Faust worker until told to stop."""

import gc
import time

import faust
import redis
import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from faust.transport.drivers import TRANSPORTS
from prometheus_client import start_http_server

from contracts.kafka import client_config
from contracts.settings import Settings
from contracts.topics import create_topics
from online_features.redis_client import blocking_client_of, client_of
from streams.app import build_app

log = structlog.get_logger(__name__)
TRANSPORTS.aliases["placestream"] = "streams.transport:Transport"
RETRY_S = 1.0
#: New objects after which the garbage collector looks at the youngest; Python's default is 700.
GARBAGE_OBJECTS = 50_000


def run(settings: Settings) -> None:
    """Run a worker; blocks until SIGTERM or SIGINT, then finishes its batch and commits.

    Raises:
        ValueError: a topic exists with another number of partitions than the settings say.
    """
    wait_for_redis(settings)
    wait_for_kafka(settings)
    if settings.stream_metrics_port:
        start_http_server(settings.stream_metrics_port)
    connection = client_of(settings, socket_timeout=10, socket_connect_timeout=2)
    app = build_app(settings, connection)
    # What is loaded lives as long as the process; a look of the garbage collector at all of it
    # takes 50 ms, in which no event is folded.
    gc.collect()
    gc.freeze()
    # A batch makes ten thousands of objects that die with it: to look for cycles among them after
    # every few hundred finds none, and takes a twentieth of the worker's time.
    gc.set_threshold(GARBAGE_OBJECTS, 20, 20)
    worker = _Worker(app, loglevel=settings.log_level, redirect_stdouts=False)
    worker.execute_from_commandline()


class _Worker(faust.Worker):
    """Faust's, but for the logs: its own set-up would put handlers of its own in the place of those
    that hide secrets, and at DEBUG aiokafka logs every request, that with the password too."""

    def _setup_logging(self) -> None:
        pass


def wait_for_redis(settings: Settings) -> None:
    """Return when Redis answers; name it in the log until then."""
    while True:
        try:
            with blocking_client_of(settings, socket_timeout=2, socket_connect_timeout=2) as client:
                client.ping()
                return
        except redis.RedisError as error:
            log.warning("waiting for Redis", cause=str(error))
            time.sleep(RETRY_S)


def wait_for_kafka(settings: Settings) -> None:
    """Return when Kafka answers and the topics exist; name it in the log until then."""
    admin = AdminClient(client_config(settings))
    while True:
        try:
            if settings.kafka_declares_topics:
                create_topics(admin, settings.topics.all(), replication=settings.replication)
            elif missing := missing_topics(admin, settings):
                raise LookupError(f"topics do not exist yet: {', '.join(missing)}")
            return
        except (KafkaException, LookupError) as error:
            log.warning("waiting for Kafka", servers=settings.kafka_bootstrap, cause=str(error))
            time.sleep(RETRY_S)


def missing_topics(admin: AdminClient, settings: Settings) -> list[str]:
    """Names of our topics that the broker does not have."""
    existing = admin.list_topics(timeout=5).topics
    return [topic.name for topic in settings.topics.all() if topic.name not in existing]
