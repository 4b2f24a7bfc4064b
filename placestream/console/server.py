"""The console as a process: opens the parts, serves the page, ends on a signal."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from contracts.settings import Settings
from online_features.catalogue import Catalogue
from online_features.catalogue_feed import CatalogueFeed
from online_features.redis_client import blocking_client_of, client_of
from placestream.caller import Caller
from placestream.client import Client
from placestream.console import api, experiments
from placestream.console.address import address
from placestream.console.guard import LOCAL, add_headers, guard
from placestream.console.models import Models
from placestream.console.people import People
from placestream.console.places import CityMap
from placestream.console.problem import Problem
from placestream.console.watch import Watch
from placestream.stack.ports import LOCALHOST
from retrain.publish import Publisher

log = structlog.get_logger(__name__)
PAGES = Path(__file__).with_name("pages")
REDIS_S = 2.0


def run(
    settings: Settings, *, token: str, say: Callable[[str], None], scene: Mapping[str, str]
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: of the installation.
        token: that the console asks for.
        say: told the address once the console listens there.
        scene: what to show first.

    Raises:
        OSError: the port is taken.
        ValueError: PLACESTREAM_CONSOLE_METRICS cannot be read.
    """
    app = application(settings, token)
    app.on_startup.append(_saying(lambda: say(address(settings, token=token, scene=scene))))
    web.run_app(
        app,
        host=settings.console_host,
        port=settings.console_port,
        print=None,
        access_log=None,
        shutdown_timeout=5,
    )


def application(
    settings: Settings,
    token: str,
    *,
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """The console, whose parts are opened when it starts."""
    names = LOCAL | {settings.console_host.lower()} | {settings.console_name.lower()} - {""}
    app = web.Application(
        middlewares=[_in_words, guard(token, names)], client_max_size=api.MAX_BODY
    )
    app.router.add_get("/", _page)
    app.router.add_get("/healthz", _healthy)
    app.router.add_static("/pages", PAGES)
    app.add_routes(api.routes)
    app.cleanup_ctx.append(lambda its: _parts(its, settings, clock))
    return app


async def _parts(
    app: web.Application,
    settings: Settings,
    clock: Callable[[], float],
) -> AsyncIterator[None]:
    catalogue = Catalogue()
    feed = CatalogueFeed(settings, catalogue)
    caller = Caller.of(settings)
    where = _service(settings)
    watch = Watch(settings, clock)
    publisher = Publisher(settings)
    options = {"socket_timeout": REDIS_S, "socket_connect_timeout": REDIS_S}
    with (
        contextlib.closing(feed),
        contextlib.closing(publisher),
        blocking_client_of(settings, **options) as blocking,
        Client(
            where, token=caller.token, credentials=caller.credentials, server_name=caller.name
        ) as service,
    ):
        async with client_of(settings, **options) as client:
            feed.start()
            app[api.PARTS] = api.Parts(
                settings=settings,
                address=where,
                service=service,
                catalogue=catalogue,
                feed=feed,
                city=CityMap(catalogue),
                people=People(settings, client, catalogue),
                watch=watch,
                models=Models(settings, blocking, publisher, clock),
                experiments=partial(experiments.read, settings, blocking),
                clock=clock,
            )
            looking = asyncio.create_task(watch.run())
            yield
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking


def _service(settings: Settings) -> str:
    host = settings.serve_host
    return f"{LOCALHOST if host in ('0.0.0.0', '[::]', '::') else host}:{settings.serve_port}"


def _saying(say: Callable[[], None]) -> Callable[[web.Application], Awaitable[None]]:
    async def started(_: web.Application) -> None:
        say()

    return started


async def _page(_: web.Request) -> web.StreamResponse:
    return web.FileResponse(PAGES / "index.html")


async def _healthy(_: web.Request) -> web.StreamResponse:
    return web.Response(text="ok\n")


@web.middleware
async def _in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every answer protected, every error in words."""
    try:
        response = await handler(request)
    except Problem as problem:
        response = web.json_response(problem.body(), status=problem.status)
    except web.HTTPException as error:
        told = Problem(error.status, f"{request.path}: {error.reason}.", "Reload the page.")
        response = web.json_response(told.body(), status=error.status)
    except Exception:
        log.exception("request_failed", path=request.path)
        told = Problem(500, "The console failed.", "Its log says more.")
        response = web.json_response(told.body(), status=500)
    add_headers(response)
    return response
