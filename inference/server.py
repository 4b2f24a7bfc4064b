"""The gRPC server: joins the parts, tells its health, and drains when it is asked to stop."""

import asyncio
import gc
import secrets
import signal
import sys
import time
import uuid
from contextlib import AsyncExitStack

import grpc.aio
import numpy as np
import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha import reflection
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from contracts.experiment import CANARY
from contracts.settings import Settings
from inference import readiness
from inference.access import guard, tls
from inference.challenger import Challenger, RedisShadowRecord
from inference.crowd_watch import CrowdWatch
from inference.deadline import Clock
from inference.feedback_log import KafkaFeedback
from inference.health import Health
from inference.impressions import KafkaImpressions
from inference.lookup import FeatureLookup
from inference.metrics import Metrics
from inference.model_client import ModelClient
from inference.model_contract import CheckedModels
from inference.ordering import pick
from inference.pipeline import Pipeline
from inference.plan_watch import PlanWatch
from inference.service import SERVICE, RecommendationService, add_to_server
from online_features.catalogue import Catalogue
from online_features.catalogue_feed import CatalogueFeed
from online_features.crowds import Crowds
from online_features.definitions import FEATURE_SET
from online_features.reader import OnlineReader
from online_features.redis_client import client_of
from online_features.warm_up import compile_loops

log = structlog.get_logger(__name__)

_OPTIONS = [
    # A second server on a port is a mistake to be told, not half of the requests gone astray.
    ("grpc.so_reuseport", 0),
]
#: Between "not serving" and the end of new requests, so that balancers have seen the former.
NOTICE_S = 0.5
#: No request for so long: whoever was told to leave has left.
QUIET_S = 0.1
#: How long requests in flight may take to end.
GRACE_S = 10.0
#: Of a burst, each request that reads at the same moment needs one of its own. redis-py's 100 are
#: fewer than may be under way, and the 101st would look like a failure of Redis.
REDIS_CONNECTIONS = 2_000
#: Threads that take in places give way to requests within this time, not within
#: Python's 5 ms.
GIVE_WAY_S = 0.0005


class RecommendationServer:
    """One service in this process. Start it, wait until it serves, stop it."""

    def __init__(
        self, settings: Settings, *, clock: Clock = time.time, monotonic: Clock = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._serving = asyncio.Event()
        self._health = Health(("", SERVICE))
        self._catalogue = Catalogue()
        self.metrics = Metrics()
        self.metrics.watch_catalogue(lambda: len(self._catalogue))
        #: Port that the service listens on, known after `start`.
        self.port = 0

    async def start(self) -> None:
        """Listen. RPCs are answered as well as the parts allow from now on.

        Returns when what a request runs through is compiled, which takes 5 s where that has never
        been done: nobody's request shall wait for it.

        Raises:
            RuntimeError: the gRPC port is taken.
            OSError: the metrics port is taken, or a file that settings name cannot be read.
            ValueError: certificates or the file of clients cannot be used.
        """
        await asyncio.to_thread(_compile)
        async with AsyncExitStack() as parts:
            await self._join_parts(parts)
            self._parts = parts.pop_all()
        log.info("listening", address=f"{self._settings.serve_host}:{self.port}")

    async def _join_parts(self, parts: AsyncExitStack) -> None:
        """Make every part, each with what closes it, in the reverse order of closing."""
        settings, metrics = self._settings, self.metrics
        redis = _redis(settings)
        parts.push_async_callback(redis.aclose)
        models = ModelClient(settings.model_server, settings.model_label)
        parts.push_async_callback(models.close)
        feed = CatalogueFeed(settings, self._catalogue)
        parts.push_async_callback(asyncio.to_thread, feed.close)
        impressions = KafkaImpressions(settings, metrics, FEATURE_SET)
        parts.push_async_callback(asyncio.to_thread, impressions.close)
        feedback = KafkaFeedback(settings)
        parts.push_async_callback(asyncio.to_thread, feedback.close)
        store = OnlineReader(redis, settings)
        clocks = {"clock": self._clock, "monotonic": self._monotonic}
        watch = CrowdWatch(self._catalogue, store, self._clock, lambda: store.hears)
        self._follow(parts, store, watch)
        metrics.watch_crowds(lambda: self._clock() - watch.crowds.as_of_s)
        tried = ModelClient(settings.model_server, CANARY)
        parts.push_async_callback(tried.close)
        on_trial = settings.model_copy(update={"model_label": CANARY})
        pipeline, beside = (
            self._pipeline(asked, watch.crowds, store, of)
            for asked, of in ((settings, models), (on_trial, tried))
        )
        challenger = self._challenger(parts, redis, beside)
        lookup = FeatureLookup(settings, store, **clocks)
        service = RecommendationService(
            settings,
            pipeline,
            lookup,
            impressions,
            feedback,
            metrics,
            **clocks,
            new_id=lambda: uuid.uuid4().hex,
            challenger=challenger,
        )
        page = metrics.serve(settings.serve_metrics_port, settings.serve_host)
        parts.push_async_callback(asyncio.to_thread, page.close)
        self._grpc = await self._listen(service)
        ready = asyncio.create_task(
            self._become_ready(redis, feed, models, watch, pipeline, service)
        )
        ready.add_done_callback(_log_failure)
        parts.callback(ready.cancel)

    def _follow(self, parts: AsyncExitStack, store: OnlineReader, watch: CrowdWatch) -> None:
        """Let the store hear what changes, and the crowd watch."""
        tracking = store.follow(self._catalogue.rows_of, watch.changed)
        if tracking is None:
            return
        self.metrics.watch_tracking(lambda: tracking.hears)
        listening = asyncio.create_task(tracking.run())
        listening.add_done_callback(_log_failure)
        parts.callback(listening.cancel)

    def _pipeline(
        self, settings: Settings, crowds: Crowds, store: OnlineReader, models: ModelClient
    ) -> Pipeline:
        return Pipeline(
            settings,
            self._catalogue,
            crowds,
            store,
            CheckedModels(models, self._monotonic),
            clock=self._clock,
            monotonic=self._monotonic,
            new_seed=lambda: secrets.randbits(63),
        )

    def _challenger(self, parts: AsyncExitStack, redis: Redis, pipeline: Pipeline) -> Challenger:
        """The pair on trial, and what follows the plan of its experiment."""
        settings = self._settings
        plans = PlanWatch(redis, settings, self._monotonic)
        record = RedisShadowRecord(redis, settings)
        challenger = Challenger(pipeline, plans, record, settings, self.metrics, self._monotonic)
        parts.push_async_callback(challenger.close)
        following = asyncio.create_task(plans.run())
        following.add_done_callback(_log_failure)
        parts.callback(following.cancel)
        return challenger

    async def wait_serving(self, timeout_s: float | None) -> None:
        """Wait until stores, models and warm-up have answered; for ever with `None`.

        Raises:
            TimeoutError: they have not, in this time.
        """
        async with asyncio.timeout(timeout_s):
            await self._serving.wait()

    async def stop(self, *, notice_s: float = 0.0, grace_s: float = GRACE_S) -> None:
        """Drain: say NOT_SERVING, wait a moment, let requests in flight end, close the parts."""
        self._health.ending()
        log.info("draining", notice_s=notice_s, grace_s=grace_s)
        await asyncio.sleep(notice_s)
        await self._quiet(grace_s)
        self._health.leave()
        await self._grpc.stop(grace_s)
        await self._parts.aclose()
        log.info("stopped")

    async def _quiet(self, most_s: float) -> None:
        """Wait until no request has been under way for a moment, at most so long.

        gRPC cancels what has arrived and was not yet handed to us: on a busy machine those are
        many, although nobody sends any more.
        """
        ends_s, quiet_s = self._monotonic() + most_s, 0.0
        while quiet_s < QUIET_S and self._monotonic() < ends_s:
            await asyncio.sleep(QUIET_S / 5)
            quiet_s = 0.0 if self.metrics.under_way else quiet_s + QUIET_S / 5

    async def _listen(self, service: RecommendationService) -> grpc.aio.Server:
        guards = guard.interceptors(
            self._settings, self.metrics, clock=self._clock, monotonic=self._monotonic
        )
        largest = ("grpc.max_receive_message_length", self._settings.serve_max_request_bytes)
        server = grpc.aio.server(options=[largest, *_OPTIONS], interceptors=guards)
        add_to_server(service, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if self._settings.serve_reflection:
            reflection.enable_server_reflection((SERVICE, HEALTH, reflection.SERVICE_NAME), server)
        self.port = tls.add_port(server, self._settings)
        await server.start()
        return server

    async def _become_ready(
        self,
        redis: "Redis",
        feed: CatalogueFeed,
        models: ModelClient,
        watch: CrowdWatch,
        pipeline: Pipeline,
        service: RecommendationService,
    ) -> None:
        async def load_catalogue() -> None:
            await readiness.wait_for_catalogue(feed, self._catalogue, self._settings)
            service.catalogue_loaded = True

        await asyncio.gather(
            readiness.wait_for_redis(redis, self._settings),
            load_catalogue(),
            readiness.wait_for_models(models, self._settings),
        )
        self._watching = asyncio.create_task(watch.run())
        self._watching.add_done_callback(_log_failure)
        self._parts.callback(self._watching.cancel)
        await watch.first.wait()
        await readiness.wait_for_answers(pipeline, self._catalogue, self._monotonic)
        self._health.serving()
        self._serving.set()
        log.info("serving", places=len(self._catalogue))


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    sys.setswitchinterval(GIVE_WAY_S)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    server = RecommendationServer(settings)
    await server.start()
    settling = asyncio.create_task(_settle(server))
    await asked_to_stop.wait()
    settling.cancel()
    await server.stop(notice_s=NOTICE_S)


async def _settle(server: RecommendationServer) -> None:
    """Once all is loaded, spare the garbage collector: a catalogue of a million places holds
    millions of objects that live for ever, and each look at all of them would delay answers."""
    await server.wait_serving(None)
    gc.collect()
    gc.freeze()


def _compile() -> None:
    """Compile, or load from disk, what a request runs through."""
    compile_loops()
    pick(np.ones(1, np.float32), np.zeros(1, np.int32), 1)


def _redis(settings: Settings) -> Redis:
    """A client for the serving path: short time-outs, and no retries behind our back."""
    timeout_s = settings.redis_timeout_ms / 1_000
    return client_of(
        settings,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        max_connections=REDIS_CONNECTIONS,
        health_check_interval=0,
    )


def _log_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("readiness_failed", exc_info=task.exception())
