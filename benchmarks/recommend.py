"""`python -m benchmarks.recommend`: latency and throughput of the gRPC call, and of its stages.

In one run, on a real Kafka and a real Redis, with model server, stream worker and service as
processes of their own and a simulated city in them: open-loop load at several rates, and beside
it, in turn, the floor: the same reads and model calls with nothing around them. The client and
all of that share the cores of this machine; what each uses is printed.
"""

import argparse
import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.asking import CHANNELS, GIVE_UP_S, ServiceClient, questions
from benchmarks.cpu import Meter
from benchmarks.floor import Errand, Floor, FloorTimes, record
from benchmarks.loaded_stack import fill_and_start, processes
from benchmarks.open_loop import LEAD_IN_S, Slice, load, precise_loop
from benchmarks.recommend_figures import Measured, Round, causes, figures
from benchmarks.report import publish
from benchmarks.surroundings import Surroundings, centre, what
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from placestream import logs
from placestream.simulation.city import City
from placestream.simulation.plan import Plan
from placestream.stack.local import LocalStack
from placestream.stack.signals import ending_raises

#: So many different requests, asked round and round.
QUESTIONS = 300
#: At the lowest rate, before anything counts.
WARM_UP_S = 5.0
#: Between two stretches of load, so that one does not work off what the other left.
PAUSE_S = 1.0

HOW = {
    "latency": "from the moment that a request was due (Poisson arrivals, drawn beforehand) to "
    "its answer or error: queueing counts",
    "own_work": "p50 of a stage less p50 of the call it waits for, as the floor measures it: "
    "candidates less its model call, features less what of the GET outlasts near (an MGET of what "
    "has changed counts as own work), ranking less its model call; near and post_processing wait "
    "for nothing. The calls that --diversity (beside the ranker's, within ranking) and --explain "
    "(in reasons) add are not the floor's, and stay in",
    "around_the_stages": "p50 of latency less all stages of that answer: client, gRPC on both "
    "sides, waiting",
    "floor": "one GET, the candidate model, one MGET, the ranker, one after the other, with the "
    "keys and tensors that the service's pipeline asked for the same requests; serialized "
    "beforehand, nothing decoded; the same arrivals, same client process. The service itself "
    "reads places again only when they have changed: hence a ratio without the floor's MGET, too",
    "highest_rate": "all rounds together, no error, at most 1 % of the answers degraded",
}


@dataclass(frozen=True)
class Options:
    """What to run."""

    rates: tuple[float, ...]
    seconds: float
    rounds: int
    warm_up_s: float
    seed: int
    diversity: float | None = None
    explain: bool = False

    def wanted(self, asked: Sequence[pb.RecommendRequest]) -> list[pb.RecommendRequest]:
        """The same requests, that want to be varied, or reasons, if the options say so."""
        more = pb.RecommendRequest(diversity=self.diversity, explain=self.explain)
        result = []
        for request in asked:
            wanting = pb.RecommendRequest()
            wanting.CopyFrom(request)
            wanting.MergeFrom(more)
            result.append(wanting)
        return result


async def measure(
    settings: Settings, asked: Sequence[pb.RecommendRequest], options: Options, meter: Meter
) -> tuple[Measured, list[Errand]]:
    """Run all rounds: each rate in turn, and right after it the floor with the same arrivals.

    Raises:
        RuntimeError: the floor failed at the lowest rate, or an answer that it is made of was not
            whole.
    """
    errands = await record(settings, asked)
    rng = np.random.default_rng(options.seed)
    rates = sorted(options.rates)
    by_rate: dict[float, list[Round]] = {rate: [] for rate in rates}
    floors: dict[float, list[Slice[FloorTimes]]] = {rate: [] for rate in rates}
    wanted = options.wanted(asked)
    client = ServiceClient(f"{settings.serve_host}:{settings.serve_port}", wanted)
    floor = Floor(settings, errands)
    # What is loaded lives as long as the run: a look at it would only delay answers.
    gc.collect()
    gc.freeze()
    try:
        await load(client.ask, rates[0], options.warm_up_s, rng)
        await load(floor.run, rates[0], options.warm_up_s, rng)
        for _ in range(options.rounds):
            for rate in rates:
                await asyncio.sleep(PAUSE_S)
                before, draw = meter.read(), int(rng.integers(2**32))
                arrivals = np.random.default_rng(draw)
                done = await load(client.ask, rate, options.seconds, arrivals)
                by_rate[rate].append(Round(done, meter.percent(before)))
                await asyncio.sleep(PAUSE_S)
                arrivals = np.random.default_rng(draw)
                part = await load(floor.run, rate, options.seconds, arrivals)
                floors[rate].append(_whole(part) if rate == rates[0] else part)
    finally:
        await floor.close()
        await client.close()
    return Measured(by_rate, floors), errands


def _whole(part: Slice[FloorTimes]) -> Slice[FloorTimes]:
    if part.errors:
        raise RuntimeError(f"the floor failed: {part.errors[0]}")
    return part


def _facts(
    stack: LocalStack,
    city: City,
    around: Surroundings | None,
    options: Options,
    measured: Measured,
    errands: Sequence[Errand],
) -> dict[str, object]:
    """What one must know to read the figures."""

    def median(values: Sequence[int]) -> int:
        return int(np.median(values))

    floor = measured.floor[measured.lowest]
    read = [times.redis_bytes for part in floor for times in part.answers]
    return {
        "users": len(city.users),
        "places": len(city.places),
        "places_around": len(around or ()),
        "interactions": len(city.events),
        "broker": "kafka" if stack.broker.declares_topics else "in memory",
        "cores": len(os.sched_getaffinity(0)),
        "sharing_the_cores": ", ".join(processes(stack)).replace("_", " "),
        "places_near_median": median([e.shapes["candidates"][-1] for e in errands]),
        "places_ranked_median": median([e.shapes["ranker"][-1] for e in errands]),
        "redis_bytes_median": median(read),
        "model_request_bytes_median": median([sum(map(len, e.requests.values())) for e in errands]),
        "diversity": "light hand" if options.diversity is None else options.diversity,
        "explain": options.explain,
        "rounds": options.rounds,
        "round_s": options.seconds,
        "left_out_before_each_round_s": LEAD_IN_S,
        "client_channels": CHANNELS,
        "client_gives_up_after_s": GIVE_UP_S,
        "service_deadline_ms": stack.settings.serve_deadline_ms,
        "causes_of_errors_and_degradation": causes(measured),
        **{f"how_{name}": text for name, text in HOW.items()},
    }


def _rates(text: str) -> tuple[float, ...]:
    rates = tuple(float(rate) for rate in text.split(","))
    if min(rates) <= 0 or len(set(rates)) != len(rates):
        raise argparse.ArgumentTypeError("distinct rates above 0, with commas")
    return rates


def _diversity(text: str) -> float:
    diversity = float(text)
    if not 0 <= diversity <= 1:
        raise argparse.ArgumentTypeError("from 0 to 1")
    return diversity


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments, of the command line if none are given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--places", type=int, default=2_000)
    parser.add_argument(
        "--among", type=what, metavar="N|FILE", help="places around the city: so many, or a CSV's"
    )
    parser.add_argument("--days", type=float, default=14, help="of history")
    parser.add_argument("--epochs", type=int, default=2, help="of the training")
    parser.add_argument("--rates", type=_rates, default="50,100,200", help="requests a second")
    parser.add_argument("--seconds", type=float, default=6, help="of each rate, each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-up-s", type=float, default=WARM_UP_S)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--diversity", type=_diversity, help="that requests ask for, 0 to 1")
    parser.add_argument("--explain", action="store_true", help="requests ask for reasons")
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    return parser.parse_args(arguments)


def options_of(given: argparse.Namespace) -> Options:
    """What of the arguments is no matter of the city."""
    return Options(**{field.name: getattr(given, field.name) for field in fields(Options)})


def _city(given: argparse.Namespace) -> tuple[City, Surroundings | None]:
    """The city, and the places around it if the arguments want any."""
    plan = Plan(users=given.users, places=given.places, days=given.days)
    if given.among is not None and (at := centre(given.among)) is not None:
        plan = replace(plan, lat=at[0], lng=at[1])
    city = City(plan, ending_s=time.time(), seed=given.seed)
    among = given.among
    return city, None if among is None else Surroundings.of(among, city, given.seed)


def main() -> None:
    """Measure and print."""
    given = parsed()
    options = options_of(given)
    base = Settings(
        _env_file=None, archive_flush_s=3, train_epochs=given.epochs, log_level="WARNING"
    )
    logs.configure(base, "benchmark")
    city, around = _city(given)
    asked = questions(city, QUESTIONS, np.random.default_rng(options.seed), around)
    with (
        ending_raises(),
        tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder,
        LocalStack(Path(folder), base=base) as stack,
    ):
        fill_and_start(stack, city, Console(stderr=True), around)
        with asyncio.Runner(loop_factory=precise_loop) as runner:
            meter = Meter(processes(stack))
            measured, errands = runner.run(measure(stack.settings, asked, options, meter))
        stack.check()
        facts = _facts(stack, city, around, options, measured, errands)
    publish("Recommend over gRPC, all on this machine", figures(measured), facts)


if __name__ == "__main__":
    main()
