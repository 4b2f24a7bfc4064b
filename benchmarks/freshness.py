"""`python -m benchmarks.freshness`: from a producer's send to an answer that reflects it.

In one run, on a real Kafka and a real Redis, with model server, stream worker and service as
processes of their own and a simulated city in them: a steady load of interactions, and beside it
probes: one event of one user, and Recommend until the answer knows it. Beside that, on the same
events or in turn with them: when the event was readable in Redis, one call with the event's
position (read your writes), and the floor: an acknowledged send and one answer, whatever it knows.
"""

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import redis
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from benchmarks.asking import questions
from benchmarks.cpu import Meter
from benchmarks.freshness_figures import OBJECTIVE_MS, Round, figures
from benchmarks.freshness_probe import ASK_AGAIN_S, LOOK_AGAIN_S, Prober
from benchmarks.loaded_stack import SERVE_TIMEOUT_S, fill, fill_and_start
from benchmarks.open_loop import LEAD_IN_S, load, precise_loop
from benchmarks.report import publish
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.placestream.v1 import recommendation_pb2_grpc as pb_grpc
from contracts.settings import Settings
from online_features.keys import Keys
from placestream import logs
from placestream.simulation.city import City
from placestream.simulation.plan import Plan
from placestream.stack.child import Child
from placestream.stack.environment import environment
from placestream.stack.local import LocalStack
from placestream.stack.ports import LOCALHOST
from placestream.stack.signals import ending_raises

#: At the load's rate, with probes, before anything counts.
WARM_UP_S = 5.0

HOW = {
    "send": "the call of produce(), linger and compression as contracts.kafka sets them",
    "reflecting_answer": "the end of the first answer whose answered_at less feature_age is the "
    "event's time; asked from the send on, again after each answer",
    "readable_in_Redis": "the stored offset of the user's shard is past the event; same events",
    "read_your_writes": "delivery report awaited, then one call that carries its position",
    "floor": "delivery report awaited, then one call that carries nothing, whatever it knows",
    "ratios": "of the percentiles of the same round",
}


@dataclass(frozen=True)
class Options:
    """What to run."""

    rate: float
    probes_per_s: float
    seconds: float
    rounds: int
    warm_up_s: float
    seed: int


class StreamMeter:
    """What the stream worker has done between two readings."""

    def __init__(self, settings: Settings) -> None:
        self._url = f"http://{LOCALHOST}:{settings.stream_metrics_port}/metrics"
        self._names = {
            settings.topics.interactions.name: "interactions",
            settings.topics.by_place.name: "interactions by place",
        }
        keys, partitions = Keys.of(settings), range(settings.partitions)
        self._shards = [keys.shard("i", partition) for partition in partitions]
        self._redis = redis.Redis.from_url(settings.redis_url.get_secret_value())

    def read(self) -> tuple[int, dict[str, tuple[float, float]]]:
        """Events folded so far; batches and their seconds so far, by what was polled."""
        pipe = self._redis.pipeline(transaction=False)
        for shard in self._shards:
            pipe.hget(shard, "offset")
        folded = sum(int(offset or 0) for offset in pipe.execute())
        found: dict[str, dict[str, float]] = {}
        with urllib.request.urlopen(self._url, timeout=10) as page:
            families = text_string_to_metric_families(page.read().decode())
            samples = [s for f in families if f.name.endswith("batch_seconds") for s in f.samples]
        for sample in samples:
            what = self._names.get(sample.labels["topic"])
            if what is not None:
                found.setdefault(what, {})[sample.name.rpartition("_")[2]] = sample.value
        return folded, {what: (f["count"], f["sum"]) for what, f in found.items()}


async def measure(
    settings: Settings,
    asked: Sequence[pb.RecommendRequest],
    place_ids: Sequence[int],
    options: Options,
    meter: Meter,
) -> list[Round]:
    """Run all rounds beside the load, which runs already."""
    rng = np.random.default_rng(options.seed)
    prober, stream = Prober(settings, asked, place_ids, rng), StreamMeter(settings)
    gc.collect()
    gc.freeze()
    rounds = []
    try:
        await load(prober.probe, options.probes_per_s, options.warm_up_s, rng)
        for _ in range(options.rounds):
            before, began_s = meter.read(), time.perf_counter()
            folded, batches = await asyncio.to_thread(stream.read)
            probes = await load(prober.probe, options.probes_per_s, options.seconds, rng)
            took_s, cpu_percent = time.perf_counter() - began_s, meter.percent(before)
            folded_after, batches_after = await asyncio.to_thread(stream.read)
            spent = {
                what: (count - batches[what][0], seconds - batches[what][1])
                for what, (count, seconds) in batches_after.items()
            }
            rounds.append(
                Round(
                    probes,
                    (folded_after - folded) / took_s,
                    {what: 1_000 * s / max(n, 1) for what, (n, s) in spent.items()},
                    (folded_after - folded) / max(spent["interactions"][0], 1),
                    cpu_percent,
                )
            )
    finally:
        await prober.close()
    return rounds


@contextmanager
def background(settings: Settings, city: City, rate: float, run_dir: Path) -> Iterator[Child]:
    """The load, as a process of its own."""
    command = ["-m", "benchmarks.background", "--rate", str(rate)]
    command += ["--first-place", str(city.ids.place(0)), "--places", str(len(city.places))]
    child = Child.spawn(
        "background",
        [sys.executable, *command],
        run_dir / "logs" / "background.log",
        env={**os.environ, **environment(settings)},
        cwd=Path(__file__).parents[1],
    )
    try:
        yield child
        if not child.alive:
            raise RuntimeError(child.describe_end())
    finally:
        child.kill()


def start(stack: LocalStack, city: City, console: Console, *, trained: bool) -> None:
    """Bring the installation up; with no models, answers come by popularity and distance."""
    if trained:
        fill_and_start(stack, city, console)
        return
    fill(stack, city, console)
    serve = stack.start_role("serve", wait=False)
    with grpc.insecure_channel(f"{LOCALHOST}:{stack.settings.serve_port}") as channel:
        stub = pb_grpc.RecommendationServiceStub(channel)
        request = pb.RecommendRequest(user_id="nobody", location=pb.LatLng(lat=0, lng=0))

        def answers() -> bool:
            try:
                stub.Recommend(request, timeout=2)
            except grpc.RpcError:
                return False
            return True

        serve.wait_ready(answers, SERVE_TIMEOUT_S)


def of_different_users(asked: Sequence[pb.RecommendRequest]) -> list[pb.RecommendRequest]:
    """One request of each user: what one probe sends must not answer another's question."""
    return list({request.user_id: request for request in asked}.values())


def _by_part(stack: LocalStack) -> dict[str, tuple[int, ...]]:
    """Ids of the processes that share this machine's cores."""
    roles = ("stream", "serve", "model-server")
    return {
        "kafka": tuple(child.pid for child in stack.broker.children),
        "redis": tuple(child.pid for child in stack.redis.children),
        **{role.replace("-", "_"): (stack.supervisor.child(role).pid,) for role in roles},
        "client": (os.getpid(),),
    }


def _facts(
    city: City, options: Options, rounds: Sequence[Round], trained: bool
) -> dict[str, object]:
    errors = sorted({error for part in rounds for error in part.probes.errors})
    return {
        "users": len(city.users),
        "places": len(city.places),
        "models": "trained" if trained else "none",
        "cores": len(os.sched_getaffinity(0)),
        "load_average_1min": os.getloadavg()[0],
        "objective_p99_ms": OBJECTIVE_MS,
        "offered_events_per_s": options.rate,
        "offered_probes_per_s": options.probes_per_s,
        "probes": sum(len(part.probes.calls) for part in rounds),
        "errors": ", ".join(errors),
        "rounds": options.rounds,
        "round_s": options.seconds,
        "left_out_before_each_round_s": LEAD_IN_S,
        "asked_again_after_s": ASK_AGAIN_S,
        "redis_looked_at_every_s": LOOK_AGAIN_S,
        **{f"how_{name}": text for name, text in HOW.items()},
    }


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=2_000, help="interactions a second")
    parser.add_argument("--probes-per-s", type=float, default=8)
    parser.add_argument("--seconds", type=float, default=30, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-up-s", type=float, default=WARM_UP_S)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--places", type=int, default=2_000)
    parser.add_argument("--days", type=float, default=14, help="of history")
    parser.add_argument("--epochs", type=int, default=2, help="of the training")
    parser.add_argument(
        "--untrained", action="store_true", help="no models: quicker to set up, answers degraded"
    )
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    given = _parsed()
    options = Options(
        given.rate, given.probes_per_s, given.seconds, given.rounds, given.warm_up_s, given.seed
    )
    base = Settings(
        _env_file=None, archive_flush_s=5, train_epochs=given.epochs, log_level="WARNING"
    )
    logs.configure(base, "benchmark")
    plan = Plan(users=given.users, places=given.places, days=given.days)
    city = City(plan, ending_s=time.time(), seed=options.seed)
    drawn = questions(city, 2 * given.users, np.random.default_rng(options.seed))
    place_ids = [int(city.ids.place(row)) for row in range(len(city.places))]
    with (
        ending_raises(),
        tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder,
        LocalStack(Path(folder), base=base) as stack,
    ):
        start(stack, city, Console(stderr=True), trained=not given.untrained)
        with (
            background(stack.settings, city, options.rate, Path(folder)) as child,
            asyncio.Runner(loop_factory=precise_loop) as runner,
        ):
            meter = Meter({**_by_part(stack), "background": (child.pid,)})
            asked = of_different_users(drawn)
            rounds = runner.run(measure(stack.settings, asked, place_ids, options, meter))
        stack.check()
    title = "From an event's send to an answer that reflects it, all on this machine"
    publish(title, figures(rounds), _facts(city, options, rounds, not given.untrained))


if __name__ == "__main__":
    main()
