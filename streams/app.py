"""The Faust app: topics, agents, and what happens when partitions come and go."""

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import faust
import structlog
from confluent_kafka import KafkaException
from faust.types import TP
from redis import RedisError
from redis.asyncio import Redis

from contracts.settings import Settings
from online_features.keys import Keys
from online_features.store import Store
from streams.archive import Archive
from streams.by_place import PlaceSink
from streams.careful import CarefulAgent, Sink
from streams.dead_letters import DeadLetters
from streams.emitter import Emitter
from streams.impressions import ImpressionSink
from streams.interactions import InteractionSink
from streams.liveness import Liveness, Stuck
from streams.metadata import ContextUpdates, PlaceUpdates
from streams.metrics import LAG_MESSAGES
from streams.shards import Shards
from streams.transport import PollConsumer, WholePoll

log = structlog.get_logger(__name__)
#: Polls that may wait for an agent; each holds up to `batch_max_events` records.
POLLS_BUFFERED = 2
ARCHIVE_CHECK_S = 0.5
#: A broker that has just restarted may know no topics for a moment; a group that forms then shares
#: out nothing, and stands still until its leader looks again (Kafka's default: after 5 minutes).
METADATA_MAX_AGE_MS = 5_000


@dataclass(frozen=True)
class Parts:
    """The parts of one worker, joined."""

    sinks: dict[str, Sink]
    shards: Shards
    archive: Archive
    emitter: Emitter
    dead_letters: DeadLetters


def build_parts(settings: Settings, redis: Redis, clock: Callable[[], float]) -> Parts:
    """Join sinks, shards and archive; `redis` must answer in bytes."""
    topics = settings.topics
    emitter = Emitter(settings)
    dead_letters = DeadLetters(settings, emitter, clock)
    archive = Archive(settings, clock)
    shards = Shards(
        Store(redis, Keys.of(settings)),
        {
            topics.interactions.name: "i",
            topics.by_place.name: "b",
            topics.place_updates.name: "d",
            topics.context.name: "c",
            topics.impressions.name: "s",
        },
    )
    shared = (shards, emitter, dead_letters, archive)
    sinks: dict[str, Sink] = {
        topics.interactions.name: InteractionSink(settings, *shared, clock),
        topics.by_place.name: PlaceSink(settings, shards, emitter, dead_letters),
        topics.place_updates.name: PlaceUpdates(settings, *shared),
        topics.context.name: ContextUpdates(settings, *shared),
        topics.impressions.name: ImpressionSink(settings, *shared),
    }
    return Parts(sinks, shards, archive, emitter, dead_letters)


class StreamApp(faust.App):
    """Faust's app, told where the stored states of its partitions stand."""

    parts: Parts
    batch_max_bytes: int

    async def take_over(self, tps: set[TP]) -> dict[TP, int]:
        """Own the shards of these partitions; return where each goes on."""
        await self.parts.shards.assigned(tps)
        return self.parts.shards.offsets(tps)


def build_app(
    settings: Settings, redis: Redis, clock: Callable[[], float] = time.time
) -> StreamApp:
    """The app of one `stream` worker."""
    app = StreamApp(
        f"{settings.topic_prefix}-stream",
        broker=",".join(f"placestream://{host}" for host in settings.kafka_bootstrap.split(",")),
        broker_credentials=_credentials(settings),
        broker_commit_interval=1.0,
        broker_session_timeout=settings.stream_session_s,
        broker_heartbeat_interval=settings.stream_session_s / 4,
        broker_max_poll_records=settings.batch_max_events,
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=POLLS_BUFFERED,
        stream_wait_empty=False,
        topic_allow_declare=False,  # contracts.topics declares them
        topic_disable_leader=True,
        web_enabled=False,
        store="memory://",
        datadir=str(Path(tempfile.gettempdir()) / "placestream-faust"),  # made, and left empty
    )
    app.parts = build_parts(settings, redis, clock)
    app.batch_max_bytes = settings.batch_max_bytes
    for topic, sink in app.parts.sinks.items():
        _add_agent(app, topic, sink)
    _give_up_revoked(app)
    _keep_archive(app)
    _watch_progress(app, settings)
    return app


def _add_agent(app: StreamApp, topic: str, sink: Sink) -> None:
    channel = app.topic(topic, schema=WholePoll(), internal=False)
    parts = app.parts
    careful = CarefulAgent(sink, parts.shards, parts.emitter, parts.dead_letters)

    async def agent(polls: Any) -> None:
        async for poll in polls:
            consumer_of(app).waiting.taken(poll)
            try:
                await careful.handle(poll, consumer_of(app))
            except KafkaException as error:
                log.critical("the producer is broken, ending", cause=str(error))
                await app.crash(error)
                raise
            # Faust's message and event refer to each other: until the garbage collector comes,
            # they would hold all of these records.
            poll.records.clear()

    app.agent(channel, name=f"placestream.{topic}")(agent)


def consumer_of(app: StreamApp) -> PollConsumer:
    """The app's consumer, as the transport made it."""
    return cast(PollConsumer, app.consumer)


def _give_up_revoked(app: StreamApp) -> None:
    async def revoked(_app: Any, revoked: set[TP], **_: Any) -> None:
        consumer_of(app).forget_fetched()
        app.parts.shards.revoked(revoked)
        for tp in revoked:  # a lag that nobody updates any more would look like a stuck stream
            with suppress(KeyError):
                LAG_MESSAGES.remove(tp.topic, str(tp.partition))

    app.on_partitions_revoked.connect(cast(Any, revoked), weak=False)


def _keep_archive(app: StreamApp) -> None:
    archive = app.parts.archive

    async def write_when_due() -> None:
        while not app.should_stop:
            await archive.wait_due(ARCHIVE_CHECK_S)
            if archive.due:
                try:
                    await archive.flush()
                except OSError as error:
                    log.error("archive cannot be written, trying again", cause=str(error))
                    await app.sleep(ARCHIVE_CHECK_S)

    async def write_the_rest(_app: Any, **_: Any) -> None:
        app.parts.emitter.close()
        await archive.flush()

    app.task(write_when_due)
    app.on_before_shutdown.connect(cast(Any, write_the_rest), weak=False)


def _watch_progress(app: StreamApp, settings: Settings) -> None:
    liveness = Liveness(settings.stream_stall_s, time.monotonic)

    async def observe() -> None:
        consumer = consumer_of(app)
        try:
            ends = {tp: consumer.highwater(tp) for tp in consumer.assignment()}
        except AssertionError:  # aiokafka: a partition was taken from us meanwhile
            return
        try:
            liveness.observe(app.parts.shards.all(), ends)
        except Stuck as error:
            log.critical("stuck, ending", cause=str(error))
            await app.crash(error)

    async def look_for_losses() -> None:
        with suppress(RedisError, OSError):  # agents wait for Redis, and say so
            await app.parts.shards.look_for_losses(consumer_of(app))

    async def start() -> None:
        liveness.start()

    app.task(start)
    app.timer(interval=1.0)(observe)
    app.timer(interval=1.0)(look_for_losses)


def _credentials(settings: Settings) -> Any:
    protocol = settings.kafka_security_protocol
    if protocol == "PLAINTEXT":
        return None
    import ssl

    context = None
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.kafka_ca_file)
        if settings.kafka_certificate_file is not None:
            password = settings.kafka_key_password.get_secret_value()
            files = (settings.kafka_certificate_file, settings.kafka_key_file)
            context.load_cert_chain(*files, password=password or None)
    if not protocol.startswith("SASL"):
        return faust.SSLCredentials(context=context)
    return faust.SASLCredentials(
        username=settings.kafka_username,
        password=settings.kafka_password.get_secret_value(),
        mechanism=settings.kafka_sasl_mechanism,
        ssl_context=context,
    )
