"""Before the service says SERVING: every part is waited for, and named in the log while missing."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import numpy as np
import structlog
from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis

from contracts.kafka import client_config
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from contracts.topics import create_topics
from inference import candidates, ranking
from inference.deadline import Budget, Clock
from inference.model_client import ModelClient
from inference.pipeline import Pipeline
from inference.query import Query
from online_features.catalogue import Catalogue
from online_features.catalogue_feed import CatalogueFeed

log = structlog.get_logger(__name__)

RETRY_S = 0.5
#: A part that stays away is named again after so many tries.
NAMED_EVERY = 10
#: The first call of a model may have to load and trace it.
WARM_UP_DEADLINE_S = 30.0
#: Answers until caches, channels and the models' threads are warm.
WARM_UP_ANSWERS = 20


class Missing(Exception):
    """A part does not answer yet; `str()` says how."""


async def wait_for(part: str, address: str, check: Callable[[], Awaitable[object]]) -> None:
    """Try until a check passes, naming the part while it does not."""
    tries = 0
    while True:
        try:
            await check()
        except Exception as error:  # a missing part shows itself in many ways; all mean "wait"
            if tries % NAMED_EVERY == 0:
                log.warning("waiting_for", part=part, address=address, cause=str(error))
            tries += 1
            await asyncio.sleep(RETRY_S)
        else:
            log.info("part_answers", part=part, address=address)
            return


async def wait_for_redis(redis: "Redis", settings: Settings) -> None:
    """Wait until Redis answers a PING."""
    url = urlsplit(settings.redis_url.get_secret_value())
    await wait_for("Redis", f"{url.hostname}:{url.port or 6379}", lambda: _awaited(redis.ping()))


async def wait_for_catalogue(feed: CatalogueFeed, catalogue: Catalogue, settings: Settings) -> None:
    """Wait for Kafka, create missing topics where we may, and let the catalogue catch up."""
    if settings.kafka_declares_topics:
        await wait_for("Kafka", settings.kafka_bootstrap, lambda: _declare_topics(settings))
    feed.start()

    async def loaded() -> None:
        if not await asyncio.to_thread(feed.wait_loaded, RETRY_S):
            raise Missing(f"{len(catalogue)} places read so far")

    await wait_for("catalogue", settings.topics.places.name, loaded)


async def wait_for_models(models: ModelClient, settings: Settings) -> None:
    """Wait until the model server has a version of both models to offer."""

    async def offered() -> None:
        for model in (candidates.MODEL, ranking.MODEL):
            states = await models.status(model)
            if "AVAILABLE" not in states.values():
                raise Missing(f"no version of {model} is available: {states or 'it is unknown'}")

    await wait_for("model server", settings.model_server, offered)


async def wait_for_answers(pipeline: Pipeline, catalogue: Catalogue, monotonic: Clock) -> None:
    """Wait until all stages have stood behind a number of answers, all over the catalogue."""
    answered = 0

    async def whole_answers() -> None:
        nonlocal answered
        found = np.flatnonzero(~catalogue.closed & ~np.isnan(catalogue.lat))
        if not len(found):
            raise Missing("the catalogue holds no place yet")
        # A busy machine may spoil one of them: that one is repeated, not all.
        while answered < WARM_UP_ANSWERS:
            row = int(found[answered * len(found) // WARM_UP_ANSWERS])
            budget = Budget.of(WARM_UP_DEADLINE_S, 0.0, monotonic)
            answer = await pipeline.recommend(_warm_up_query(catalogue, row), budget)
            if answer.level != pb.DEGRADATION_NONE:
                raise Missing("; ".join(answer.causes))
            answered += 1

    await wait_for("warm-up", "all stages", whole_answers)


def _warm_up_query(catalogue: Catalogue, row: int) -> Query:
    return Query(
        user_id="warm-up",
        lat=float(catalogue.lat[row]),
        lng=float(catalogue.lng[row]),
        limit=10,
        request_id="warm-up",
        explain=True,
    )


async def _declare_topics(settings: Settings) -> None:
    def declare() -> None:
        admin = AdminClient({**client_config(settings)})
        create_topics(admin, settings.topics.all(), replication=settings.replication, timeout_s=5)

    await asyncio.to_thread(declare)


async def _awaited(reply: Awaitable[object] | object) -> None:
    """Take the one typing of redis-py's replies that its asynchronous client gives."""
    if isinstance(reply, Awaitable):
        await reply
