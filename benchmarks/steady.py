"""`python -m benchmarks.steady`: does the answer's latency stay what it is, whatever happens?

Open-loop load at one rate on a whole installation (as `benchmarks.recommend`). First for so many
requests: p99 and memory of the first stretch beside those of the last. Then round after round a
calm stretch, and right after it one in which something happens: the model is replaced by another
version, all connections to Redis are cut again and again, or many places change. The reference is
the calm stretch of the same round.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
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
from placestream.stack.local import LocalStack
from placestream.stack.signals import ending_raises
from retrain.model_config import MODELS
from retrain.rollout import activate

STRETCH_S = 20.0
PAUSE_S = 2.0
WARM_UP_S = 10.0
#: How often connections to Redis are cut, and how many places change a second.
CUT_EVERY_S, UPDATES_PER_S = 1.0, 500

Answers = Slice[pb.RecommendResponse]


def another_version(settings: Settings) -> int:
    """The newest pair under the next number."""
    newest = max(versions(settings.models_dir))
    for name in MODELS:
        folder = settings.models_dir / name
        shutil.copytree(folder / str(newest), folder / str(newest + 1))
    return newest + 1


async def replace_models(stack: LocalStack, _city: City) -> None:
    """Bring another version into service, as a rollout does."""
    await asyncio.to_thread(lambda: activate(stack.settings, another_version(stack.settings)))


async def cut_redis(stack: LocalStack, _city: City) -> None:
    """Close everybody's connections, again and again."""
    with stack.redis.client() as client:
        while True:
            await asyncio.to_thread(client.client_kill_filter, _type="normal", skipme=True)
            await asyncio.sleep(CUT_EVERY_S)


async def change_places(stack: LocalStack, city: City) -> None:
    """Give places other ratings, many a second."""
    producer = Producer(producer_config(stack.settings))
    topic, rng = stack.settings.topics.place_updates.name, np.random.default_rng(1)
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


Event = Callable[[LocalStack, City], Coroutine[None, None, None]]
EVENTS: dict[str, Event] = {
    "model swap": replace_models,
    "redis reconnects": cut_redis,
    "place updates": change_places,
}


#: These go on until they are stopped.
ENDLESS = (cut_redis, change_places)


@asynccontextmanager
async def happening(event: Event, stack: LocalStack, city: City) -> AsyncIterator[None]:
    """Something happens while a block runs; what goes wrong with it is raised."""
    task = asyncio.create_task(event(stack, city))
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
    """One run on one installation."""

    def __init__(self, stack: LocalStack, city: City, client: ServiceClient, rate: float) -> None:
        self._stack, self._city, self._client, self._rate = stack, city, client, rate
        self._rng = np.random.default_rng(3)
        self._serve = psutil.Process(stack.supervisor.child("serve").pid)
        self.errors = self.degraded = self.asked = 0

    async def stretch(self, seconds: float) -> Answers:
        """Load, counted."""
        part = await load(self._client.ask, self._rate, seconds, self._rng, lead_in_s=PAUSE_S)
        self.asked += len(part.calls)
        self.errors += len(part.errors)
        self.degraded += sum(answer.degradation != pb.DEGRADATION_NONE for answer in part.answers)
        return part

    async def flatness(self, requests: int, stretch_s: float) -> list[Figure]:
        """First and last stretch of so many requests."""
        first = await self.stretch(stretch_s)
        memory = [self._serve.memory_info().rss / 2**20]
        between_s = max(0.0, requests / self._rate - 2 * stretch_s)
        while between_s > 0:
            await self.stretch(min(between_s, 60.0))
            between_s -= 60.0
        last = await self.stretch(stretch_s)
        memory.append(self._serve.memory_info().rss / 2**20)
        both = [
            Figure(name, "ms", (p99(p),)) for name, p in (("first p99", first), ("last p99", last))
        ]
        held = [
            Figure(f"memory of serve {when}", "MiB", (m,))
            for when, m in zip(("first", "last"), memory, strict=True)
        ]
        return [*both, ratio("last p99 / first p99", both[1], both[0]), *held]

    async def disturbed(self, rounds: int, stretch_s: float) -> list[Figure]:
        """Each event in turn, beside the calm before it."""
        figures = []
        for name, event in EVENTS.items():
            calm, during = [], []
            for _ in range(rounds):
                calm.append(p99(await self.stretch(stretch_s)))
                async with happening(event, self._stack, self._city):
                    during.append(p99(await self.stretch(stretch_s)))
            before = Figure(f"calm before {name} p99", "ms", tuple(calm))
            then = Figure(f"{name} p99", "ms", tuple(during))
            figures += [before, then, ratio(f"{name} p99 / calm p99", then, before)]
        return figures


async def measure(
    stack: LocalStack, city: City, given: argparse.Namespace
) -> tuple[list[Figure], dict[str, object]]:
    """All figures, and what one must know to read them."""
    settings = stack.settings
    asked = questions(city, QUESTIONS, np.random.default_rng(5))
    client = ServiceClient(f"{settings.serve_host}:{settings.serve_port}", asked)
    run = Run(stack, city, client, given.rate)
    try:
        await load(client.ask, given.rate, WARM_UP_S, np.random.default_rng(4))
        figures = await run.flatness(given.requests, given.stretch_s)
        figures += await run.disturbed(given.rounds, given.stretch_s)
    finally:
        await client.close()
    return figures, {
        "rate_per_s": given.rate,
        "requests": run.asked,
        "errors": run.errors,
        "degraded": run.degraded,
        "stretch_s": given.stretch_s,
        "places": len(city.places),
        "connections_cut_every_s": CUT_EVERY_S,
        "place_updates_per_s": UPDATES_PER_S,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--places", type=int, default=2_000)
    parser.add_argument("--days", type=float, default=14, help="of history")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    parser.add_argument("--requests", type=int, default=200_000, help="between first and last")
    parser.add_argument("--stretch-s", type=float, default=STRETCH_S)
    parser.add_argument("--rounds", type=int, default=3)
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
    ):
        fill_and_start(stack, city, Console(stderr=True))
        with asyncio.Runner(loop_factory=precise_loop) as runner:
            figures, facts = runner.run(measure(stack, city, given))
        stack.check()
    publish("Latency through time and trouble", figures, facts)


if __name__ == "__main__":
    main()
