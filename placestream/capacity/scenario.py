"""A plan put to the test: how long requests take, and what the loss of a shard does."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from placestream.capacity.constants import Constants
from placestream.capacity.redis_shards import read_us
from placestream.capacity.simulation import Outage, Station, Visit, behind, flow
from placestream.capacity.sizing import Plan

#: Requests that are simulated: the 99th percentile of so many is known within a few per cent.
REQUESTS = 20_000
#: A cell of a large installation is simulated, of so many requests a second: with callers spread
#: evenly, each cell sees what all see.
CELL_PER_S = 500.0
EVENTS = 200_000
#: An event waits for so long at any time, for the rest of its batch.
BATCH_S = 0.1
SERVE, REDIS, MODELS = range(3)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """What users and operators would see.

    Attributes:
        p50_ms, p99_ms: of requests, with everything in place.
        lost_one_p99_ms: with one `serve` and one model server fewer in the cell.
        failover_s: how long the shard of the test is away.
        backlog_events: events that wait for it at the worst moment.
        caught_up_s: after its loss, until its features are fresh again.
        degraded_ratio: requests that meet the lost shard while it is away.
    """

    p50_ms: float
    p99_ms: float
    lost_one_p99_ms: float
    failover_s: float
    backlog_events: float
    caught_up_s: float
    degraded_ratio: float


def simulate(plan: Plan, per: Constants, rng: np.random.Generator) -> Outcome:
    """Put a plan to the test."""
    # The same requests twice: what differs is the loss alone.
    seed = int(rng.integers(2**32))
    whole, lost = (_latencies_ms(plan, per, np.random.default_rng(seed), n) for n in (0, 1))
    most, caught_up_s = _failover(plan, per, rng)
    return Outcome(
        p50_ms=float(np.quantile(whole, 0.5)),
        p99_ms=float(np.quantile(whole, 0.99)),
        lost_one_p99_ms=float(np.quantile(lost, 0.99)),
        failover_s=per.failover_s,
        backlog_events=most,
        caught_up_s=caught_up_s,
        degraded_ratio=_met_ratio(plan, per),
    )


def _met_ratio(plan: Plan, per: Constants) -> float:
    """Share of requests of which a place, or the user, lies on the shard with the most pieces."""
    where = plan.redis.where
    lost = int(np.argmax(where.tags))
    places, users = where.places[lost] / where.partitions, where.users[lost] / where.partitions
    return float(1 - (1 - places) ** per.places_per_request * (1 - users))


def _latencies_ms(plan: Plan, per: Constants, rng: np.random.Generator, lost: int) -> Floats:
    rate = plan.load.requests_per_s
    if rate == 0:
        return np.zeros(1)
    cells = max(rate / CELL_PER_S, 1.0)

    def servers(name: str) -> int:
        return max(round(plan.part(name).number / cells) - lost, 1)

    # A request waits for the busiest shard. That works for all cells and for the stream, so its
    # work is drawn out by how busy it is, and has no queue of this cell's own.
    alone_us = read_us(per, plan.redis.where, per.places_per_request)
    read_s = float(np.max(alone_us / (1 - plan.redis.busy.clip(0, 0.95)))) / 1e6
    return latencies_ms(rate / cells, servers("serve"), servers("model servers"), read_s, per, rng)


def latencies_ms(
    per_s: float, serves: int, models: int, read_s: float, per: Constants, rng: np.random.Generator
) -> Floats:
    """Latency of each of `REQUESTS` requests, milliseconds: float64[REQUESTS].

    Args:
        per_s: requests a second, with Poisson arrivals.
        serves, models: processes.
        read_s: mean time of the read of the places.
        per: what a request costs.
        rng: of arrivals and of service times.
    """
    arrivals_s = np.cumsum(rng.exponential(1 / per_s, REQUESTS))
    spread = per.service_spread

    def times(mean_s: float) -> Floats:
        drawn: Floats = mean_s * rng.lognormal(-(spread**2) / 2, spread, REQUESTS)
        return drawn

    serve_s = per.serve_ms_per_request / 1e3 * per.waited_ratio
    model_s = per.model_ms_per_request / 1e3
    stations = [Station(serves), Station(REQUESTS), Station(models)]
    visits = [
        Visit(SERVE, times(serve_s / 2)),
        Visit(MODELS, times(model_s / 2)),
        Visit(REDIS, times(read_s)),
        Visit(MODELS, times(model_s / 2)),
        Visit(SERVE, times(serve_s / 2), per.around_ms / 1e3),
    ]
    took: Floats = 1e3 * (flow(arrivals_s, stations, visits) - arrivals_s)
    return took


def _failover(plan: Plan, per: Constants, rng: np.random.Generator) -> tuple[float, float]:
    """A worker whose states lie on the lost shard: it stands still, then it catches up.

    It has as many partitions as any has, and the hottest place is in one of them.
    """
    its_share = math.ceil(plan.partitions / plan.part("stream workers").number) / plan.partitions
    even = (1 - plan.load.hot_share / 2) * its_share
    rate = plan.load.events_per_s * (even + plan.load.hot_share / 2)
    if rate == 0:
        return 0.0, 0.0
    service_s = per.worker_us_per_event / 1e6
    # Answers to archive come beside, to all workers alike.
    answers_s = plan.load.requests_per_s * its_share * per.worker_us_per_answer / 1e6
    service_s /= max(1 - answers_s, 0.01)
    free = 1 - rate * service_s
    if free <= 0:
        return float("inf"), float("inf")
    # Long enough to be caught up, and coarser where there would be too many events.
    gone_s = per.failover_s + per.resume_s
    span_s = 1.5 * gone_s / free + 1
    grain = max(rate * span_s / EVENTS, 1.0)
    events = rng.exponential(grain / rate, int(rate * span_s / grain) + 1)
    outage = Outage(0.0, gone_s)
    usual = rate * BATCH_S / grain
    found = behind(np.cumsum(events), grain * service_s, outage, least=max(usual, 1.0))
    return grain * found.most, found.caught_up_s
