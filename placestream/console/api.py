"""What the page asks for, as JSON: each handler calls the part that knows."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import redis
from aiohttp import web

from contracts.settings import Settings
from online_features.catalogue import Catalogue
from online_features.catalogue_feed import CatalogueFeed
from placestream.client import CallFailed, Client
from placestream.console.answers import Event, Question, decoded, told
from placestream.console.experiments import Shown
from placestream.console.models import Models, Switch
from placestream.console.people import People
from placestream.console.places import CityMap
from placestream.console.problem import Problem, of_call
from placestream.console.watch import Watch

Result = TypeVar("Result")
#: Longer than the service's own deadline: its answer says more than ours would.
ASK_S, TELL_S = 5.0, 5.0
#: Of a body; the page sends far less.
MAX_BODY = 64 * 1024


@dataclass(frozen=True)
class Parts:
    """What stands behind the page.

    Attributes:
        settings: of the installation.
        address: `host:port` of the service, for messages.
        service: the gRPC client.
        catalogue, feed, city: the places, what keeps them fresh, and their map.
        people: reads users.
        watch: looks at the roles.
        models: versions; blocking.
        experiments: reads them; blocking.
        clock: Unix seconds.
    """

    settings: Settings
    address: str
    service: Client
    catalogue: Catalogue
    feed: CatalogueFeed
    city: CityMap
    people: People
    watch: Watch
    models: Models
    experiments: Callable[[], list[Shown]]
    clock: Callable[[], float]


PARTS = web.AppKey("parts", Parts)
routes = web.RouteTableDef()


def _json(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


@routes.get("/api/places")
async def places(request: web.Request) -> web.StreamResponse:
    """Every place, in columns; 304 where the page has them already."""
    parts = request.app[PARTS]
    loaded = parts.feed.wait_loaded(0)
    if not loaded and len(parts.catalogue) == 0:
        raise Problem(
            503,
            "The places are still being read from Kafka.",
            "Wait a moment; if it stays, look whether Kafka runs and whether places were sent.",
        )
    tag = f'"{parts.city.tag}"'
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    body = await asyncio.to_thread(parts.city.body)
    response = web.Response(body=body, content_type="application/json", headers={"ETag": tag})
    response.enable_compression()
    return response


@routes.get("/api/users")
async def users(request: web.Request) -> web.StreamResponse:
    """Some users that are known."""
    return _json(await request.app[PARTS].people.some())


@routes.get("/api/user")
async def user(request: web.Request) -> web.StreamResponse:
    """What is known of the user `id` now."""
    parts, user_id = request.app[PARTS], request.query.get("id", "")
    if not user_id:
        raise Problem(400, "No user was named.", "Give a user id.", (("id", "is empty"),))
    return _json(await parts.people.features(user_id, parts.clock()))


@routes.post("/api/recommend")
async def recommend(request: web.Request) -> web.StreamResponse:
    """What should this user see here, now?"""
    parts = request.app[PARTS]
    question = decoded(await request.read(), Question).message()
    answer = await _called(parts, lambda: parts.service.recommend(question, timeout_s=ASK_S))
    return _json(told(answer))


@routes.post("/api/events")
async def events(request: web.Request) -> web.StreamResponse:
    """Tell the service what the user did; answers with the event's position in Kafka."""
    parts = request.app[PARTS]
    event = decoded(await request.read(), Event).message()
    (receipt,) = await _called(parts, lambda: parts.service.feedback([event], timeout_s=TELL_S))
    at = receipt.position
    position = {"topic": at.topic, "partition": at.partition, "offset": at.offset}
    return _json({"event_id": receipt.event_id, "position": position})


@routes.get("/api/watch")
async def watch(request: web.Request) -> web.StreamResponse:
    """How the roles fare."""
    return _json(request.app[PARTS].watch.told())


@routes.get("/api/models")
async def models(request: web.Request) -> web.StreamResponse:
    """Versions of the models."""
    return _json(await asyncio.to_thread(request.app[PARTS].models.told))


@routes.post("/api/models/switch")
async def switch(request: web.Request) -> web.StreamResponse:
    """Bring a version into service."""
    parts, wish = request.app[PARTS], decoded(await request.read(), Switch)
    # Whoever closes the page meanwhile has not taken the order back.
    switched = asyncio.shield(asyncio.to_thread(parts.models.switch, wish))
    return _json(await switched)


@routes.get("/api/experiments")
async def experiments(request: web.Request) -> web.StreamResponse:
    """Experiments, the newest first."""
    try:
        found = await asyncio.to_thread(request.app[PARTS].experiments)
    except redis.RedisError as error:
        raise Problem(503, f"Redis does not answer: {error}", "Look whether it runs.") from error
    return _json(found)


async def _called(parts: Parts, call: Callable[[], Result]) -> Result:
    try:
        return await asyncio.to_thread(call)
    except CallFailed as failed:
        raise of_call(failed, parts.address) from failed
