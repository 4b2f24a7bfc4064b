"""`python -m benchmarks.steady`: does the answer's latency stay what it is, whatever happens?

Open-loop load on a whole installation (as `benchmarks.recommend`). First some stretches, then so
many requests at a higher rate. Then stretches of its service and model server alternate with those
of a pair that has just been started beside them: that is the reference. Redis, broker and stream
are the same for both; what their age costs, only the first stretches could tell, and hours of a
shared machine differ by more than that. Then round after round a calm stretch, and right after it
one in which something happens: the model is replaced by another version, all connections to Redis
are cut again and again, or many places change. The reference is the calm stretch of the same
round. What is compared has the same arrivals: of a few thousand requests the slowest are those
that come in a bunch, so that other draws would be other loads.
"""

import argparse
import asyncio
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import psutil
from confluent_kafka import Producer
from rich.console import Console

from benchmarks.asking import ServiceClient, questions
from benchmarks.loaded_stack import fill_and_start
from benchmarks.open_loop import Slice, load, precise_loop
from benchmarks.recommend import QUESTIONS
from benchmarks.report import Figure, publish, ratio
from contracts.kafka import producer_config
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from models.scoring import versions
from placestream import logs
from placestream.simulation.city import City
from placestream.simulation.plan import Plan
from placestream.stack.environment import environment
from placestream.stack.local import LocalStack
from placestream.stack.ports import LOCALHOST, free_port
from placestream.stack.readiness import role_is_ready
from placestream.stack.signals import ending_raises
from placestream.stack.supervisor import Supervisor
from retrain.child import die_with_parent
from retrain.model_config import MODELS
from retrain.rollout import activate

STRETCH_S = 20.0
PAUSE_S = 2.0
WARM_UP_S = 10.0
#: How often connections to Redis are cut, and how many places change a second.
CUT_EVERY_S, UPDATES_PER_S = 1.0, 500

Answers = Slice[pb.RecommendResponse]


@dataclass(frozen=True)
class Scene:
    """Where it happens.

    Attributes:
        stack: the installation.
        city: who lives there.
        asked: what its people ask.
        controller: a process of its own, as the role `retrain` is: what a rollout does there must
            not hold up the clock of the load.
    """

    stack: LocalStack
    city: City
    asked: list[pb.RecommendRequest]
    controller: Executor


def activate_another(settings: Settings) -> None:
    """Bring the newest pair into service under the next number, as a rollout does."""
    newest = max(versions(settings.models_dir))
    for name in MODELS:
        folder = settings.models_dir / name
        shutil.copytree(folder / str(newest), folder / str(newest + 1))
    activate(settings, newest + 1)


async def replace_models(scene: Scene) -> None:
    """Bring another version into service."""
    settings = scene.stack.settings
    await asyncio.get_running_loop().run_in_executor(scene.controller, activate_another, settings)


async def cut_redis(scene: Scene) -> None:
    """Close everybody's connections, again and again."""
    with scene.stack.redis.client() as client:
        while True:
            await asyncio.to_thread(client.client_kill_filter, _type="normal", skipme=True)
            await asyncio.sleep(CUT_EVERY_S)


async def change_places(scene: Scene) -> None:
    """Give places other ratings, many a second."""
    settings, city = scene.stack.settings, scene.city
    producer = Producer(producer_config(settings))
    topic, rng = settings.topics.place_updates.name, np.random.default_rng(1)
    try:
        while True:
            for row in rng.integers(len(city.places), size=UPDATES_PER_S // 10).tolist():
                place_id = city.ids.place(row)
                update = {"rating": float(rng.integers(20, 50)) / 10}
                value = msgspec.json.encode({"place_id": place_id, "updates": update})
                producer.produce(topic, value, str(place_id).encode())
            producer.poll(0)
            await asyncio.sleep(0.1)
    finally:
        producer.flush(PAUSE_S)


Event = Callable[[Scene], Coroutine[None, None, None]]
EVENTS: dict[str, Event] = {
    "model swap": replace_models,
    "redis reconnects": cut_redis,
    "place updates": change_places,
}


#: These go on until they are stopped.
ENDLESS = (cut_redis, change_places)


@asynccontextmanager
async def happening(event: Event, scene: Scene) -> AsyncIterator[None]:
    """Something happens while a block runs, from the end of the stretch's lead-in on.

    What goes wrong with it is raised.
    """

    async def later() -> None:
        await asyncio.sleep(PAUSE_S)
        await event(scene)

    task = asyncio.create_task(later())
    try:
        yield
    finally:
        if event in ENDLESS:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def p99(part: Answers) -> float:
    """Milliseconds, errors as well."""
    return float(np.percentile(part.latencies_ms, 99))


class Run:
    """One run on one installation; `rate` a second where it measures."""

    def __init__(self, scene: Scene, client: ServiceClient, rate: float) -> None:
        self._scene, self._client, self._rate = scene, client, rate
        self._draw = 0
        #: Of all; errors and answers that are not whole only where it measures.
        self.asked = self.errors = self.degraded = 0

    def another(self) -> int:
        """The next draw of arrivals."""
        self._draw += 1
        return self._draw

    async def stretch(
        self,
        seconds: float,
        draw: int,
        *,
        rate: float | None = None,
        client: ServiceClient | None = None,
    ) -> Answers:
        """Load, counted."""
        rng, client = np.random.default_rng(draw), client or self._client
        part = await load(client.ask, rate or self._rate, seconds, rng, lead_in_s=PAUSE_S)
        self.asked += len(part.calls)
        if rate is None:
            whole = pb.DEGRADATION_NONE
            self.errors += len(part.errors)
            self.degraded += sum(answer.degradation != whole for answer in part.answers)
        return part

    async def flatness(
        self, requests: int, rate: float, rounds: int, stretch_s: float
    ) -> list[Figure]:
        """Stretches before and after so many requests, the latter beside those of a fresh pair."""
        serve = self._scene.stack.supervisor.child("serve").pid
        draws = [self.another() for _ in range(rounds)]
        first = [p99(await self.stretch(stretch_s, draw)) for draw in draws]
        memory = [_mib(serve)]
        while self.asked < requests:
            await self.stretch(min((requests - self.asked) / rate, 60.0), self.another(), rate=rate)
        aged: list[float] = []
        fresh: list[float] = []
        async with fresh_pair(self._scene) as (client, its_serve):
            for by in (client, self._client):
                await load(by.ask, self._rate, WARM_UP_S, np.random.default_rng(0))
            for i, draw in enumerate(draws):
                for which in (aged, fresh) if i % 2 else (fresh, aged):
                    by = client if which is fresh else self._client
                    which.append(p99(await self.stretch(stretch_s, draw, client=by)))
            memory += [_mib(serve), _mib(its_serve)]
        names = ("first p99", "aged p99", "fresh p99")
        told = [
            Figure(name, "ms", tuple(values))
            for name, values in zip(names, (first, aged, fresh), strict=True)
        ]
        held = [
            Figure(f"memory of serve {when}", "MiB", (m,))
            for when, m in zip(("first", "aged", "fresh"), memory, strict=True)
        ]
        return [*told, ratio("aged p99 / fresh p99", told[1], told[2]), *held]

    async def disturbed(self, rounds: int, stretch_s: float) -> list[Figure]:
        """Each event in turn, beside the calm before it."""
        figures = []
        for name, event in EVENTS.items():
            calm, during = [], []
            for draw in [self.another() for _ in range(rounds)]:
                calm.append(p99(await self.stretch(stretch_s, draw)))
                async with happening(event, self._scene):
                    during.append(p99(await self.stretch(stretch_s, draw)))
            before = Figure(f"calm before {name} p99", "ms", tuple(calm))
            then = Figure(f"{name} p99", "ms", tuple(during))
            figures += [before, then, ratio(f"{name} p99 / calm p99", then, before)]
        return figures


def _mib(pid: int) -> float:
    resident: int = psutil.Process(pid).memory_info().rss
    return resident / 2**20


@asynccontextmanager
async def fresh_pair(scene: Scene) -> AsyncIterator[tuple[ServiceClient, int]]:
    """A service with a model server of its own beside those of the installation; and its pid."""
    stack = scene.stack
    names = ("serve_port", "serve_metrics_port", "model_server_rest_port")
    ports: dict[str, object] = {name: free_port() for name in names}
    model_server = f"{LOCALHOST}:{free_port()}"
    its = stack.settings.model_copy(update=ports | {"model_server": model_server})
    with (
        tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder,
        Supervisor(Path(folder), environment(its)) as beside,
    ):
        for role in ("model-server", "serve"):
            beside.start(role, ready=role_is_ready(role, its))
        client = ServiceClient(f"{LOCALHOST}:{its.serve_port}", scene.asked)
        try:
            yield client, beside.child("serve").pid
        finally:
            await client.close()
        beside.check()


async def measure(
    scene: Scene, given: argparse.Namespace
) -> tuple[list[Figure], dict[str, object]]:
    """All figures, and what one must know to read them."""
    settings = scene.stack.settings
    client = ServiceClient(f"{settings.serve_host}:{settings.serve_port}", scene.asked)
    run = Run(scene, client, given.rate)
    try:
        await replace_models(scene)  # a controller has done it before
        await load(client.ask, given.rate, WARM_UP_S, np.random.default_rng(0))
        figures = await run.flatness(
            given.requests, given.rate_between, given.rounds, given.stretch_s
        )
        figures += await run.disturbed(given.rounds, given.stretch_s)
    finally:
        await client.close()
    return figures, {
        "rate_per_s": given.rate,
        "rate_between_per_s": given.rate_between,
        "requests": run.asked,
        "errors_measured": run.errors,
        "degraded_measured": run.degraded,
        "stretch_s": given.stretch_s,
        "places": len(scene.city.places),
        "connections_cut_every_s": CUT_EVERY_S,
        "place_updates_per_s": UPDATES_PER_S,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--places", type=int, default=2_000)
    parser.add_argument("--days", type=float, default=14, help="of history")
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second, measured")
    parser.add_argument("--requests", type=int, default=200_000, help="before age is measured")
    parser.add_argument("--rate-between", type=float, default=80.0, help="those not measured")
    parser.add_argument("--stretch-s", type=float, default=STRETCH_S)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    given = parser.parse_args()
    base = Settings(_env_file=None, archive_flush_s=3, train_epochs=2, log_level="WARNING")
    logs.configure(base, "benchmark")
    plan = Plan(users=given.users, places=given.places, days=given.days)
    city = City(plan, ending_s=time.time(), seed=17)
    with (
        ending_raises(),
        tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder,
        LocalStack(Path(folder), base=base) as stack,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), die_with_parent) as controller,
    ):
        fill_and_start(stack, city, Console(stderr=True))
        with asyncio.Runner(loop_factory=precise_loop) as runner:
            asked = questions(city, QUESTIONS, np.random.default_rng(5))
            figures, facts = runner.run(measure(Scene(stack, city, asked, controller), given))
        stack.check()
    publish("Latency through time and trouble", figures, facts)


if __name__ == "__main__":
    main()
